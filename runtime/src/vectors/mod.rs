//! A number for each chosen entry of a model: [`Values`] that are held, and numbers that are made as they are read.
//!
//! All are read through a [`Source`], piece by piece. Nothing here knows masks: what makes values of a mask is in
//! [`crate::mask`].

mod algebra;
mod delta;
mod figures;
mod generated;
mod piece;
mod source;
mod values;

pub use delta::Delta;
pub use figures::Figures;
pub use generated::Generated;
pub(crate) use piece::read_tensor;
pub use source::Source;
pub use values::{Part, Values};
