//! The header of a GGUF file: metadata, and where each tensor lies.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::cursor::Cursor;
use super::metadata::{self, Metadata};
use crate::model::weights::Mapped;
use crate::{Error, Result};

/// Where one tensor lies in the file, and what it is.
pub(crate) struct Entry {
    pub(crate) dtype: GgmlDType,
    /// Outermost dimension first.
    pub(crate) shape: Vec<usize>,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// An open file.
pub(crate) struct Gguf {
    path: PathBuf,
    map: Mapped,
    metadata: Metadata,
    tensors: BTreeMap<String, Entry>,
}

impl Gguf {
    /// Maps a file and reads its header; every tensor is checked to lie within the file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let map = Mapped::open(path)?;
        let (metadata, tensors) = header(path, &map)?;
        Ok(Self { path: path.to_path_buf(), map, metadata, tensors })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn tensors(&self) -> &BTreeMap<String, Entry> {
        &self.tensors
    }

    /// The bytes of a tensor.
    pub(crate) fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.map[entry.begin..entry.end]
    }

    /// Tells the system that a tensor has been read.
    pub(crate) fn release(&self, entry: &Entry) {
        self.map.release(entry.begin..entry.end);
    }
}

fn header(path: &Path, bytes: &[u8]) -> Result<(Metadata, BTreeMap<String, Entry>)> {
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
    let mut tensors = BTreeMap::new();
    for (name, (shape, kind, offset)) in listed {
        let dtype = dtype(kind).ok_or_else(|| {
            bad(format!("tensor {name} is stored as {}, which cannot be read", type_name(kind)))
        })?;
        let entries = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let blocks = entries.filter(|n| n.is_multiple_of(dtype.block_size())).map(|n| n / dtype.block_size());
        let length = blocks.and_then(|n| n.checked_mul(dtype.type_size()));
        let Some(length) = length.filter(|_| !shape.is_empty() && shape.len() <= 4) else {
            return Err(bad(format!("tensor {name} of type {dtype:?} cannot have shape {shape:?}")));
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
        tensors.insert(name, Entry { dtype, shape, begin, end });
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

/// The types that can be dequantised.
fn dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// What the types that cannot be read are called.
fn type_name(kind: u32) -> String {
    let name = match kind {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("type {kind}"),
    };
    name.to_string()
}
