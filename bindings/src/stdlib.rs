//! The modules built into the library: every Lua and Rhai file of `stdlib/`.

mod functions;
mod lex;
mod options;
mod page;

use lota_script::Modules;

pub use functions::{Function, functions};
pub use options::{Declared, options};
pub(crate) use page::{header, summary};

/// Their names (`lota.adapt`, in Rhai `lota/adapt`) and sources.
pub const MODULES: Modules = Modules {
    lua: include!(concat!(env!("OUT_DIR"), "/stdlib.rs")),
    rhai: include!(concat!(env!("OUT_DIR"), "/stdlib_rhai.rs")),
};

/// The source of a module in Lua.
pub fn source(module: &str) -> Option<&'static str> {
    MODULES.lua.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}
