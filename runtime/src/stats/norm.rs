//! The Euclidean norm of each feature over all tokens: sums of squares in f64, and the root at the end.

use candle_core::{Device, Tensor};

use super::columns::{Of, Sums};
use super::gather::Gather;
use crate::Result;
use crate::ops::Exec;

/// Gathers norms.
pub(super) struct Norms(Sums);

impl Norms {
    pub fn new(params: usize) -> Self {
        Self(Sums::new(Of::Squares, params))
    }
}

impl Gather for Norms {
    fn add(&mut self, exec: &Exec, weight: usize, flow: &Tensor) -> Result<()> {
        self.0.add(exec, weight, flow)
    }

    fn finish(self: Box<Self>, _: u64, device: &Device) -> Result<Vec<Option<Tensor>>> {
        self.0.finish(device, f64::sqrt)
    }
}
