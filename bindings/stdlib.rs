//! The Lua modules built into the library: every file of `stdlib/`.

/// Module name (`lota.adapt`) and source.
pub(crate) static MODULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// The source of a module.
pub(crate) fn source(module: &str) -> Option<&'static str> {
    MODULES.iter().find(|(name, _)| *name == module).map(|(_, source)| *source)
}
