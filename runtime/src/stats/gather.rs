//! What gathers one kind of statistics.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::ops::Exec;

/// Gathers one kind of statistics, batch by batch.
pub(super) trait Gather {
    /// Takes what the layer of a weight was given in a batch, or what it gave: f32 `[T, features]`.
    fn add(&mut self, exec: &Exec, weight: usize, flow: &Tensor) -> Result<()>;

    /// The statistics of each layer that was seen, by the index of its weight, after so many tokens.
    fn finish(self: Box<Self>, tokens: u64, device: &Device) -> Result<Vec<Option<Tensor>>>;
}
