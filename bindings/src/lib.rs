//! `lota`: a scriptable engine for sparse adaptation of language models.
//!
//! The numbers are computed in [`runtime`]; this crate gives them to scripts, by the means of
//! [`lota_script`]. Every primitive is one record of the registry ([`api::standard`]), and the script
//! frontends are built from it. [`Engine`] is what a host embeds.

#[cfg(unix)]
mod apart;
pub mod api;
pub mod builtin;
mod engine;
mod error;
#[cfg(unix)]
mod guest;
mod hub;
mod job;
mod machine;
pub mod plot;
mod primitives;
mod runs;
pub mod scripts;
pub mod stdlib;
mod version;
mod writers;

/// Where an engine's interpreter lives: docs/security.md says what each isolation promises.
#[cfg(unix)]
pub mod isolation {
    pub use crate::apart::{InForce, Isolation, Process};
    pub use crate::guest::enter;
}

pub use engine::{Builder, Engine};
pub use error::{Told, of_callback};
pub use hub::hub_from_environment;
pub use job::Job;
pub use lota_runtime as runtime;
#[cfg(feature = "rhai")]
pub use lota_script::Counting;
pub use lota_script::{Error, ErrorKind, Language, Limits, Meter, Name, OpenFile, Result};
pub use version::VERSION;

/// The programs of this page compile and run.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/embedding.md"))]
struct EmbeddingPage;

/// The tests of this crate run scripts whose memory is limited.
#[cfg(all(test, feature = "rhai"))]
#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
