//! The headers of Parquet's pages, looked at before a page is unpacked: they say how large it becomes, and how many values
//! a dictionary has. (Thrift's compact protocol, of which only numbers on the way are read.)

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use ::parquet::file::metadata::ColumnChunkMetaData;

use super::super::rows::Rows;
use crate::{Error, Result};

/// The longest header that is believed; statistics in it may hold two values.
const LONGEST: u64 = 16 << 20;
/// What a value of a dictionary takes once it is unpacked.
const ENTRY_BYTES: u64 = 64;

/// What a page header says.
#[derive(Debug, Default, PartialEq)]
struct Header {
    /// Its own length.
    len: usize,
    unpacked: i64,
    packed: i64,
    /// The values of a dictionary.
    entries: i64,
}

/// Refuses a column one of whose pages cannot fit, or cannot be what its header says.
pub(super) fn check_pages(rows: &Rows<'_>, file: &mut File, column: &ColumnChunkMetaData) -> Result<()> {
    let path = rows.path;
    let name = column.column_path().string();
    let damaged = |what: &str| Error::format(path, format!("is damaged: a page of column `{name}` {what}"));
    let (start, length) = column.byte_range();
    let end = start.checked_add(length).ok_or_else(|| damaged("lies outside of the file"))?;
    let mut at = start;
    while at < end {
        let mut most = 1 << 12;
        let header = loop {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(at)).map_err(|e| Error::io(path, e))?;
            let read = Read::by_ref(file).take(most.min(end - at)).read_to_end(&mut bytes);
            read.map_err(|e| Error::io(path, e))?;
            match header(&bytes) {
                Some(header) => break header,
                None if most < end - at && most < LONGEST => most *= 16,
                None => return Err(damaged("has a header that makes no sense")),
            }
        };
        let number = |n: i64| u64::try_from(n).map_err(|_| damaged("has a negative size"));
        let (unpacked, packed, entries) =
            (number(header.unpacked)?, number(header.packed)?, number(header.entries)?);
        rows.fits(unpacked)?;
        // Each value of a dictionary takes a byte at least.
        if entries > unpacked {
            return Err(damaged("has a dictionary of more values than bytes"));
        }
        rows.fits(entries.saturating_mul(ENTRY_BYTES))?;
        at = at.saturating_add(header.len as u64).saturating_add(packed);
    }
    Ok(())
}

/// Reads a header; `None` if the bytes end in it, or are none.
fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader { bytes, at: 0 };
    let mut header = Header::default();
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (2, I32) => header.unpacked = reader.number()?,
            (3, I32) => header.packed = reader.number()?,
            // The header of a dictionary.
            (7, STRUCT) => reader.fields(|reader, id, kind| match (id, kind) {
                (1, I32) => {
                    header.entries = reader.number()?;
                    Some(())
                }
                _ => reader.skip(kind, 0),
            })?,
            _ => reader.skip(kind, 0)?,
        }
        Some(())
    })?;
    header.len = reader.at;
    Some(header)
}

const I32: u8 = 5;
const STRUCT: u8 = 12;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn over(&mut self, count: u64) -> Option<()> {
        let at = self.at.checked_add(usize::try_from(count).ok()?)?;
        self.at = at;
        (at <= self.bytes.len()).then_some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number with a sign.
    fn number(&mut self) -> Option<i64> {
        let n = self.varint()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// Gives each field of a struct to `visit`, which reads it: its number and its type.
    fn fields(&mut self, mut visit: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0;
        loop {
            let byte = self.byte()?;
            let (step, kind) = (byte >> 4, byte & 15);
            if kind == 0 {
                return Some(());
            }
            id = if step == 0 { self.number()? } else { id + i64::from(step) };
            visit(self, id, kind)?;
        }
    }

    /// Passes over a value.
    fn skip(&mut self, kind: u8, depth: u8) -> Option<()> {
        if depth > 16 {
            return None;
        }
        match kind {
            // True and false are said by the type.
            1 | 2 => Some(()),
            3 => self.over(1),
            4..=6 => self.varint().map(drop),
            7 => self.over(8),
            8 => {
                let len = self.varint()?;
                self.over(len)
            }
            9 | 10 => {
                let byte = self.byte()?;
                let (short, kind) = (u64::from(byte >> 4), byte & 15);
                let count = if short == 15 { self.varint()? } else { short };
                for _ in 0..count {
                    // In a list a truth value takes a byte.
                    if kind <= 2 { self.over(1)? } else { self.skip(kind, depth + 1)? }
                }
                Some(())
            }
            STRUCT => self.fields(|reader, _, kind| reader.skip(kind, depth + 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_a_header_are_read_whatever_else_is_in_it() {
        // 1: type 2, 2: 300, 3: 20, 4: a checksum, 7: {1: 5 values, 2: an encoding, 3: sorted}, 8: {1: {8: bytes}}.
        let bytes = [
            0x15, 0x04, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x15, 0x01, 0x3c, 0x15, 0x0a, 0x15, 0x00, 0x11, 0x00,
            0x1c, 0x1c, 0x88, 0x02, b'a', b'b', 0x00, 0x00, 0x00,
        ];
        let want = Header { len: bytes.len(), unpacked: 300, packed: 20, entries: 5 };
        assert_eq!(header(&bytes), Some(want));
        for cut in 0..bytes.len() {
            assert_eq!(header(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
