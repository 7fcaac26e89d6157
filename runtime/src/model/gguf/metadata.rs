//! The key-value part of a GGUF file, and reading it with errors that name the key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use crate::{Error, Result};

/// A value of the metadata. Numbers of all widths are f64, which holds every integer that occurs;
/// the f32 of a file is the decimal it was written as (1e-5, not 9.999999747e-6).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Flag(bool),
    Text(String),
    Numbers(Vec<f64>),
    Flags(Vec<bool>),
    Texts(Vec<String>),
    /// Lists of lists, which nothing here needs.
    Other,
}

/// The metadata of a file.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

impl Metadata {
    pub(crate) fn new(path: &Path, values: HashMap<String, Value>) -> Self {
        Self { path: path.to_path_buf(), values }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The error for a value that is needed and absent.
    pub(crate) fn missing(&self, key: &str) -> Error {
        Error::format(&self.path, format!("the metadata has no {key}, which is needed"))
    }

    fn wrong(&self, key: &str, wanted: &str) -> Error {
        Error::format(&self.path, format!("the metadata's {key} is not {wanted}"))
    }

    /// A number, if there.
    pub(crate) fn number_or(&self, key: &str) -> Result<Option<f64>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Number(n)) => Ok(Some(*n)),
            Some(_) => Err(self.wrong(key, "a number")),
        }
    }

    /// A number that must be there.
    pub(crate) fn number(&self, key: &str) -> Result<f64> {
        self.number_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number from 0, if there. A list whose entries are all the same counts as one.
    pub(crate) fn size_or(&self, key: &str) -> Result<Option<usize>> {
        let number = match self.values.get(key) {
            None => return Ok(None),
            Some(Value::Number(n)) => *n,
            Some(Value::Numbers(list)) if !list.is_empty() && list.iter().all(|n| *n == list[0]) => list[0],
            Some(Value::Numbers(_)) => {
                return Err(self.wrong(key, "the same for every layer, which is needed"));
            }
            Some(_) => return Err(self.wrong(key, "a number")),
        };
        if number >= 0.0 && number.fract() == 0.0 && number < 2f64.powi(53) {
            Ok(Some(number as usize))
        } else {
            Err(self.wrong(key, "a whole number"))
        }
    }

    /// A whole number that must be there.
    pub(crate) fn size(&self, key: &str) -> Result<usize> {
        self.size_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A token id, if there.
    pub(crate) fn id_or(&self, key: &str) -> Result<Option<u32>> {
        self.size_or(key)?.map(|n| u32::try_from(n).map_err(|_| self.wrong(key, "a token id"))).transpose()
    }

    /// True or false, if there.
    pub(crate) fn flag_or(&self, key: &str) -> Result<Option<bool>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Flag(b)) => Ok(Some(*b)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A string, if there.
    pub(crate) fn text_or(&self, key: &str) -> Result<Option<&str>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(s)) => Ok(Some(s)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// A string that must be there.
    pub(crate) fn text(&self, key: &str) -> Result<&str> {
        self.text_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A list of strings, if there.
    pub(crate) fn texts_or(&self, key: &str) -> Result<Option<&[String]>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Texts(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(key, "a list of strings")),
        }
    }

    /// A list of strings that must be there.
    pub(crate) fn texts(&self, key: &str) -> Result<&[String]> {
        self.texts_or(key)?.ok_or_else(|| self.missing(key))
    }

    /// A list of numbers, if there.
    pub(crate) fn numbers_or(&self, key: &str) -> Result<Option<&[f64]>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Numbers(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(key, "a list of numbers")),
        }
    }
}

/// Reads a string; bytes that are not UTF-8 become replacement characters.
pub(super) fn text(c: &mut Cursor<'_>, version: u32) -> Option<String> {
    let length = length(c, version)?;
    c.take(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Reads a count: 32 bits in the first version of the format, 64 since.
pub(super) fn length(c: &mut Cursor<'_>, version: u32) -> Option<u64> {
    if version == 1 { c.u32().map(u64::from) } else { c.u64() }
}

const FLAG: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// Reads a value of the kind that stands before it.
pub(super) fn value(c: &mut Cursor<'_>, version: u32) -> Option<Value> {
    match c.u32()? {
        FLAG => Some(Value::Flag(c.u8()? != 0)),
        TEXT => text(c, version).map(Value::Text),
        LIST => list(c, version, 0),
        kind => number(c, kind).map(Value::Number),
    }
}

fn list(c: &mut Cursor<'_>, version: u32, depth: usize) -> Option<Value> {
    let kind = c.u32()?;
    let count = length(c, version)?;
    // Each entry takes a byte at least: a larger count is damage, and must not reserve memory.
    if count > c.left() || depth > 4 {
        return None;
    }
    match kind {
        FLAG => (0..count).map(|_| c.u8().map(|b| b != 0)).collect::<Option<_>>().map(Value::Flags),
        TEXT => (0..count).map(|_| text(c, version)).collect::<Option<_>>().map(Value::Texts),
        LIST => (0..count).try_for_each(|_| list(c, version, depth + 1).map(drop)).map(|()| Value::Other),
        kind => (0..count).map(|_| number(c, kind)).collect::<Option<_>>().map(Value::Numbers),
    }
}

fn number(c: &mut Cursor<'_>, kind: u32) -> Option<f64> {
    match kind {
        0 => c.u8().map(f64::from),
        1 => c.u8().map(|b| f64::from(b as i8)),
        2 => c.u16().map(f64::from),
        3 => c.u16().map(|b| f64::from(b as i16)),
        4 => c.u32().map(f64::from),
        5 => c.u32().map(|b| f64::from(b as i32)),
        6 => c.f32().map(decimal),
        10 => c.u64().map(|b| b as f64),
        11 => c.u64().map(|b| b as i64 as f64),
        12 => c.f64(),
        _ => None,
    }
}

/// The f64 nearest to the shortest decimal that means this f32.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
