//! The two containers that `torch.save` writes: a zip archive of a pickle and its storages, and,
//! before version 1.6, a row of pickles followed by the storages.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::pickle::{self, Value};
use crate::host::{read_foreign, refuse_pointer};
use crate::{Error, Result};

/// The longest pickle that is believed: names and shapes, no numbers.
const MAX_PICKLE: u64 = 64 << 20;
/// How the old format begins: a pickle of its magic number (after the pickle's version).
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// An opened file: what was pickled, and where its storages are.
pub(crate) struct Container {
    /// The pickled value.
    pub(crate) value: Value,
    /// The storages that it refers to.
    pub(crate) records: Records,
}

/// The storages of a file, by the names that the pickle gives them.
pub(crate) struct Records {
    path: PathBuf,
    source: Source,
    /// The last one that was read, and how much of it was asked for: tensors may share it.
    last: Option<(String, usize, Vec<u8>)>,
}

enum Source {
    Zip {
        archive: Box<zip::ZipArchive<BufReader<File>>>,
        root: String,
    },
    /// Their names in the order in which they lie, from `start` on, and where they are found to be.
    Row {
        file: BufReader<File>,
        start: u64,
        names: Vec<String>,
        places: HashMap<String, (u64, usize)>,
    },
}

fn alien(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::format(path, format!("is not a file of tensors as torch.save writes it: {why}"))
}

fn big_endian(path: &Path) -> Error {
    Error::format(path, "was written on a big-endian machine, which is not supported")
}

impl Container {
    /// Opens a file and reads its pickle. Nothing in it is run.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let mut head = Vec::new();
        file.by_ref().take(64).read_to_end(&mut head).map_err(io)?;
        file.rewind().map_err(io)?;
        refuse_pointer(path, &head)?;
        let (source, value) = match &head[..] {
            head if begins_as_zip(head) => {
                let (archive, root, value) = open_zip(path, file)?;
                (Source::Zip { archive: Box::new(archive), root }, value)
            }
            [0x80, _, rest @ ..] if rest.starts_with(MAGIC) => row(path, file)?,
            [0x80, ..] => {
                return Err(alien(path, "it is a bare pickle, of which nothing was run"));
            }
            _ => {
                return Err(alien(path, "it begins neither as a zip archive nor as the format before 1.6"));
            }
        };
        Ok(Self { value, records: Records { path: path.to_path_buf(), source, last: None } })
    }
}

/// Whether a file that begins with these bytes is a zip archive.
pub(crate) fn begins_as_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK")
}

/// Opens the zip archive that a file is: the archive, what its storages are called before their own names, and the value
/// that was saved.
pub(crate) fn open_zip<R: Read + Seek>(path: &Path, file: R) -> Result<(zip::ZipArchive<R>, String, Value)> {
    let open = || zip::ZipArchive::new(file).map_err(|e| alien(path, e));
    let mut archive = read_foreign(path, "a zip archive", open)?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let root = names.iter().find_map(|name| name.strip_suffix("data.pkl"));
    let root = root.ok_or_else(|| alien(path, "it has no data.pkl"))?;
    if names.iter().any(|name| name.strip_prefix(root) == Some("byteorder"))
        && unzip(path, &mut archive, &format!("{root}byteorder"), 16)? != b"little"
    {
        return Err(big_endian(path));
    }
    let pickled = unzip(path, &mut archive, &format!("{root}data.pkl"), MAX_PICKLE)?;
    let (value, _) = pickle::parse(&pickled).map_err(|why| alien(path, why))?;
    let root = format!("{root}data/");
    Ok((archive, root, value))
}

/// A record that is at most `limit` bytes long.
fn unzip(
    path: &Path,
    archive: &mut zip::ZipArchive<impl Read + Seek>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>> {
    let bytes = unzip_begin(path, archive, name, limit.saturating_add(1))?;
    if bytes.len() as u64 > limit {
        return Err(Error::format(path, format!("is damaged: its record {name} is too long")));
    }
    Ok(bytes)
}

/// The first `most` bytes of a record, or all if it is shorter. A record that is packed can be any number of times as
/// long as its file: no more of it is unpacked than is wanted.
fn unzip_begin(
    path: &Path,
    archive: &mut zip::ZipArchive<impl Read + Seek>,
    name: &str,
    most: u64,
) -> Result<Vec<u8>> {
    read_foreign(path, "a zip archive", || {
        let entry = archive.by_name(name).map_err(|e| alien(path, format!("{name}: {e}")))?;
        let mut bytes = Vec::new();
        // One more, so that the reader comes to the end of a record that is wanted whole, and compares its checksum.
        let read = entry.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| Error::format(path, format!("is damaged: {name}: {e}")))?;
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(bytes)
    })
}

fn row(path: &Path, mut file: BufReader<File>) -> Result<(Source, Value)> {
    let mut head = Vec::new();
    file.by_ref().take(MAX_PICKLE).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
    // After the magic number: the format's version, the machine, the value, the names of storages.
    let mut rest = &head[2 + MAGIC.len()..];
    let mut next = || -> Result<Value> {
        let (value, behind) = pickle::parse(rest).map_err(|why| alien(path, why))?;
        rest = behind;
        Ok(value)
    };
    match next()?.size() {
        Some(1001) => {}
        _ => return Err(alien(path, "its version is not 1001, the only one of the format before 1.6")),
    }
    let machine = next()?;
    let little = machine.pairs().and_then(|pairs| {
        pairs.iter().find_map(|(key, value)| (key.text() == Some("little_endian")).then_some(value))
    });
    if matches!(little, Some(Value::Bool(false))) {
        return Err(big_endian(path));
    }
    let (value, names) = (next()?, next()?);
    let names = names.items().and_then(|names| names.iter().map(|n| Some(n.text()?.to_string())).collect());
    let names = names.ok_or_else(|| alien(path, "it does not list its storages"))?;
    let start = (head.len() - rest.len()) as u64;
    Ok((Source::Row { file, start, names, places: HashMap::new() }, value))
}

impl Records {
    /// Finds all storages, given the bytes of an entry of each. A zip archive knows them already.
    pub(crate) fn locate(&mut self, widths: &HashMap<&str, usize>) -> Result<()> {
        let Source::Row { file, start, names, places } = &mut self.source else { return Ok(()) };
        let size = file.get_ref().metadata().map_err(|e| Error::io(&self.path, e))?.len();
        let mut at = *start;
        for name in names {
            let width = widths.get(name.as_str()).ok_or_else(|| {
                Error::format(&self.path, format!("has a storage {name} that belongs to no tensor"))
            })?;
            let mut count = [0; 8];
            let short = || Error::format(&self.path, "is cut short: copy or download it again");
            file.seek(SeekFrom::Start(at)).map_err(|_| short())?;
            file.read_exact(&mut count).map_err(|_| short())?;
            let bytes = usize::try_from(u64::from_le_bytes(count)).ok().and_then(|n| n.checked_mul(*width));
            let end = bytes.and_then(|bytes| (at + 8).checked_add(bytes as u64)).filter(|end| *end <= size);
            let (Some(bytes), Some(end)) = (bytes, end) else { return Err(short()) };
            places.insert(std::mem::take(name), (at + 8, bytes));
            at = end;
        }
        Ok(())
    }

    /// The first `most` bytes of a storage, or all if it is shorter.
    pub(crate) fn read(&mut self, name: &str, most: usize) -> Result<&[u8]> {
        if self.last.as_ref().is_none_or(|(last, of, _)| last != name || *of < most) {
            // The one before is dropped first: each may be as large as a model.
            self.last = None;
            let bytes = match &mut self.source {
                Source::Zip { archive, root } => {
                    unzip_begin(&self.path, archive, &format!("{root}{name}"), most as u64)?
                }
                Source::Row { file, places, .. } => {
                    let place = places.get(name).copied();
                    let (at, size) = place
                        .ok_or_else(|| Error::format(&self.path, format!("lacks the storage {name}")))?;
                    let mut bytes = vec![0; size.min(most)];
                    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes));
                    read.map_err(|e| Error::io(&self.path, e))?;
                    bytes
                }
            };
            self.last = Some((name.to_string(), most, bytes));
        }
        Ok(self.last.as_ref().map_or(&[], |(.., bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn of_a_packed_record_no_more_is_unpacked_than_is_wanted() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("packed.zip");
        let mut to = zip::ZipWriter::new(File::create(&path).expect("creates"));
        let packed =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        to.start_file("data/0", packed).expect("starts");
        to.write_all(&vec![7; 64 << 20]).expect("writes");
        to.finish().expect("closes");
        assert!(path.metadata().expect("is there").len() < 1 << 20);
        let open = || zip::ZipArchive::new(BufReader::new(File::open(&path).expect("opens"))).expect("a zip");
        let begin = unzip_begin(&path, &mut open(), "data/0", 100).expect("reads");
        assert_eq!(begin, [7; 100]);
        assert!(begin.capacity() < 1 << 20, "{}", begin.capacity());
        let error = unzip(&path, &mut open(), "data/0", 100).expect_err("longer").to_string();
        assert!(error.contains("too long"), "{error}");
    }
}
