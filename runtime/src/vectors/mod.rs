//! A number for each entry of each parameter: scores, task vectors, and numbers that are made as they are read.
//!
//! Whoever reads them asks a [`Source`], piece by piece, and need not know which of these it is.

mod delta;
mod generated;
mod piece;
mod scores;
mod source;

pub use delta::Delta;
pub use generated::Generated;
pub(crate) use piece::read_tensor;
pub use scores::Scores;
pub use source::Source;
