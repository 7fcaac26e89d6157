//! `lota-host`: what the other crates are handed instead of reaching for it. A way to be stopped, a
//! place for events, seeded randomness, safe file writing and the container of stored tensors. It knows neither
//! models nor scripts, and of a stored tensor only its name, type, shape and bytes.

pub mod archive;
mod cancel;
pub mod container;
pub mod disk;
mod error;
mod event;
mod fault;
mod file;
mod files;
mod folder;
mod foreign;
mod host;
mod lock;
mod nearest;
mod place;
mod pointer;
mod rng;
mod room;
mod stack;
mod temporary;

pub use cancel::Cancel;
pub use error::{Error, Located, Result};
pub use event::{Count, Event, Events};
pub use fault::{Fault, FaultKind};
pub use file::{check_writable, read_text, text_of, write_atomic};
pub use files::{Files, Granted, NewFolders};
pub use folder::{COMMIT, finish_folder, write_folder};
pub use foreign::{is_reading_foreign, read_foreign};
pub use host::Host;
pub use lock::Lock;
pub use nearest::{closest, did_you_mean, nearest};
pub use place::is_at;
pub use pointer::{is_pointer, read_bytes, read_if_there, refuse_pointer, refuse_pointer_at};
pub use rng::Rng;
pub use room::Room;
pub use stack::{is_stack_low, with_stack};
pub use temporary::sync_folder;
