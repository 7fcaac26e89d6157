//! The modules a library brings along in the script languages.

/// Modules built into the program: the name by which a script asks for each (`lota.adapt` in Lua, `lota/adapt` in Rhai)
/// and its source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Modules {
    /// Those written in Lua.
    pub lua: &'static [(&'static str, &'static str)],
    /// Those written in Rhai.
    pub rhai: &'static [(&'static str, &'static str)],
}

/// The source of the module of a name.
pub(crate) fn source(modules: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    modules.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
}
