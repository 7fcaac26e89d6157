//! Sealed files: safetensors files (see [`crate::container`]) that say what they are and end with a hash of
//! everything before it. Masks, tickets and trainings are stored in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::container::{self, Declared, Entry, Header, Refusal};
use crate::{Error, Result, write_atomic};

/// The name of the tensor that holds the hash (BLAKE3, 32 bytes).
const CHECKSUM: &str = "checksum";

/// The kind of a file, as its metadata says it.
pub struct Kind {
    /// The word under `format`.
    pub format: &'static str,
    /// What people call it.
    pub noun: &'static str,
    /// The newest version that is read, and the one that is written.
    pub version: u32,
}

type Fill<'a> = Box<dyn Fn(&mut dyn Write) -> std::io::Result<()> + 'a>;

/// A tensor to be written.
pub struct Part<'a> {
    /// Its name.
    pub name: String,
    /// Its type: `F32`, `BF16`, `U8` or `I8`. Wider types are written first, so that all are aligned.
    pub dtype: &'static str,
    /// The number of entries; tensors here have one dimension.
    pub len: usize,
    /// Writes its bytes.
    pub write: Fill<'a>,
}

impl Part<'_> {
    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        (self.len * width(self.dtype).unwrap_or(1)) as u64
    }
}

/// The width in bytes of the types that are used here.
fn width(dtype: &str) -> Option<usize> {
    match dtype {
        "F32" => Some(4),
        "BF16" => Some(2),
        "U8" | "I8" => Some(1),
        _ => None,
    }
}

/// Passes bytes on, in either direction, and hashes them.
struct Hashing<W> {
    inner: W,
    hash: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }
}

/// Writes a file of this kind, and returns its size.
pub fn save(path: &Path, kind: &Kind, metadata: &[(&str, String)], mut parts: Vec<Part<'_>>) -> Result<u64> {
    parts.sort_by_key(|part| std::cmp::Reverse(width(part.dtype)));
    let version = kind.version.to_string();
    let mut about = vec![("format", kind.format), ("version", &version), ("lota", env!("CARGO_PKG_VERSION"))];
    about.extend(metadata.iter().map(|(key, value)| (*key, value.as_str())));
    let shapes: Vec<[usize; 1]> = parts.iter().map(|part| [part.len]).collect();
    let mut tensors: Vec<Declared<'_>> = parts
        .iter()
        .zip(&shapes)
        .map(|(part, shape)| Declared { name: &part.name, dtype: part.dtype, shape, bytes: part.bytes() })
        .collect();
    let sum = [blake3::OUT_LEN];
    tensors.push(Declared { name: CHECKSUM, dtype: "U8", shape: &sum, bytes: sum[0] as u64 });
    let header = container::header(&about, &tensors)?;
    write_atomic(path, |file| -> Result<()> {
        let io = |e| Error::io(path, e);
        let mut out = Hashing { inner: file, hash: blake3::Hasher::new() };
        out.write_all(&header).map_err(io)?;
        for (part, tensor) in parts.iter().zip(&tensors) {
            container::exactly(&mut out, tensor, |out| (part.write)(out).map_err(io))?;
        }
        let hash = out.hash.finalize();
        out.write_all(hash.as_bytes()).map_err(io)
    })?;
    Ok(header.len() as u64 + tensors.iter().map(|tensor| tensor.bytes).sum::<u64>())
}

/// A file of a known kind whose header has been read.
pub struct Archive {
    path: PathBuf,
    file: Hashing<BufReader<File>>,
    metadata: BTreeMap<String, String>,
    tensors: Vec<Entry>,
    noun: &'static str,
}

impl Archive {
    /// Opens a file and reads its header. A file of another kind, of a version from the future or
    /// of the wrong length is refused.
    pub fn open(path: &Path, kind: &Kind) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let inner = BufReader::with_capacity(1 << 20, file);
        let mut file = Hashing { inner, hash: blake3::Hasher::new() };
        let alien = || Error::format(path, format!("is not a {} file", kind.noun));
        let header = Header::read(&mut file, size).map_err(|refusal| match refusal {
            Refusal::Alien(_) => alien(),
            Refusal::Short { size, needed, tensor } => {
                let least = if tensor.is_none() { "at least " } else { "" };
                Error::format(
                    path,
                    format!(
                        "is cut short: it has {size} bytes of {least}{needed}; copy or download it again"
                    ),
                )
            }
            Refusal::Damaged(how) => Error::format(path, format!("is damaged: {how}")),
            other @ (Refusal::Io(_) | Refusal::Pointer) => other.at(path),
        })?;
        let Header { metadata, mut tensors } = header;
        if metadata.get("format").map(String::as_str) != Some(kind.format) {
            return Err(alien());
        }
        let sum = tensors.pop();
        let archive = Self { path: path.to_path_buf(), file, metadata, tensors, noun: kind.noun };
        let version: u32 = archive.parse("version")?;
        if version > kind.version {
            return Err(archive.error(format!(
                "is a {} file of version {version}, and this lota ({}) reads up to version {}: use a newer lota",
                kind.noun,
                env!("CARGO_PKG_VERSION"),
                kind.version
            )));
        }
        if !sum.is_some_and(|sum| sum.name == CHECKSUM && sum.bytes() == blake3::OUT_LEN as u64) {
            return Err(archive.damaged("it has no checksum at its end"));
        }
        let odd = archive.tensors.iter().find(|t| t.shape.len() != 1 || width(&t.dtype).is_none());
        match odd {
            Some(odd) => Err(archive.damaged(&format!("its tensor {} makes no sense", odd.name))),
            None => Ok(archive),
        }
    }

    /// A value of the metadata, or an error saying that it is missing.
    pub fn meta(&self, key: &str) -> Result<&str> {
        let value = self.metadata.get(key).map(String::as_str);
        value.ok_or_else(|| self.damaged(&format!("its metadata lack {key:?}")))
    }

    /// A value of the metadata that may be absent.
    pub fn optional(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A value of the metadata as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T> {
        serde_json::from_str(self.meta(key)?)
            .map_err(|e| self.damaged(&format!("its metadata under {key:?}: {e}")))
    }

    /// A value of the metadata as a number.
    pub fn parse<T: std::str::FromStr>(&self, key: &str) -> Result<T> {
        let text = self.meta(key)?;
        text.parse().map_err(|_| self.damaged(&format!("its metadata have {text:?} for {key:?}")))
    }

    /// The names and types of the tensors that have not been read yet.
    pub fn types(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dtype.as_str()))
    }

    /// An error about this file.
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::format(&self.path, what)
    }

    /// The error that this file is damaged.
    pub fn damaged(&self, how: &str) -> Error {
        self.error(format!("is damaged: {how}"))
    }

    /// The path of this file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all tensors in the order in which they lie and hands each to `visit` as (name, type,
    /// entries, bytes). If the bytes are not those that were written, that is the error, whatever
    /// `visit` made of them.
    pub fn read<E: From<Error>>(
        &mut self,
        mut visit: impl FnMut(&Self, &str, &str, usize, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let tensors = std::mem::take(&mut self.tensors);
        let mut outcome = Ok(());
        for tensor in tensors {
            let mut bytes = vec![0; tensor.bytes() as usize];
            self.file.read_exact(&mut bytes).map_err(|e| Error::io(&self.path, e))?;
            if outcome.is_ok() {
                outcome = visit(self, &tensor.name, &tensor.dtype, tensor.shape[0], bytes);
            }
        }
        let hash = self.file.hash.finalize();
        let mut sum = [0; blake3::OUT_LEN];
        self.file.read_exact(&mut sum).map_err(|e| Error::io(&self.path, e))?;
        if hash != blake3::Hash::from_bytes(sum) {
            let how = format!(
                "its checksum does not fit its contents; this {} must be copied or made again",
                self.noun
            );
            return Err(self.damaged(&how).into());
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { format: "lota-sample", noun: "sample", version: 2 };

    /// A file of two tensors, and its bytes.
    fn sample(path: &Path) -> Vec<u8> {
        let part = |name: &str, dtype, len, byte| Part {
            name: name.to_string(),
            dtype,
            len,
            write: Box::new(move |out| out.write_all(&vec![byte; len * width(dtype).expect("is known")])),
        };
        let parts = vec![part("bytes", "U8", 5, 1), part("numbers", "F32", 3, 2)];
        let size = save(path, &KIND, &[("n", "7".to_string())], parts).expect("writes");
        let bytes = std::fs::read(path).expect("reads");
        assert_eq!(bytes.len() as u64, size);
        bytes
    }

    fn read(path: &Path, kind: &Kind) -> Result<Vec<(String, usize, Vec<u8>)>> {
        let mut archive = Archive::open(path, kind)?;
        assert_eq!(archive.parse::<u32>("n")?, 7);
        let mut found = Vec::new();
        archive.read::<Error>(|_, name, _, len, bytes| {
            found.push((name.to_string(), len, bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn what_is_sealed_is_read_back_the_widest_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x");
        sample(&path);
        let expected = [("numbers".to_string(), 3, vec![2; 12]), ("bytes".to_string(), 5, vec![1; 5])];
        assert_eq!(read(&path, &KIND).expect("reads"), expected);
    }

    #[test]
    fn another_kind_a_newer_version_and_any_changed_byte_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x");
        let bytes = sample(&path);
        let text = |kind: &Kind| read(&path, kind).expect_err("is refused").to_string();
        assert!(text(&Kind { format: "lota-other", noun: "thing", ..KIND }).ends_with("is not a thing file"));
        assert!(text(&Kind { version: 1, ..KIND }).contains("is a sample file of version 2, and this lota"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            std::fs::write(&path, &changed).expect("writes");
            assert!(read(&path, &KIND).is_err(), "byte {at}");
        }
    }
}
