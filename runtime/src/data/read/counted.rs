//! JSON values whose memory is asked for while they are read, so that a short text cannot become a large value.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::rows::{Rows, entry_bytes, unsigned};
use crate::Error;

/// Reads a value; what goes wrong with its memory is left in `failed`, which then is the error.
pub(super) struct Counted<'a, 'r> {
    pub rows: &'a mut Rows<'r>,
    pub failed: &'a mut Option<Error>,
}

impl<'r> Counted<'_, 'r> {
    fn again(&mut self) -> Counted<'_, 'r> {
        Counted { rows: self.rows, failed: self.failed }
    }

    fn take<E: serde::de::Error>(&mut self, bytes: u64) -> Result<(), E> {
        self.rows.take(bytes).map_err(|e| {
            let text = E::custom(&e);
            *self.failed = Some(e);
            text
        })
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(unsigned(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(mut self, v: &str) -> Result<Value, E> {
        self.take(v.len() as u64)?;
        Ok(Value::String(v.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(self.again())? {
            self.take(std::mem::size_of::<Value>() as u64)?;
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(name) = items.next_key::<String>()? {
            self.take(entry_bytes(&name))?;
            let value = items.next_value_seed(self.again())?;
            if out.contains_key(&name) {
                return Err(A::Error::custom(format!("two fields are called `{name}`")));
            }
            out.insert(name, value);
        }
        Ok(Value::Object(out))
    }
}
