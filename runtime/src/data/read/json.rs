//! JSON and JSON lines.

use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::Row;
use super::counted::Counted;
use super::open::{failed, open};
use super::rows::{ROW_BYTES, Rows};
use crate::{Error, Result};

/// Bytes of a file that are read at a time where it is read as a whole.
const PIECE: u64 = 1 << 20;

/// One object a line; empty lines are skipped.
pub fn read_lines(rows: &mut Rows<'_>) -> Result<()> {
    let path = rows.path;
    let mut reader = open(rows)?;
    let mut line = String::new();
    for number in 1.. {
        if rows.full() {
            break;
        }
        // Empty lines ask for nothing, and there may be any number of them.
        rows.fits(0)?;
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Error::format(path, format!("line {number}: not UTF-8 text")));
            }
            Err(e) => return Err(failed(path, e)),
        }
        // A byte order mark is not part of the first object.
        let text = line.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        if rows.number() == 1 && text.starts_with('[') {
            // One array of all rows, under the ending of lines.
            drop(reader);
            return read_whole(rows);
        }
        rows.take(ROW_BYTES)?;
        let mut failed = None;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Counted { rows, failed: &mut failed }
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        let value = value.map_err(|e| {
            failed.unwrap_or_else(|| {
                Error::format(path, format!("line {number}, column {}: not a JSON object: {e}", e.column()))
            })
        })?;
        rows.push(object(value).map_err(|kind| {
            Error::format(path, format!("line {number}: a row must be a JSON object, this is {kind}"))
        })?);
    }
    Ok(())
}

/// An array of objects, or objects one after the other (JSON lines under another ending).
pub fn read_whole(rows: &mut Rows<'_>) -> Result<()> {
    let path = rows.path;
    let bytes = whole(rows)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut failed = None;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    while !rows.full() {
        // Between values there may be white space; at the end there is nothing.
        if deserializer.end().is_ok() {
            break;
        }
        let one = Items { rows, failed: &mut failed };
        if let Err(e) = one.deserialize(&mut deserializer) {
            // The parser's message ends in the line and column.
            return Err(failed.unwrap_or_else(|| match not_text(text) {
                Some(line) => {
                    let row = rows.number();
                    Error::format(path, format!("row {row}: not UTF-8 text (line {line} of the file)"))
                }
                None => Error::format(path, format!("not valid JSON: {e}")),
            }));
        }
    }
    Ok(())
}

/// All bytes of the file, unpacked.
fn whole(rows: &Rows<'_>) -> Result<Vec<u8>> {
    let mut reader = open(rows)?;
    let mut bytes = Vec::new();
    loop {
        let read = reader.by_ref().take(PIECE).read_to_end(&mut bytes).map_err(|e| failed(rows.path, e))?;
        if read == 0 {
            return Ok(bytes);
        }
        rows.fits(bytes.len() as u64)?;
    }
}

/// The line, from 1, of the first byte that is not of UTF-8 text.
fn not_text(bytes: &[u8]) -> Option<usize> {
    let valid = std::str::from_utf8(bytes).err()?.valid_up_to();
    Some(bytes[..valid].iter().filter(|byte| **byte == b'\n').count() + 1)
}

/// A row, or an array of rows.
struct Items<'a, 'r> {
    rows: &'a mut Rows<'r>,
    failed: &'a mut Option<Error>,
}

impl Items<'_, '_> {
    fn row<E: serde::de::Error>(&mut self, value: Value) -> std::result::Result<(), E> {
        let (path, number) = (self.rows.path, self.rows.number());
        let row = object(value).map_err(|kind| {
            *self.failed = Some(Error::format(
                path,
                format!("row {number}: a row must be a JSON object, this is {kind}"),
            ));
            E::custom("not a row")
        })?;
        self.rows.take(ROW_BYTES).map_err(|e| {
            let text = E::custom(&e);
            *self.failed = Some(e);
            text
        })?;
        self.rows.push(row);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object, or an array of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> std::result::Result<(), A::Error> {
        while let Some(value) = items.next_element_seed(Counted { rows: self.rows, failed: self.failed })? {
            if self.rows.full() {
                // What follows is read, as a parser must, and not kept.
                while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                break;
            }
            self.row(value)?;
        }
        Ok(())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(mut self, items: A) -> std::result::Result<(), A::Error> {
        let value = Counted { rows: self.rows, failed: self.failed }.visit_map(items)?;
        self.row(value)
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> std::result::Result<(), E> {
        self.row(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(mut self, v: bool) -> std::result::Result<(), E> {
        self.row(Value::Bool(v))
    }

    fn visit_f64<E: serde::de::Error>(mut self, v: f64) -> std::result::Result<(), E> {
        self.row(Value::from(v))
    }

    fn visit_i64<E: serde::de::Error>(mut self, v: i64) -> std::result::Result<(), E> {
        self.row(Value::from(v))
    }

    fn visit_u64<E: serde::de::Error>(mut self, v: u64) -> std::result::Result<(), E> {
        self.row(Value::from(v))
    }

    fn visit_str<E: serde::de::Error>(mut self, v: &str) -> std::result::Result<(), E> {
        self.row(Value::from(v))
    }
}

/// The object in `value`, or what it is instead.
fn object(value: Value) -> std::result::Result<Row, &'static str> {
    match value {
        Value::Object(row) => Ok(row),
        Value::Null => Err("null"),
        Value::Bool(_) => Err("a boolean"),
        Value::Number(_) => Err("a number"),
        Value::String(_) => Err("a string"),
        Value::Array(_) => Err("an array"),
    }
}
