//! A number for each entry of each parameter: scores, task vectors, and numbers that are made as they are read.
//!
//! All are read through a [`Source`], piece by piece.

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
