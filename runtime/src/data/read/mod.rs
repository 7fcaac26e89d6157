//! Rows of a data file, whatever its format: JSON lines, JSON, CSV, TSV or Parquet.
//!
//! A row is a JSON object with its fields in the file's order. CSV has no types, so its values
//! stay strings. Every error names the file and, where the format has lines, the line.

mod counted;
mod json;
mod open;
mod parquet;
mod quotes;
mod rows;
mod table;

use std::path::Path;

use self::open::{PACKED, refuse_packed};
pub use self::rows::ReadLimits;
use self::rows::Rows;
use crate::host::Host;
use crate::{Error, Result};

/// One row: field names to values.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// An array of objects, or objects one after the other.
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// All formats with the names and endings they go by.
    pub const NAMES: [(&'static str, Format); 7] = [
        ("jsonl", Format::JsonLines),
        ("ndjson", Format::JsonLines),
        ("json", Format::Json),
        ("csv", Format::Csv),
        ("tsv", Format::Tsv),
        ("parquet", Format::Parquet),
        ("pq", Format::Parquet),
    ];

    /// The format called `name`, which is also the usual ending of its files.
    pub fn named(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        Self::NAMES.iter().find(|(n, _)| *n == lower).map(|(_, f)| *f).ok_or_else(|| {
            let known = Self::NAMES.map(|(n, _)| n).join(", ");
            Error::argument(format!("unknown data format `{name}`; known: {known}"))
        })
    }

    /// The format that the ending of `path` stands for, without that of a packed file (`.gz`, `.zst`).
    pub fn of(path: &Path) -> Result<Self> {
        let is_packed =
            |path: &&Path| path.extension().is_some_and(|e| PACKED.iter().any(|packed| e == *packed));
        let bare = Some(path).filter(is_packed).and_then(Path::file_stem).map_or(path, Path::new);
        let ending = bare.extension().and_then(|e| e.to_str()).unwrap_or("");
        Self::named(ending).map_err(|_| {
            let known = Self::NAMES.map(|(n, _)| n).join(", ");
            Error::format(
                path,
                format!("the ending `{ending}` is not that of a data file ({known}); name the format"),
            )
        })
    }
}

/// The rows of the file at `path`, as far as `limits` go; `format` is taken from the file's ending where it is `None`.
///
/// JSON, CSV and TSV may be packed as a whole, by gzip or zstd.
///
/// What the rows take in memory is bounded by the size of their file, by a generous factor, and by `limits`. Integers
/// beyond 64 bits with a sign are text, as are dates and times (ISO 8601).
pub fn read(path: &Path, format: Option<Format>, limits: ReadLimits, host: &Host) -> Result<Vec<Row>> {
    let format = match format {
        Some(format) => format,
        None => Format::of(path)?,
    };
    // A device or a pipe has no size that could bound the work, and may have no end.
    if path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir()) {
        return Err(Error::format(path, "is neither a file nor a folder; copy what it gives into a file"));
    }
    let mut rows = Rows::new(path, limits, host)?;
    match format {
        Format::JsonLines => json::read_lines(&mut rows),
        Format::Json => json::read_whole(&mut rows),
        Format::Csv => table::read(&mut rows, b','),
        Format::Tsv => table::read(&mut rows, b'\t'),
        Format::Parquet => refuse_packed(&rows).and_then(|()| parquet::read(&mut rows, host)),
    }?;
    Ok(rows.finish())
}
