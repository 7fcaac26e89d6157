//! Training: what may change, how it changes, one step, and everything needed to go on later.

mod accumulate;
mod blockwise;
mod checkpoint;
mod doors;
mod fisher;
mod fit;
mod frozen;
mod gradient;
mod group;
mod kept;
mod micro;
mod optimizer;
mod options;
mod penalty;
mod schedule;
mod score;
mod selection;
mod slot;
mod subject;
mod trainer;

pub use accumulate::Accumulation;
pub use checkpoint::{Companions, Passes, Saved};
pub use fisher::fisher;
pub use fit::{FitOptions, FitReport, Save, fit};
pub use frozen::frozen_fingerprint;
pub use gradient::Clip;
pub use group::Group;
pub use optimizer::{AdamW, Lion, Optimizer, RmsProp, Setting, Sgd};
pub use options::TrainOptions;
pub use penalty::{Penalty, Strength};
pub use schedule::{Factor, Schedule};
pub use score::{Gather, ScoreKind, grad_scores};
pub use selection::Selection;
pub use subject::Subject;
pub use trainer::{StepReport, Trainer};
