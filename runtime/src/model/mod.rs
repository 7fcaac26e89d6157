//! Models: their parameters by name, and everything that reads, runs and writes them.

pub mod config;
pub mod decoder;
mod param;
mod params;

pub use config::Config;
pub use decoder::Decoder;
pub use param::{ParamSpec, Role, Universe};
pub use params::Params;
