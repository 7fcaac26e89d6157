//! `lota`: a scriptable engine for sparse adaptation of language models.
//!
//! The numbers are computed in [`runtime`]; this crate gives them to scripts. Every primitive is
//! one record of the [`api`] registry, and the script frontends are built from it. [`Engine`] is
//! what a host embeds.

pub mod api;
mod builtin;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "rhai")]
mod counting;
mod engine;
mod error;
mod frontend;
mod hub;
mod job;
mod language;
mod limits;
#[cfg(feature = "lua")]
mod lua;
mod plot;
#[cfg(feature = "cli")]
pub mod repl;
#[cfg(feature = "rhai")]
mod rhai;
mod runs;
mod stdlib;

#[cfg(feature = "rhai")]
pub use counting::Counting;
pub use engine::{Builder, Engine, Language, Name};
pub use error::{Error, ErrorKind, Result};
pub use hub::hub_from_environment;
pub use job::Job;
pub use limits::{Limits, Meter, OpenFile};
pub use lota_runtime as runtime;

/// The version of this crate, as `lota --version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The programs of this page compile and run.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/embedding.md"))]
struct EmbeddingPage;

/// The tests of this crate run scripts whose memory is limited.
#[cfg(all(test, feature = "rhai"))]
#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
