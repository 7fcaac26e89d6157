//! What a host or a tool needs to work with primitives: their records, the values they take and give, and what is
//! written from them.

pub use crate::machine::{Machine, OnMachine, open_device};
pub use crate::primitives::help::page;
pub use crate::primitives::model::ScriptModel;
pub use crate::primitives::rng::ScriptRng;
pub use crate::primitives::shared::ScriptValues;
pub use crate::primitives::shared::{ScriptMask, ScriptTicket, ScriptTokenizer, Shared};
pub use crate::primitives::standard;
pub use crate::primitives::tensor::{self, ScriptTensor};
pub use crate::primitives::train::ScriptTrainer;
pub use crate::stdlib::of_name as module_source;
pub use crate::writers::{doc, examples, reference, search, types, types_rhai};
pub use lota_script::{
    Args, Charge, Ctx, Files, FromValue, IntoArgs, IntoValue, Map, Memory, Mismatch, Object, Op, Output,
    Param, Place, Primitive, Registry, ScriptFn, Scripted, Value, did_you_mean, from_json, nearest,
    panic_text, show, to_json,
};
