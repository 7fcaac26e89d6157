//! What models are trained and measured on.

mod batch;

pub use batch::{Batch, NO_LABEL};
