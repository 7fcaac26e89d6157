//! Models: their parameters by name, and everything that reads, runs and writes them.

mod param;

pub use param::{ParamSpec, Role, Universe};
