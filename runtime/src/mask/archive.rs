//! The container of mask and ticket files: a safetensors file that is written and read in one
//! pass, says what it is, and ends with a hash of everything before it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::host::write_atomic;
use crate::{Error, Result};

/// The name of the tensor that holds the hash (BLAKE3, 32 bytes).
const CHECKSUM: &str = "checksum";
/// The longest header that is believed.
const MAX_HEADER: u64 = 100 << 20;

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

fn width(dtype: &str) -> Option<usize> {
    match dtype {
        "F32" => Some(4),
        "BF16" => Some(2),
        "U8" | "I8" => Some(1),
        _ => None,
    }
}

/// Passes bytes on and hashes them.
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

/// Writes a file of this kind, and returns its size.
pub fn save(path: &Path, kind: &Kind, metadata: &[(&str, String)], mut parts: Vec<Part<'_>>) -> Result<u64> {
    parts.sort_by_key(|part| std::cmp::Reverse(width(part.dtype)));
    let mut header = Map::new();
    let mut about = Map::new();
    about.insert("format".into(), json!(kind.format));
    about.insert("version".into(), json!(kind.version.to_string()));
    about.insert("lota".into(), json!(env!("CARGO_PKG_VERSION")));
    about.extend(metadata.iter().map(|(key, value)| ((*key).to_string(), json!(value))));
    header.insert("__metadata__".into(), Value::Object(about));
    let mut at = 0;
    let mut declare = |name: &str, dtype: &str, len: usize| {
        let end = at + len * width(dtype).unwrap_or(1);
        header.insert(name.into(), json!({"dtype": dtype, "shape": [len], "data_offsets": [at, end]}));
        at = end;
    };
    parts.iter().for_each(|part| declare(&part.name, part.dtype, part.len));
    declare(CHECKSUM, "U8", blake3::OUT_LEN);
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let size = 8 + header.len() as u64 + at as u64;
    write_atomic(path, |file| {
        let mut out = Hashing { inner: file, hash: blake3::Hasher::new() };
        let mut all = || -> std::io::Result<()> {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            parts.iter().try_for_each(|part| (part.write)(&mut out))?;
            let hash = out.hash.finalize();
            out.write_all(hash.as_bytes())
        };
        all().map_err(|e| Error::io(path, e))
    })?;
    Ok(size)
}

/// A tensor that a file declares.
struct Declared {
    name: String,
    dtype: String,
    len: usize,
    bytes: usize,
}

/// A file of a known kind whose header has been read.
pub struct Archive {
    path: PathBuf,
    file: BufReader<File>,
    hash: blake3::Hasher,
    metadata: BTreeMap<String, String>,
    tensors: Vec<Declared>,
    noun: &'static str,
}

impl Archive {
    /// Opens a file and reads its header. A file of another kind, of a version from the future or
    /// of the wrong length is refused.
    pub fn open(path: &Path, kind: &Kind) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut head = [0; 8];
        let alien = || Error::format(path, format!("is not a {} file", kind.noun));
        file.read_exact(&mut head).map_err(|_| alien())?;
        let length = u64::from_le_bytes(head);
        if length > MAX_HEADER {
            return Err(alien());
        }
        let short = |should: String| {
            Error::format(
                path,
                format!("is cut short: it has {size} bytes of {should}; copy or download it again"),
            )
        };
        if size < 8 + length {
            return Err(short(format!("at least {}", 8 + length)));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let mut hash = blake3::Hasher::new();
        hash.update(&head).update(&header);
        let parsed: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| alien())?;
        let metadata: BTreeMap<String, String> = parsed
            .get("__metadata__")
            .and_then(Value::as_object)
            .map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string()))).collect())
            .unwrap_or_default();
        if metadata.get("format").map(String::as_str) != Some(kind.format) {
            return Err(alien());
        }
        let mut archive =
            Self { path: path.to_path_buf(), file, hash, metadata, tensors: Vec::new(), noun: kind.noun };
        let version: u32 = archive.parse("version")?;
        if version > kind.version {
            return Err(archive.error(format!(
                "is a {} file of version {version}, and this lota ({}) reads up to version {}: use a newer lota",
                kind.noun,
                env!("CARGO_PKG_VERSION"),
                kind.version
            )));
        }
        let end = archive.declare(&parsed)?;
        let should = 8 + length + end;
        match size {
            _ if size < should => Err(short(should.to_string())),
            _ if size > should => Err(archive.damaged(&format!("it has {} bytes too many", size - should))),
            _ => Ok(archive),
        }
    }

    /// Takes the tensors of the header, in the order in which they lie, and returns their end.
    fn declare(&mut self, header: &Map<String, Value>) -> Result<u64> {
        let mut tensors = Vec::new();
        for (name, value) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            let number = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
            let pair = |key| match value.get(key).and_then(Value::as_array).map(Vec::as_slice) {
                Some([a, b]) => number(a).zip(number(b)),
                _ => None,
            };
            let dtype = value.get("dtype").and_then(Value::as_str);
            let len = match value.get("shape").and_then(Value::as_array).map(Vec::as_slice) {
                Some([len]) => number(len),
                _ => None,
            };
            let declared = (|| {
                let ((from, to), dtype, len) = (pair("data_offsets")?, dtype?, len?);
                let bytes = to.checked_sub(from)?;
                (width(dtype)?.checked_mul(len)? == bytes)
                    .then(|| (from, Declared { name: name.clone(), dtype: dtype.to_string(), len, bytes }))
            })();
            tensors.push(declared.ok_or_else(|| self.damaged(&format!("its tensor {name} makes no sense")))?);
        }
        tensors.sort_by_key(|(from, tensor)| (*from, tensor.bytes));
        let mut end = 0;
        for (from, tensor) in &tensors {
            if *from != end {
                return Err(
                    self.damaged(&format!("its tensor {} does not follow the one before", tensor.name))
                );
            }
            end += tensor.bytes;
        }
        self.tensors = tensors.into_iter().map(|(_, tensor)| tensor).collect();
        let sealed = self.tensors.pop().is_some_and(|t| t.name == CHECKSUM && t.bytes == blake3::OUT_LEN);
        if sealed { Ok(end as u64) } else { Err(self.damaged("it has no checksum at its end")) }
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
    pub fn read(
        &mut self,
        mut visit: impl FnMut(&Self, &str, &str, usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let tensors = std::mem::take(&mut self.tensors);
        let mut outcome = Ok(());
        for tensor in tensors {
            let mut bytes = vec![0; tensor.bytes];
            self.file.read_exact(&mut bytes).map_err(|e| Error::io(&self.path, e))?;
            self.hash.update(&bytes);
            if outcome.is_ok() {
                outcome = visit(self, &tensor.name, &tensor.dtype, tensor.len, bytes);
            }
        }
        let mut sum = [0; blake3::OUT_LEN];
        self.file.read_exact(&mut sum).map_err(|e| Error::io(&self.path, e))?;
        if self.hash.finalize() != blake3::Hash::from_bytes(sum) {
            return Err(self.damaged(&format!(
                "its checksum does not fit its contents; this {} must be copied or made again",
                self.noun
            )));
        }
        outcome
    }
}
