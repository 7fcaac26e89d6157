//! A data file as a stream of bytes, unpacked where it is packed (gzip, zstd). What unpacks is bounded by what the rows of
//! the file may take.

use std::fs::File;
use std::io::{BufRead, BufReader, Error as IoError, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::rows::Rows;
use crate::host::{self, read_foreign, refuse_pointer};
use crate::{Error, Result};

const BUFFER: usize = 1 << 18;
/// The largest window of zstd, as a power of two, that a run with limits takes, and any other (the program's own limits for
/// all levels but the extreme ones, and for any file).
const WINDOWS: [u32; 2] = [23, 27];

/// The endings of packed files.
pub(super) const PACKED: [&str; 3] = ["gz", "zst", "zstd"];

/// Opens the file, whose text may be packed whatever its name is. A Git LFS pointer in its place is an error.
pub(super) fn open(rows: &Rows<'_>) -> Result<Box<dyn BufRead>> {
    let failed = |e| Error::io(rows.path, e);
    let mut reader = BufReader::with_capacity(BUFFER, File::open(rows.path).map_err(failed)?);
    let head = reader.fill_buf().map_err(failed)?;
    refuse_pointer(rows.path, head)?;
    let (kind, inner): (_, Box<dyn Read>) = match packing(head) {
        None => return Ok(Box::new(reader)),
        Some(Packing::Gzip) => ("gzip", Box::new(MultiGzDecoder::new(reader))),
        Some(Packing::Zstd) => {
            let mut decoder = Decoder::with_buffer(reader).map_err(failed)?;
            decoder.window_log_max(WINDOWS[usize::from(!rows.is_limited())]).map_err(failed)?;
            ("zstd", Box::new(decoder))
        }
    };
    let unpacked =
        Unpacked { inner, kind, path: rows.path.to_path_buf(), left: rows.most(), most: rows.most() };
    Ok(Box::new(BufReader::with_capacity(BUFFER, unpacked)))
}

/// An error if the file is packed as a whole: for formats that pack their parts themselves.
pub(super) fn refuse_packed(rows: &Rows<'_>) -> Result<()> {
    let mut head = Vec::new();
    let file = File::open(rows.path).map_err(|e| Error::io(rows.path, e))?;
    file.take(64).read_to_end(&mut head).map_err(|e| Error::io(rows.path, e))?;
    refuse_pointer(rows.path, &head)?;
    match packing(&head) {
        Some(_) => Err(Error::format(
            rows.path,
            "is packed as a whole, which for Parquet is not read: unpack it first",
        )),
        None => Ok(()),
    }
}

enum Packing {
    Gzip,
    Zstd,
}

/// How a file that begins with these bytes is packed. No text begins with them.
fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        _ => None,
    }
}

/// The text of a packed file, up to a bound.
struct Unpacked {
    inner: Box<dyn Read>,
    kind: &'static str,
    path: PathBuf,
    left: u64,
    most: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (inner, kind) = (&mut self.inner, self.kind);
        let read = read_foreign(&self.path, kind, || {
            inner.read(buffer).map_err(|e| {
                Error::format(
                    &self.path,
                    format!("is damaged, or cut short: as {kind} it ends in error ({e})"),
                )
            })
        });
        let n = read.map_err(IoError::other)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            IoError::other(Error::from(host::Error::limit(format!(
                "{}: unpacks to more than {} MiB, which is all that this run may use or far more than a file of its size \
                 should stand for; read fewer rows (limit = N), unpack it, or split it",
                self.path.display(),
                self.most >> 20
            ))))
        })?;
        Ok(n)
    }
}

/// What went wrong while the file at `path` was read by way of [`open`].
pub(super) fn failed(path: &Path, error: IoError) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(system) => Error::io(path, system),
    }
}
