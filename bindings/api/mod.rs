//! The registry of primitives: one record each, from which come the script bindings, the
//! documentation, completion and the editor definitions.
//!
//! To add a primitive, add its record to the area's file (`mask.rs` for `mask.*` and `Mask:*`);
//! a new area is one file with a `register` function and one line in [`standard`].

mod args;
mod convert;
mod ctx;
mod data;
pub mod doc;
mod eval;
mod files;
mod help;
mod json;
mod lora;
mod mask;
mod memory;
mod merge;
mod model;
mod nearest;
mod params;
mod plot;
mod progress;
mod record;
pub mod reference;
mod registry;
mod run;
mod scores;
mod script_args;
mod search;
mod show;
pub mod tensor;
mod ticket;
mod tokenizer;
mod top;
mod train;
pub mod translate;
pub mod types;
pub mod types_rhai;
mod universe;
mod value;

pub use args::Args;
pub use convert::{FromValue, IntoArgs, Mismatch};
pub use ctx::{Ctx, Output, open_device};
pub use files::Files;
pub use json::{from_json, to_json};
pub use memory::{Charge, Memory};
#[cfg(feature = "cli")]
pub(crate) use model::ScriptModel;
pub use nearest::{did_you_mean, nearest};
pub use record::{Op, Param, Place, Primitive, panic_text};

pub use registry::Registry;
pub use search::search;
pub use show::show;
pub use tensor::ScriptTensor;
pub use top::ScriptRng;
#[cfg(feature = "cli")]
pub(crate) use train::ScriptTrainer;
pub use value::{Map, Object, ScriptFn, Scripted, Value};

/// All primitives of this crate.
pub fn standard() -> Registry {
    let mut registry = Registry::default();
    let r = &mut registry;
    data::register(r);
    eval::register(r);
    help::register(r);
    json::register(r);
    lora::register(r);
    mask::register(r);
    merge::register(r);
    model::register(r);
    plot::register(r);
    progress::register(r);
    run::register(r);
    scores::register(r);
    script_args::register(r);
    tensor::register(r);
    ticket::register(r);
    tokenizer::register(r);
    top::register(r);
    train::register(r);
    registry
}
