//! The header of a GGUF file: metadata, and where each tensor lies. A file that is split into parts is read as one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use super::kind::Kind;
use super::metadata::{self, Metadata};
use crate::host::container::shards::Part;
use crate::model::weights::Mapped;
use crate::{Error, Result};

/// Where one tensor lies in the file, and what it is.
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// The part of the file that it lies in.
    part: usize,
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// The tensors of a file by their names.
type Tensors = BTreeMap<String, Entry>;

/// An open file, or the parts that it was split into.
pub(crate) struct Gguf {
    parts: Vec<(PathBuf, Mapped)>,
    metadata: Metadata,
    tensors: Tensors,
}

impl Gguf {
    /// Maps a file and reads its header; every tensor is checked to lie within the file. Of a file that is split, any part
    /// may be given: the others are read too.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let map = Mapped::open(path)?;
        let (metadata, tensors) = header(path, &map, 0)?;
        match metadata.size_or("split.count")? {
            Some(count) if count > 1 => split(path, count, &metadata),
            _ => Ok(Self { parts: vec![(path.to_path_buf(), map)], metadata, tensors }),
        }
    }

    /// The file, or its first part.
    pub(crate) fn path(&self) -> &Path {
        self.metadata.path()
    }

    /// The part that a tensor lies in.
    pub(crate) fn path_of(&self, entry: &Entry) -> &Path {
        &self.parts[entry.part].0
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The bytes of a tensor.
    pub(crate) fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.parts[entry.part].1[entry.begin..entry.end]
    }

    /// Tells the system that a tensor has been read.
    pub(crate) fn release(&self, entry: &Entry) {
        self.parts[entry.part].1.release(entry.begin..entry.end);
    }
}

/// Opens all parts of the file of which `path`, with this metadata, is one of `count`. The first one has the metadata of all.
fn split(path: &Path, count: usize, metadata: &Metadata) -> Result<Gguf> {
    let at = metadata.size("split.no")?;
    let bad = |what: String| Error::format(path, what);
    let own = Part::of(path).filter(|part| part.at == at && part.count == count).ok_or_else(|| {
        bad(format!(
            "is part {} of a file that is split into {count}, and its name does not end in -{:05}-of-{count:05}.gguf: \
             the other parts are found by this name; give all parts the names they had, in one folder",
            at.saturating_add(1),
            at.saturating_add(1)
        ))
    })?;
    let (mut parts, mut first) = (Vec::new(), None);
    let mut tensors = Tensors::new();
    for at in 0..count {
        let file = path.with_file_name(own.name(at));
        if !file.exists() {
            return Err(bad(format!(
                "is part {} of a file that is split into {count}, and part {}, {}, is not there: put all parts in one \
                 folder",
                own.at + 1,
                at + 1,
                own.name(at)
            )));
        }
        let map = Mapped::open(&file)?;
        let (metadata, listed) = header(&file, &map, at)?;
        let said = (metadata.size_or("split.no")?, metadata.size_or("split.count")?);
        if said != (Some(at), Some(count)) {
            return Err(Error::format(
                &file,
                format!("is not part {} of {count} of the file that {} is of", at + 1, path.display()),
            ));
        }
        for (name, entry) in listed {
            if tensors.contains_key(&name) {
                return Err(Error::format(
                    &file,
                    format!("tensor {name} is also in another part of the file"),
                ));
            }
            tensors.insert(name, entry);
        }
        first.get_or_insert(metadata);
        parts.push((file, map));
    }
    let metadata = first.ok_or_else(|| bad("has no parts".to_string()))?;
    match metadata.size_or("split.tensors.count")? {
        Some(all) if all != tensors.len() => Err(bad(format!(
            "is of a file that is split into {count} and has {all} tensors; {} are in its parts",
            tensors.len()
        ))),
        _ => Ok(Gguf { parts, metadata, tensors }),
    }
}

/// The metadata and the tensors of a file, which is this part of one.
fn header(path: &Path, bytes: &[u8], part: usize) -> Result<(Metadata, Tensors)> {
    let bad = |what: String| Error::format(path, what);
    let mut c = Cursor::new(bytes);
    if c.take(4) != Some(b"GGUF") {
        return Err(bad("not a GGUF file: it does not begin with GGUF".to_string()));
    }
    let short = |what: &str| bad(format!("damaged GGUF file: it ends or breaks off in {what}"));
    let version = c.u32().ok_or_else(|| short("the version"))?;
    if !(1..=3).contains(&version) {
        let hint = if version.swap_bytes() <= 3 { " (written on a big-endian machine)" } else { "" };
        return Err(bad(format!("GGUF version {version}{hint}: versions 1 to 3 are read")));
    }
    let counts = metadata::length(&mut c, version).zip(metadata::length(&mut c, version));
    let (tensor_count, value_count) = counts.ok_or_else(|| short("the counts"))?;
    let mut values = HashMap::new();
    for i in 0..value_count {
        let key = metadata::text(&mut c, version).ok_or_else(|| short(&format!("metadata key {i}")))?;
        let value = metadata::value(&mut c, version).ok_or_else(|| short(&format!("metadata {key}")))?;
        values.insert(key, value);
    }
    let metadata = Metadata::new(path, values);
    let mut listed = Vec::new();
    for i in 0..tensor_count {
        let name = metadata::text(&mut c, version).ok_or_else(|| short(&format!("tensor entry {i}")))?;
        let entry = tensor(&mut c, version).ok_or_else(|| short(&format!("the entry of tensor {name}")))?;
        listed.push((name, entry));
    }
    let alignment = metadata.size_or("general.alignment")?.unwrap_or(32);
    if alignment == 0 || !alignment.is_multiple_of(8) {
        return Err(bad(format!("general.alignment is {alignment}, which is not a multiple of 8")));
    }
    let start = c.at().next_multiple_of(alignment);
    let mut tensors = Tensors::new();
    for (name, (shape, kind, offset)) in listed {
        let kind = Kind::of(kind).map_err(|what| bad(format!("tensor {name} {what}")))?;
        let entries = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let blocks = entries.filter(|n| n.is_multiple_of(kind.entries())).map(|n| n / kind.entries());
        let length = blocks.and_then(|n| n.checked_mul(kind.bytes()));
        let Some(length) = length.filter(|_| !shape.is_empty() && shape.len() <= 4) else {
            return Err(bad(format!("tensor {name} of type {kind:?} cannot have shape {shape:?}")));
        };
        let offset = usize::try_from(offset).ok().filter(|o| o.is_multiple_of(8));
        let begin = offset.and_then(|o| o.checked_add(start));
        let begin = begin.ok_or_else(|| bad(format!("tensor {name} has an offset that cannot be")))?;
        let end = begin.saturating_add(length);
        if end > bytes.len() {
            return Err(bad(format!(
                "tensor {name} ends at byte {end}, but the file has only {}: it is truncated",
                bytes.len()
            )));
        }
        tensors.insert(name, Entry { kind, part, shape, begin, end });
    }
    Ok((metadata, tensors))
}

/// The shape, type and offset of the next tensor.
fn tensor(c: &mut Cursor<'_>, version: u32) -> Option<(Vec<usize>, u32, u64)> {
    let dims = c.u32().filter(|&n| n <= 8)?;
    let mut shape = Vec::new();
    for _ in 0..dims {
        shape.push(usize::try_from(metadata::length(c, version)?).ok()?);
    }
    shape.reverse();
    Some((shape, c.u32()?, c.u64()?))
}
