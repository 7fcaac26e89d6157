//! Reading serde types from a JSON value, with messages for users: where in the configuration, what is
//! wrong, and which key was probably meant.

use std::fmt::Display;

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::merge::nearest::did_you_mean;
use crate::{Error, Result};

/// Reads `T`. Errors begin with the path of the value that is wrong, as in `models[0].parameters`.
pub(super) fn read<'v, T: Deserialize<'v>>(value: &'v Value) -> Result<T> {
    serde_path_to_error::deserialize(Node(value)).map_err(|e| {
        let place = place(e.path());
        Error::argument(e.into_inner().at(&place))
    })
}

/// A path in the usual notation: names separated by dots, positions in brackets.
fn place(path: &Path) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text += &format!("[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                // Tokens may hold anything, dots and spaces too.
                let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
                match (plain, text.is_empty()) {
                    (true, true) => text += key,
                    (true, false) => text += &format!(".{key}"),
                    (false, _) => text += &format!("[{key:?}]"),
                }
            }
            Segment::Unknown => {}
        }
    }
    text
}

/// What serde found wrong with a value.
#[derive(Debug)]
pub(super) enum Fault {
    /// A key that its map does not have.
    Unknown { key: String, known: &'static [&'static str] },
    /// Anything else, in words.
    Other(String),
}

impl Fault {
    /// The message, for a value at this path.
    fn at(&self, place: &str) -> String {
        match self {
            Self::Unknown { key, known } => {
                // The path ends with the key; the message names the map that it stands in.
                let bracketed = format!("[{key:?}]");
                let parent = place.strip_suffix(key.as_str()).or_else(|| place.strip_suffix(&bracketed));
                let parent = parent.map_or(place, |p| p.strip_suffix('.').unwrap_or(p));
                let parent = if parent.is_empty() { "the configuration" } else { parent };
                let hint = match did_you_mean(key, known.iter().copied()) {
                    near if !near.is_empty() => near,
                    _ => format!("; known are {}", known.join(", ")),
                };
                format!("{parent}: unknown key {key:?}{hint}")
            }
            Self::Other(what) if place.is_empty() => format!("the configuration {what}"),
            Self::Other(what) => format!("{place}: {what}"),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.at(""))
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: Display>(what: T) -> Self {
        Self::Other(what.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        // Serde's own word for a list.
        let wanted = wanted.to_string().replace("a sequence", "a list");
        Self::Other(format!("must be {wanted}, not {}", words(found)))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown { key: field.to_string(), known: expected }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Other(format!("has no {field}"))
    }
}

/// What was found, in the words of YAML.
fn words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(b) => b.to_string(),
        Unexpected::Unsigned(n) => n.to_string(),
        Unexpected::Signed(n) => n.to_string(),
        Unexpected::Float(x) => x.to_string(),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unit | Unexpected::Option => "empty".to_string(),
        Unexpected::Seq => "a list".to_string(),
        Unexpected::Map => "a map".to_string(),
        other => other.to_string(),
    }
}

/// A JSON value as a source of serde's data, with [`Fault`]s as errors.
#[derive(Clone, Copy)]
struct Node<'v>(&'v Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (None, Some(n)) => visitor.visit_i64(n),
                (None, None) => visitor.visit_f64(n.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Node));
                let made = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(made)
            }
            Value::Object(map) => {
                let mut entries = MapDeserializer::new(map.iter().map(|(k, v)| (k.as_str(), Node(v))));
                let made = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(made)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'v> IntoDeserializer<'v, Fault> for Node<'v> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
