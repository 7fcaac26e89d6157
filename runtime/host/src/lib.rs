//! `lota-host`: what the other crates are handed instead of reaching for it. A way to be stopped, a
//! place for events, seeded randomness, safe file writing and the container of stored tensors. It knows neither
//! models nor scripts, and of a stored tensor only its name, type, shape and bytes.

use std::path::PathBuf;
use std::sync::Arc;

pub mod archive;
mod cancel;
pub mod container;
mod error;
mod event;
mod fault;
mod file;
mod files;
mod folder;
mod foreign;
mod lock;
mod nearest;
mod rng;
mod temporary;

pub use cancel::Cancel;
pub use error::{Error, Result};
pub use event::{Count, Event, Events};
pub use fault::{Fault, FaultKind};
pub use file::{check_writable, write_atomic};
pub use files::{Files, Granted};
pub use folder::{finish_folder, write_folder};
pub use foreign::{is_reading_foreign, read_foreign};
pub use lock::Lock;
pub use nearest::{closest, did_you_mean, nearest};
pub use rng::Rng;

/// Handed to every long operation. Cloning is cheap and clones share the same switch and sink.
#[derive(Clone, Default)]
pub struct Host {
    /// The switch that stops work.
    pub cancel: Cancel,
    /// Where progress and messages go.
    pub events: Events,
    /// Folders that others hold on to, as those granted to a script: their files are replaced, never they themselves.
    pub fixed: Arc<[PathBuf]>,
}
