//! Comma- and tab-separated values with a header line.

use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

use super::open::{failed, open};
use super::quotes::Quotes;
use super::rows::{ROW_BYTES, Rows, entry_bytes};
use crate::{Error, Result};

/// The rows of a file whose fields are parted by `delimiter`. Values stay strings.
pub fn read(rows: &mut Rows<'_>, delimiter: u8) -> Result<()> {
    let path = rows.path;
    let file = open(rows)?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(true)
        .from_reader(Quotes::new(file, delimiter));
    let read = records(rows, &mut reader);
    // A quote that is never closed takes all that follows into one field: whatever else seems wrong is wrong by it.
    if let Some(line) = reader.get_ref().open_at_the_end() {
        return Err(Error::format(
            path,
            format!("line {line}: a quote is opened and never closed, so all lines after it are one field"),
        ));
    }
    read
}

fn records(rows: &mut Rows<'_>, reader: &mut csv::Reader<Quotes<Box<dyn BufRead>>>) -> Result<()> {
    let path = rows.path;
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
    let own = ROW_BYTES + names.iter().map(|name| entry_bytes(name)).sum::<u64>();
    let mut record = csv::StringRecord::new();
    while !rows.full() && reader.read_record(&mut record).map_err(|e| wrong(path, e))? {
        rows.take(own + record.as_slice().len() as u64)?;
        let values = record.iter().map(|v| Value::String(v.to_string()));
        rows.push(names.iter().cloned().zip(values).collect());
    }
    Ok(())
}

/// The error of the reader with the line it happened on.
fn wrong(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map(csv::Position::line);
    match (error.into_kind(), line) {
        (csv::ErrorKind::Io(e), _) => failed(path, e),
        (csv::ErrorKind::UnequalLengths { expected_len, len, pos }, _) => {
            let line = pos.map_or(0, |p| p.line());
            Error::format(path, format!("line {line}: {len} fields where the header has {expected_len}"))
        }
        (csv::ErrorKind::Utf8 { .. }, line) => {
            Error::format(path, format!("line {}: not UTF-8 text", line.unwrap_or(1)))
        }
        (other, line) => Error::format(path, format!("line {}: {other:?}", line.unwrap_or(0))),
    }
}
