//! The modules built into the library: every Lua and Rhai file of `stdlib/`.

mod functions;
mod lex;
mod options;
mod page;

pub(crate) use functions::functions;
pub(crate) use options::{Declared, options};
pub(crate) use page::{header, summary};

/// Module name (`lota.adapt`) and source.
pub(crate) static MODULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// Module name (`lota/adapt`) and source, of those in Rhai.
#[cfg(feature = "rhai")]
pub(crate) static RHAI_MODULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib_rhai.rs"));

/// The source of a module in Rhai.
#[cfg(feature = "rhai")]
pub(crate) fn rhai_source(module: &str) -> Option<&'static str> {
    RHAI_MODULES.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}

/// The source of a module in Lua.
pub(crate) fn source(module: &str) -> Option<&'static str> {
    MODULES.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}
