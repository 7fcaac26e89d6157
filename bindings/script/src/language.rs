//! The script languages, and what they write differently.

use std::path::Path;

/// The script language of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// PUC Lua 5.4.
    Lua,
    /// Rhai.
    Rhai,
}

impl Language {
    /// The language of a script, by the end of its file's name: Rhai for `.rhai`, else Lua.
    pub fn of(path: impl AsRef<Path>) -> Self {
        match path.as_ref().extension() {
            Some(end) if end == "rhai" => Self::Rhai,
            _ => Self::Lua,
        }
    }

    /// Its name: `lua` or `rhai`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lua => "lua",
            Self::Rhai => "rhai",
        }
    }

    /// The number it counts positions from.
    pub fn index_base(self) -> i64 {
        match self {
            Self::Lua => 1,
            Self::Rhai => 0,
        }
    }

    /// What stands before the name of a function of the library.
    pub fn library(self) -> &'static str {
        match self {
            Self::Lua => "lota.",
            Self::Rhai => "lota::",
        }
    }

    /// What a comment that goes to the end of its line begins with.
    pub fn comment(self) -> &'static str {
        match self {
            Self::Lua => "--",
            Self::Rhai => "//",
        }
    }
}
