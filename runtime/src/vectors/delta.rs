//! The difference of two states of a model.

use std::sync::Arc;

use candle_core::Tensor;

use super::Source;
use super::piece::{checked, read_tensor};
use crate::Result;
use crate::model::Universe;

/// The task vector `after - before` as scores, subtracted piece by piece and never held whole.
#[derive(Clone, Debug)]
pub struct Delta {
    universe: Arc<Universe>,
    pairs: Vec<Option<(Tensor, Tensor)>>,
}

impl Delta {
    /// The difference of two states of a model. A parameter is scored where both are given.
    pub fn new(
        universe: Arc<Universe>,
        after: Vec<Option<Tensor>>,
        before: Vec<Option<Tensor>>,
    ) -> Result<Self> {
        let after = checked(&universe, after, "the state after")?;
        let before = checked(&universe, before, "the state before")?;
        let pairs = after.into_iter().zip(before).map(|(a, b)| a.zip(b)).collect();
        Ok(Self { universe, pairs })
    }
}

impl Source for Delta {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn has(&self, param: usize) -> bool {
        self.pairs[param].is_some()
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let Some((after, before)) = &self.pairs[param] else { return Ok(()) };
        let mut delta = Vec::with_capacity(len);
        read_tensor(after, start, len, &mut |a| delta.extend_from_slice(a))?;
        read_tensor(before, start, len, &mut |b| delta.iter_mut().zip(b).for_each(|(d, b)| *d -= b))?;
        visit(&delta);
        Ok(())
    }
}
