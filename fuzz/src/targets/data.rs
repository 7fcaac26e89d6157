//! Data files, read under the limit that an untrusted script would have.

use lota_runtime::data::{Format, ReadLimits, read};

use crate::place;

fn rows(bytes: &[u8], format: Format) -> bool {
    let path = place::file("rows", bytes);
    let limits = ReadLimits { rows: None, memory: Some(64 << 20) };
    let all = read(&path, Some(format), limits, &place::host());
    let Ok(all) = all else { return false };
    // The first rows of a file are the first of all its rows.
    let few = ReadLimits { rows: Some(2), ..limits };
    let first = read(&path, Some(format), few, &place::host()).expect("all of it was read");
    assert_eq!(first, all[..all.len().min(2)], "the first rows are others than those of all");
    true
}

/// JSON, one object a line.
pub fn jsonl(bytes: &[u8]) -> bool {
    rows(bytes, Format::JsonLines)
}

/// JSON, an array of objects.
pub fn json(bytes: &[u8]) -> bool {
    rows(bytes, Format::Json)
}

/// Comma-separated values.
pub fn csv(bytes: &[u8]) -> bool {
    rows(bytes, Format::Csv)
}

/// Tab-separated values.
pub fn tsv(bytes: &[u8]) -> bool {
    rows(bytes, Format::Tsv)
}

/// Parquet.
pub fn parquet(bytes: &[u8]) -> bool {
    rows(bytes, Format::Parquet)
}
