//! One parameter of a primitive, and values as documentation writes them.

use std::borrow::Cow;

use crate::language::Language;
use crate::value::Value;

/// A text of a record.
pub(crate) type Text = Cow<'static, str>;

/// Where a parameter is written in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By position.
    Positional,
    /// By position, and every further value too; arrives as a list.
    Rest,
    /// By name in the options table.
    Option,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Text,
    /// Its type, in the words of messages and editor definitions: `number`, `Mask`, `list of
    /// string`, `string|function`. `index` and `dim` are whole numbers that count positions: a
    /// frontend that counts from 1 shifts them, so the primitive always sees them from 0 (and
    /// negative from the end).
    pub ty: Text,
    /// Used when it is not given.
    pub default: Value,
    /// Whether it must be given.
    pub required: bool,
    /// Where it is written.
    pub place: Place,
    /// One line, with the unit.
    pub doc: Text,
}

impl Param {
    /// Whether it is a position, or a list of them.
    pub fn counts_positions(&self) -> bool {
        counts_positions(&self.ty)
    }
}

/// Whether a type's words say that it counts positions.
pub fn counts_positions(ty: &str) -> bool {
    ty.split(['|', ' ']).any(|word| word == "index" || word == "dim")
}

/// A default value as documentation of Lua writes it.
pub fn literal(value: &Value) -> String {
    literal_in(value, Language::Lua)
}

/// A default value as documentation writes it.
pub fn literal_in(value: &Value, language: Language) -> String {
    let lua = language == Language::Lua;
    let list = |items: Vec<String>, open: &str, close: &str| format!("{open}{}{close}", items.join(", "));
    match value {
        Value::Nil => if lua { "nil" } else { "()" }.into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Str(s) => format!("{s:?}"),
        Value::List(l) => {
            let (open, close) = if lua { ("{", "}") } else { ("[", "]") };
            list(l.iter().map(|v| literal_in(v, language)).collect(), open, close)
        }
        Value::Map(m) => {
            let (open, set) = if lua { ("{", " =") } else { ("#{", ":") };
            list(m.iter().map(|(k, v)| format!("{k}{set} {}", literal_in(v, language))).collect(), open, "}")
        }
        other => other.type_name().into(),
    }
}
