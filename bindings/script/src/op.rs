//! Operators that primitives stand for, and how each language writes them.

use crate::language::Language;

/// The operator a primitive is the named twin of. It applies to values of the type of the
/// primitive's first parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Neg,
    And,
    Or,
    Xor,
    Not,
    Eq,
    Lt,
    Le,
    Len,
    /// `x[i]` with a number (or a list of them); names are looked up as methods first.
    Index,
    Call,
}

impl Op {
    /// All operators.
    pub const ALL: [Self; 17] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Neg,
        Self::And,
        Self::Or,
        Self::Xor,
        Self::Not,
        Self::Eq,
        Self::Lt,
        Self::Le,
        Self::Len,
        Self::Index,
        Self::Call,
    ];

    /// The operator as Lua writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub | Self::Neg => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor | Self::Not => "~",
            Self::Eq => "==",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Len => "#",
            Self::Index => "[]",
            Self::Call => "()",
        }
    }

    /// The operator as a language writes it, if it has it.
    pub fn symbol_in(self, language: Language) -> Option<&'static str> {
        match (language, self) {
            (Language::Lua, _) => Some(self.symbol()),
            (Language::Rhai, Self::Pow) => Some("**"),
            (Language::Rhai, Self::Xor) => Some("^"),
            (Language::Rhai, Self::Not) => Some("!"),
            (Language::Rhai, Self::Len | Self::Call) => None,
            (Language::Rhai, _) => Some(self.symbol()),
        }
    }
}
