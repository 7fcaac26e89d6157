//! The rows of a file while they are read: how many are wanted, and how much memory they may take.

use std::path::Path;

use serde_json::Value;

use super::Row;
use crate::host::{Cancel, Host};
use crate::{Error, Result};

/// What rows may take in memory for each byte of their file. Compression and repeated values make rows larger than their
/// file, by a factor of some hundreds in data of people; a file of some hundred bytes that stands for gigabytes is no data.
const PER_BYTE: u64 = 1000;
/// What the rows of a small file may take in any case.
const AT_LEAST: u64 = 256 << 20;

/// How much of a file is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadLimits {
    /// The most rows; reading ends there.
    pub rows: Option<usize>,
    /// The most bytes of memory for the rows; more are an error.
    pub memory: Option<u64>,
}

/// Rows that are being collected.
pub(super) struct Rows<'a> {
    pub path: &'a Path,
    cancel: &'a Cancel,
    rows: Vec<Row>,
    most_rows: usize,
    used: u64,
    most: u64,
    size: u64,
    /// The limit of the caller, where it is that which counts.
    given: bool,
}

impl<'a> Rows<'a> {
    pub fn new(path: &'a Path, limits: ReadLimits, host: &'a Host) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        let own = size.saturating_mul(PER_BYTE).max(AT_LEAST);
        let most = limits.memory.map_or(own, |given| given.min(own));
        let most_rows = limits.rows.unwrap_or(usize::MAX);
        Ok(Self {
            path,
            cancel: &host.cancel,
            rows: Vec::new(),
            most_rows,
            used: 0,
            most,
            size,
            given: most < own,
        })
    }

    /// The most bytes that its rows may take.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Whether the caller's limit is that which counts.
    pub fn is_limited(&self) -> bool {
        self.given
    }

    /// Whether all rows that are wanted are there.
    pub fn full(&self) -> bool {
        self.rows.len() >= self.most_rows
    }

    /// The number of the next row, from 1.
    pub fn number(&self) -> usize {
        self.rows.len() + 1
    }

    /// Adds a row whose memory has been asked for.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Asks for memory before it is taken, and whether to go on.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        self.cancel.check()?;
        self.used = self.used.saturating_add(bytes);
        if self.used <= self.most { Ok(()) } else { Err(self.too_large()) }
    }

    /// Refuses what would need `bytes` more than there are, without taking them.
    pub fn fits(&self, bytes: u64) -> Result<()> {
        self.cancel.check()?;
        if self.used.saturating_add(bytes) <= self.most { Ok(()) } else { Err(self.too_large()) }
    }

    fn too_large(&self) -> Error {
        let mib = self.most >> 20;
        let why = match self.given {
            true => "which is all this run may use".to_string(),
            false => format!("far more than a file of {} bytes should stand for", self.size),
        };
        Error::limit(format!(
            "{}: row {} and those before it need more than {mib} MiB of memory, {why}; read fewer rows (limit = N), or \
             split the file",
            self.path.display(),
            self.number()
        ))
    }

    pub fn finish(self) -> Vec<Row> {
        self.rows
    }
}

/// What an entry of a row or map takes, without what its value holds.
pub(super) fn entry_bytes(name: &str) -> u64 {
    (std::mem::size_of::<(u64, String, Value)>() + 16 + name.len()) as u64
}

/// A row's own memory.
pub(super) const ROW_BYTES: u64 = std::mem::size_of::<Row>() as u64;

/// A number of 64 bits without a sign. Scripts count with those of a sign: one that is too large for these stays exact as
/// text.
pub(super) fn unsigned(n: u64) -> Value {
    if i64::try_from(n).is_ok() { Value::from(n) } else { Value::String(n.to_string()) }
}
