//! How numbers for each entry are read.

use std::sync::Arc;

use crate::Result;
use crate::model::Universe;

/// Where a number for each entry is read. A reader never sees all at once: it asks for a piece at a time, possibly
/// several times, in any order and from several threads.
pub trait Source: Sync {
    /// The parameters that the numbers are about.
    fn universe(&self) -> &Arc<Universe>;

    /// Whether the parameter at this index has numbers. One that has none cannot be selected.
    fn has(&self, param: usize) -> bool;

    /// Calls `visit` once with the numbers of the flat entries `start .. start + len`.
    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()>;
}
