//! JSON and JSON lines.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::Row;
use crate::{Error, Result};

/// One object a line; empty lines are skipped.
pub fn read_lines(path: &Path) -> Result<Vec<Row>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut rows = Vec::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Error::format(path, format!("line {number}: not UTF-8 text")));
            }
            Err(e) => return Err(Error::io(path, e)),
        }
        // A byte order mark is not part of the first object.
        let text = line.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        let value = serde_json::from_str(text).map_err(|e| {
            Error::format(path, format!("line {number}, column {}: not a JSON object: {e}", e.column()))
        })?;
        rows.push(object(value).map_err(|kind| {
            Error::format(path, format!("line {number}: a row must be a JSON object, this is {kind}"))
        })?);
    }
    Ok(rows)
}

/// An array of objects, or objects one after the other (JSON lines under another ending).
pub fn read_whole(path: &Path) -> Result<Vec<Row>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut rows = Vec::new();
    let mut row = |value| {
        let number = rows.len() + 1;
        rows.push(object(value).map_err(|kind| {
            Error::format(path, format!("row {number}: a row must be a JSON object, this is {kind}"))
        })?);
        Ok::<_, Error>(())
    };
    for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        // The parser's message ends in the line and column.
        match value.map_err(|e| Error::format(path, format!("not valid JSON: {e}")))? {
            Value::Array(items) => items.into_iter().try_for_each(&mut row)?,
            other => row(other)?,
        }
    }
    Ok(rows)
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
