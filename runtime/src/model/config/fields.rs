//! Reads values out of a configuration, with errors that name the key.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// A JSON object and the words that say which one it is.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    place: &'a str,
}

impl<'a> Fields<'a> {
    pub fn new(object: &'a Map<String, Value>, place: &'a str) -> Self {
        Self { object, place }
    }

    /// A value that is there and not null.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    /// Whether the key is there, be it with null.
    pub fn stated(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    /// A nested object.
    pub fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>> {
        self.value(key).map(|v| v.as_object().ok_or_else(|| self.wrong(key, "an object", v))).transpose()
    }

    /// The error for an absent value.
    pub fn missing(&self, key: &str) -> Error {
        Error::argument(format!("{} has no `{key}`, which this architecture needs", self.place))
    }

    /// The error for a value of the wrong kind.
    pub fn wrong(&self, key: &str, wanted: &str, found: &Value) -> Error {
        Error::argument(format!("`{key}` in {} must be {wanted}, but is {found}", self.place))
    }

    /// A positive integer, if there.
    pub fn size_or(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0) {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(key, "a positive integer", value)),
        }
    }

    /// An integer that may be 0, if there.
    pub fn size_or_zero(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(key, "an integer from 0", value)),
        }
    }

    /// A positive integer that must be there.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.size_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A finite positive number, if there.
    pub fn number_or(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_f64().filter(|x| x.is_finite() && *x > 0.0) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(key, "a positive number", value)),
        }
    }

    /// A finite positive number that must be there.
    pub fn number(&self, key: &str) -> Result<f64> {
        self.number_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A truth value, if there.
    pub fn flag_or(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "true or false", value))
    }

    /// A string, if there.
    pub fn text_or(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "a string", value))
    }

    /// A list, if there.
    pub fn list_or(&self, key: &str) -> Result<Option<&'a Vec<Value>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_array().map(Some).ok_or_else(|| self.wrong(key, "a list", value))
    }

    /// A token id or a list of them; empty if absent.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let one = |v: &Value| {
            v.as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| self.wrong(key, "a token id or a list of them", value))
        };
        match value {
            Value::Array(list) => list.iter().map(one).collect(),
            single => Ok(vec![one(single)?]),
        }
    }
}
