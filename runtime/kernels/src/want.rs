//! Which gradient of a weight is asked for.

use std::sync::Arc;

use crate::SparseIndex;

/// What is wanted of the gradient of one weight.
#[derive(Clone, Debug, Default)]
pub enum Want {
    /// Nothing: the weight is frozen.
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
}
