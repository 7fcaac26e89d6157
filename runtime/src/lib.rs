//! `lota-runtime`: every number `lota` reports is computed here.
//!
//! The crate names no script language. It never prints, never reads the environment and never
//! asks a clock for a decision: it takes arguments and emits [`host::Event`]s. There is no global
//! state, so two engines in one process do not meet.
//!
//! Dependencies inside the crate point one way:
//! `merge, eval, train, lora -> ticket -> mask -> vectors -> model -> data -> ops -> host`, the last two being crates of their own;
//! `stats` stands on `mask`, beside `ticket`.

pub mod data;
pub mod eval;
pub mod linalg;
pub mod lora;
pub mod mask;
pub mod merge;
pub mod model;
pub mod stats;
pub mod ticket;
pub mod train;
pub mod vectors;

pub use lota_host as host;
pub use lota_kernels as ops;
pub use lota_kernels::{Error, Result};
