//! `lota-script`: what makes a Rust library scriptable.
//!
//! A library describes each of its functions once, as a [`Primitive`] in a [`Registry`]. The frontends of Lua and Rhai are
//! made from it, and so are documentation and completion. Values cross as neutral [`Value`]s, what a script may use is
//! bounded by [`Limits`], what it may reach by [`Files`], and every failure is one [`Error`].
//!
//! The crate knows no model and no tensor. What a library's own primitives need beyond their arguments (a device, a cache)
//! its host puts into the [`Ctx`] by type.

mod args;
mod clock;
mod convert;
#[cfg(feature = "rhai")]
mod counting;
mod ctx;
mod error;
mod frontend;
mod json;
mod language;
mod limits;
#[cfg(feature = "lua")]
mod lua;
mod memory;
mod modules;
mod op;
mod open;
mod param;
mod primitive;
mod record;
mod registry;
#[cfg(feature = "rhai")]
mod rhai;
mod show;
mod slips;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at files itself")]
mod tests;
mod value;

pub use args::Args;
pub use convert::{FromValue, IntoArgs, IntoValue, Mismatch};
#[cfg(feature = "rhai")]
pub use counting::Counting;
pub use ctx::{Ctx, Output, Things, room};
pub use error::{Error, ErrorKind, Result};
pub use frontend::{Frontend, Name, Prompt};
pub use json::{from_json, from_record, to_json, to_record};
pub use language::Language;
pub use limits::{Limits, Meter, OpenFile};
pub use lota_host::{Files, Granted, NewFolders, did_you_mean, nearest};
pub use memory::{Charge, Memory};
pub use modules::Modules;
pub use op::Op;
pub use open::{Opened, open};
pub use param::{Param, Place, counts_positions, literal, literal_in};
pub use primitive::{Inner, Primitive, Wrapper, panic_text};
pub use record::Record;
pub use registry::Registry;
pub use show::show;
pub use value::{DynScripted, Map, Object, ScriptFn, Scripted, Value};

/// The tests of this crate run scripts whose memory is limited.
#[cfg(all(test, feature = "rhai"))]
#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
