//! From files to batches: readers, examples with their truncation, and a seeded, endless, resumable
//! stream of batches.

mod batch;
mod batches;
mod collate;
mod example;
mod padded;
mod plan;
mod read;

pub use batch::{Batch, NO_LABEL};
pub use batches::{BatchState, Batches};
pub use collate::collate;
pub use example::{Encode, Example, ExampleOptions, Examples, Keep, Pair, Truncation, examples};
pub use padded::Padded;
pub use plan::{BatchOptions, Order};
pub use read::{Format, ReadLimits, Row, read};
