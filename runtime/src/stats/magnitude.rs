//! The mean over all tokens of the magnitude of each feature, summed in f64.

use candle_core::{Device, Tensor};

use super::columns::{Of, Sums};
use super::gather::Gather;
use crate::Result;
use crate::ops::Exec;

/// Gathers mean magnitudes.
pub(super) struct Magnitudes(Sums);

impl Magnitudes {
    pub fn new(params: usize) -> Self {
        Self(Sums::new(Of::Magnitudes, params))
    }
}

impl Gather for Magnitudes {
    fn add(&mut self, exec: &Exec, weight: usize, flow: &Tensor) -> Result<()> {
        self.0.add(exec, weight, flow)
    }

    fn finish(self: Box<Self>, tokens: u64, device: &Device) -> Result<Vec<Option<Tensor>>> {
        self.0.finish(device, |sum| sum / tokens as f64)
    }
}
