//! The entries of a mask, carried from one state of a model into another.

use super::Mask;
use crate::Result;
use crate::model::Params;
use crate::ops::{Exec, scatter};

impl Mask {
    /// Writes the entries of this mask that `from` holds into `to`, in place and so for all clones of `to`. All others keep
    /// their bits. Between parameters of one type the bits are the same afterwards.
    pub fn carry(&self, exec: &Exec, from: &Params, to: &Params) -> Result<()> {
        to.check_free()?;
        for universe in [from.universe(), to.universe()] {
            self.universe().check_same(universe)?;
        }
        let carried = self.selected().try_for_each(|(i, ..)| {
            let index = self.index(i)?;
            let values = scatter::gather(exec, from.get(i), &index)?.to_device(to.get(i).device())?;
            scatter::scatter_in_place(exec, to.get(i), &index, &values)
        });
        to.touch();
        carried
    }
}
