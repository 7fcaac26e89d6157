//! Training: what may change, how it changes, one step, and everything needed to go on later.

mod gradient;
mod optimizer;
mod schedule;
mod selection;
mod slot;
mod trainer;

pub use gradient::Clip;
pub use optimizer::Optimizer;
pub use schedule::{Factor, Schedule};
pub use selection::Selection;
pub use trainer::{StepReport, Subject, TrainOptions, Trainer};
