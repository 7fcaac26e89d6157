//! Comma- and tab-separated values with a header line.

use std::path::Path;

use serde_json::Value;

use super::Row;
use crate::{Error, Result};

/// The rows of the file at `path`, whose fields are parted by `delimiter`. Values stay strings.
pub fn read(path: &Path, delimiter: u8) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(true)
        .from_path(path)
        .map_err(|e| wrong(path, e))?;
    let mut names: Vec<String> =
        reader.headers().map_err(|e| wrong(path, e))?.iter().map(str::to_string).collect();
    if let Some(first) = names.first_mut() {
        *first = first.trim_start_matches('\u{feff}').to_string();
    }
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(Error::format(path, format!("line 1: two columns are called `{name}`")));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| wrong(path, e))?;
        let values = record.iter().map(|v| Value::String(v.to_string()));
        rows.push(names.iter().cloned().zip(values).collect());
    }
    Ok(rows)
}

/// The error of the reader with the line it happened on.
fn wrong(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map(csv::Position::line);
    match (error.into_kind(), line) {
        (csv::ErrorKind::Io(e), _) => Error::io(path, e),
        (csv::ErrorKind::UnequalLengths { expected_len, len, pos }, _) => {
            let line = pos.map_or(0, |p| p.line());
            Error::format(path, format!("line {line}: {len} fields where the header has {expected_len}"))
        }
        (csv::ErrorKind::Utf8 { .. }, Some(line)) => {
            Error::format(path, format!("line {line}: not UTF-8 text"))
        }
        (other, line) => Error::format(path, format!("line {}: {other:?}", line.unwrap_or(0))),
    }
}
