//! Which gradients a backward pass is asked for, and how it hands them over.

use std::sync::Arc;

use candle_core::Tensor;

use crate::ops::{Exec, SparseIndex, head::WeightGrad, scatter};
use crate::{Error, Result};

/// What is wanted of one parameter. A backward takes one for each parameter of the universe, in order.
#[derive(Clone, Debug, Default)]
pub enum Want {
    /// Nothing: the parameter is frozen.
    #[default]
    No,
    /// The whole gradient.
    Dense,
    /// The gradient of these entries.
    At(Arc<SparseIndex>),
}

impl Want {
    /// Whether anything is wanted.
    pub fn any(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// What the head operation calls it.
    pub(super) fn of_head(&self) -> WeightGrad<'_> {
        match self {
            Self::No => WeightGrad::No,
            Self::Dense => WeightGrad::Dense,
            Self::At(index) => WeightGrad::At(index),
        }
    }
}

/// A gradient, in f32.
#[derive(Clone, Debug)]
pub enum Grad {
    /// Of the whole parameter, in its shape.
    Dense(Tensor),
    /// Of its masked entries, in the order of the index that was given.
    At(Tensor),
}

impl Grad {
    /// The tensor, of either kind.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Self::Dense(tensor) | Self::At(tensor) => tensor,
        }
    }

    /// The tensor, of either kind.
    pub fn into_tensor(self) -> Tensor {
        match self {
            Self::Dense(tensor) | Self::At(tensor) => tensor,
        }
    }

    /// A small parameter's dense gradient, narrowed to what is wanted.
    pub(super) fn narrowed(exec: &Exec, dense: Tensor, want: &Want) -> Result<Option<Self>> {
        Ok(match want {
            Want::No => None,
            Want::Dense => Some(Self::Dense(dense)),
            Want::At(index) => Some(Self::At(scatter::gather(exec, &dense, index)?)),
        })
    }
}

/// Receives gradients. Each wanted parameter comes exactly once. A block's gradients are handed over
/// when nothing will read the block's parameters any more, so a sink may change them in place.
pub trait GradSink {
    /// Takes the gradient of the parameter at an index of the universe.
    fn grad(&mut self, param: usize, grad: Grad) -> Result<()>;
}

impl<F: FnMut(usize, Grad) -> Result<()>> GradSink for F {
    fn grad(&mut self, param: usize, grad: Grad) -> Result<()> {
        self(param, grad)
    }
}

/// What a backward pass keeps of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checkpoint {
    /// Every activation its gradients need.
    #[default]
    None,
    /// The input of each block; one block at a time is computed again.
    Block,
}

impl Checkpoint {
    /// The word used in scripts: `none` or `block`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Block => "block",
        }
    }
}

impl std::str::FromStr for Checkpoint {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "none" => Ok(Self::None),
            "block" => Ok(Self::Block),
            other => Err(Error::argument(format!("checkpoint must be \"none\" or \"block\", not {other:?}"))),
        }
    }
}
