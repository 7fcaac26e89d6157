//! How a backward pass hands over the gradients that it is asked for, and what it keeps for them.

use candle_core::Tensor;

use crate::ops::{Exec, Want, scatter};
use crate::{Error, Result};

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
