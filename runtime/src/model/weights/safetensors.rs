//! A model's safetensors files: one or several shards, memory-mapped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use super::super::ParamSpec;
use super::{Mapped, Source, Stored, append_f32, to_tensor};
use crate::host::container::Header;
use crate::host::container::shards::{self, INDEX};
use crate::{Error, Result};

/// Where one tensor lies.
struct Entry {
    shard: usize,
    dtype: String,
    shape: Vec<usize>,
    begin: usize,
    end: usize,
}

/// The safetensors files of a folder.
pub(crate) struct Shards {
    folder: PathBuf,
    files: Vec<(PathBuf, Mapped)>,
    entries: BTreeMap<String, Entry>,
}

impl Shards {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        let index = folder.join(INDEX);
        let paths = if single.exists() {
            vec![single]
        } else if index.exists() {
            shards::listed(&index)?
        } else {
            return Err(Error::format(
                folder,
                "neither model.safetensors nor model.safetensors.index.json is in this folder",
            ));
        };
        let mut shards = Self { folder: folder.to_path_buf(), files: Vec::new(), entries: BTreeMap::new() };
        for path in paths {
            let map = Mapped::open(&path)?;
            shards.add(path, map)?;
        }
        Ok(shards)
    }

    /// One file that is part of the program, called `path` in messages.
    pub(crate) fn embedded(path: &Path, bytes: &'static [u8]) -> Result<Self> {
        Self::alone(path, Mapped::Embedded(bytes))
    }

    /// Opens one file.
    pub(crate) fn file_alone(path: &Path) -> Result<Self> {
        Self::alone(path, Mapped::open(path)?)
    }

    fn alone(path: &Path, map: Mapped) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let mut shards = Self { folder, files: Vec::new(), entries: BTreeMap::new() };
        shards.add(path.to_path_buf(), map)?;
        Ok(shards)
    }

    /// The bytes of a tensor, their type, the file they are mapped from and where they lie in it.
    fn stored(&self, name: &str) -> Result<(&[u8], Stored, &Mapped, &Entry)> {
        let bad = |what: String| Error::format(self.file(name), format!("tensor {name} {what}"));
        let entry = self.entries.get(name).ok_or_else(|| bad("is missing".to_string()))?;
        let stored = Stored::parse(&entry.dtype)
            .ok_or_else(|| bad(format!("is stored as {}: only F32, F16 and BF16 are read", entry.dtype)))?;
        let map = &self.files[entry.shard].1;
        let bytes = map.get(entry.begin..entry.end).unwrap_or_default();
        Ok((bytes, stored, map, entry))
    }

    /// Appends the entries `start .. start + len` of a tensor, as f32, and lets go of their pages.
    /// Entries past its end are an error.
    pub(crate) fn piece(&self, name: &str, start: usize, len: usize, out: &mut Vec<f32>) -> Result<()> {
        let (bytes, stored, map, entry) = self.stored(name)?;
        let part = start * stored.size()..(start + len) * stored.size();
        let piece = bytes.get(part.clone()).ok_or_else(|| {
            Error::format(self.file(name), format!("tensor {name} ends before entry {}", start + len))
        })?;
        append_f32(piece, stored, out);
        map.release(entry.begin + part.start..entry.begin + part.end);
        Ok(())
    }

    /// Takes up the tensors that the header of a file lists.
    fn add(&mut self, path: PathBuf, map: Mapped) -> Result<()> {
        let header = Header::read(&mut &map[..], map.len() as u64).map_err(|refusal| refusal.at(&path))?;
        for tensor in header.tensors {
            let name = canonical(&tensor.name);
            if let Some(other) = self.entries.get(&name) {
                let (name, other) =
                    (&tensor.name, self.files.get(other.shard).map_or(&path, |(file, _)| file));
                return Err(Error::format(&path, format!("tensor {name} is also in {}", other.display())));
            }
            let entry = Entry {
                shard: self.files.len(),
                dtype: tensor.dtype,
                shape: tensor.shape,
                begin: tensor.begin as usize,
                end: tensor.end as usize,
            };
            self.entries.insert(name, entry);
        }
        self.files.push((path, map));
        Ok(())
    }
}

/// A tensor as it lies in its file.
pub(crate) struct Raw<'a> {
    /// The type, as the header names it.
    pub(crate) dtype: &'a str,
    /// The shape.
    pub(crate) shape: &'a [usize],
    /// The bytes, in the file.
    pub(crate) bytes: &'a [u8],
    /// The file.
    pub(crate) file: &'a Path,
    map: &'a Mapped,
    begin: usize,
}

impl Raw<'_> {
    /// Says that this part of the bytes is not needed for now.
    pub(crate) fn release(&self, part: std::ops::Range<usize>) {
        self.map.release(self.begin + part.start..self.begin + part.end);
    }
}

impl Shards {
    /// A tensor as it lies in its file, if there is one of this name.
    pub(crate) fn raw(&self, name: &str) -> Option<Raw<'_>> {
        let entry = self.entries.get(name)?;
        let (file, map) = &self.files[entry.shard];
        let bytes = map.get(entry.begin..entry.end).unwrap_or_default();
        Some(Raw { dtype: &entry.dtype, shape: &entry.shape, bytes, file, map, begin: entry.begin })
    }

    /// The files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

impl Source for Shards {
    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|e| e.shape.clone())
    }

    fn file(&self, name: &str) -> &Path {
        match (self.entries.get(name), self.files.as_slice()) {
            (Some(e), files) => &files[e.shard].0,
            (None, [only]) => &only.0,
            _ => &self.folder,
        }
    }

    fn read(&self, spec: &ParamSpec, dtype: DType) -> Result<Tensor> {
        let (bytes, stored, map, entry) = self.stored(&spec.name)?;
        let tensor = to_tensor(bytes, stored, &entry.shape, dtype);
        map.release(entry.begin..entry.end);
        tensor
    }
}

/// The name a text-only decoder gives to a tensor: files of a bare decoder leave `model.` out, and
/// files of a model that also sees have a prefix for their text half.
pub(crate) fn canonical(name: &str) -> String {
    for prefix in ["language_model.model.", "model.language_model."] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return format!("model.{rest}");
        }
    }
    if let Some(rest) = name.strip_prefix("language_model.lm_head.") {
        return format!("lm_head.{rest}");
    }
    if ["layers.", "embed_tokens.", "norm."].iter().any(|p| name.starts_with(p)) {
        return format!("model.{name}");
    }
    name.to_string()
}
