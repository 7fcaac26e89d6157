//! From files to batches: readers, examples with their truncation, and a seeded, endless, resumable
//! stream of batches.

mod batch;
mod batches;
mod bounded;
mod collate;
mod example;
mod padded;
mod plan;
mod read;
mod tensors;

pub use batch::{Batch, NO_LABEL};
pub use batches::{BatchState, Batches};
pub use bounded::{Encode, Keep, encode_most};
pub use collate::collate;
pub use example::{Example, ExampleOptions, Examples, Pair, Truncation, examples};
pub use padded::Padded;
pub use plan::{BatchOptions, Order};
pub use read::{Format, ReadLimits, Row, read};
pub use tensors::TensorFile;
