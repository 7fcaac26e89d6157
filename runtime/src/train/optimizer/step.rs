//! What an optimizer is given for a step.

use crate::ops::SparseIndex;
use crate::ops::slice::WeightMut;

/// What changes from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The step size.
    pub lr: f64,
    /// The number of this step, from 1.
    pub t: u64,
    /// What gradients are multiplied by first (clipping).
    pub scale: f64,
}

/// What is updated: a weight in its memory, and what is to be known about its entries.
pub struct Target<'a> {
    /// The weight.
    pub(in crate::train) weight: WeightMut<'a>,
    /// The entries that may change; `None` is all of them.
    pub(in crate::train) index: Option<&'a SparseIndex>,
    /// Of a bf16 weight: the f32 values whose roundings it holds.
    pub(in crate::train) masters: Option<&'a mut [f32]>,
}
