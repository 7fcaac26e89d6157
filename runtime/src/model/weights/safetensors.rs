//! The files of a model's weights, memory-mapped: safetensors, or what `torch.save` writes; one file or several.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use half::bf16;
use serde_json::{Map, Value};

use super::convert::to_f32;
use super::scaled::{self, Scaling};
use super::{Mapped, Source, Stored, append_f32, to_tensor, torch};
use crate::host::container::Header;
use crate::host::container::shards::{self, LAYOUTS};
use crate::model::ParamSpec;
use crate::model::quantization::{Quantization, refuse_quantized};
use crate::model::torch::next;
use crate::{Error, Result};

/// Where one tensor lies.
struct Entry {
    shard: usize,
    dtype: String,
    shape: Vec<usize>,
    begin: usize,
    end: usize,
    /// How many entries lie between two that follow each other in a dimension, where they do not lie in row-major order.
    steps: Option<Vec<usize>>,
    scaling: Option<(Scaling, Place)>,
}

/// Bytes of a file.
struct Place {
    shard: usize,
    begin: usize,
    end: usize,
}

impl Entry {
    /// The number of its entries.
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its bytes alone are not its numbers.
    fn is_indirect(&self) -> bool {
        self.steps.is_some() || self.scaling.is_some()
    }
}

/// The weight files of a folder.
pub(crate) struct Shards {
    folder: PathBuf,
    files: Vec<(PathBuf, Mapped)>,
    entries: BTreeMap<String, Entry>,
}

impl Shards {
    /// Opens the weights of a folder: `model.safetensors`, the shards that `model.safetensors.index.json` lists, or else
    /// `pytorch_model.bin` or its shards. `config` is what its `config.json` holds, which says how weights are scaled.
    pub(crate) fn open(folder: &Path, config: &Map<String, Value>) -> Result<Self> {
        let quantization =
            Quantization::of(config).map_err(|e| Error::format(folder.join("config.json"), e.to_string()))?;
        let mut shards = Self::empty(folder);
        for path in paths(folder)? {
            let map = Mapped::open(&path)?;
            shards.add(path, map)?;
        }
        shards.scale(quantization.as_ref())?;
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
        let mut shards = Self::empty(path.parent().unwrap_or(Path::new(".")));
        shards.add(path.to_path_buf(), map)?;
        Ok(shards)
    }

    fn empty(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), files: Vec::new(), entries: BTreeMap::new() }
    }

    fn bad(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::format(self.file(name), format!("tensor {name} {what}"))
    }

    /// The type of a tensor, and where it lies.
    fn stored(&self, name: &str) -> Result<(Stored, &Entry)> {
        let entry = self.entries.get(name).ok_or_else(|| self.bad(name, "is missing"))?;
        Ok((Stored::parse(&entry.dtype).map_err(|what| self.bad(name, what))?, entry))
    }

    fn bytes(&self, shard: usize, begin: usize, end: usize) -> &[u8] {
        self.files[shard].1.get(begin..end).unwrap_or_default()
    }

    /// The bytes of the entries `start .. start + len`, in row-major order; fewer if the tensor ends before.
    fn ordered(&self, entry: &Entry, size: usize, start: usize, len: usize) -> Cow<'_, [u8]> {
        let bytes = self.bytes(entry.shard, entry.begin, entry.end);
        let Some(steps) = &entry.steps else {
            let end = bytes.len().min((start + len) * size);
            return Cow::Borrowed(bytes.get(start * size..end).unwrap_or_default());
        };
        let len = len.min(entry.count().saturating_sub(start));
        let mut place = vec![0; entry.shape.len()];
        let (mut at, mut rest) = (0, start);
        for (d, dim) in entry.shape.iter().enumerate().rev() {
            place[d] = rest % dim;
            rest /= dim;
            at += place[d] * steps[d];
        }
        let mut out = Vec::with_capacity(len * size);
        for _ in 0..len {
            out.extend_from_slice(bytes.get(at * size..(at + 1) * size).unwrap_or_default());
            at = next(&entry.shape, steps, &mut place, at);
        }
        Cow::Owned(out)
    }

    /// Says that the bytes of some entries are not needed for now.
    fn release(&self, entry: &Entry, size: usize, start: usize, len: usize) {
        let part = match &entry.steps {
            None => entry.begin + start * size..entry.begin + (start + len) * size,
            Some(_) => entry.begin..entry.end,
        };
        self.files[entry.shard].1.release(part);
    }

    /// Appends the entries `start .. start + len` of a tensor, as f32, and lets go of their pages.
    /// Entries past its end are an error.
    pub(crate) fn piece(&self, name: &str, start: usize, len: usize, out: &mut Vec<f32>) -> Result<()> {
        let (stored, entry) = self.stored(name)?;
        let (size, before) = (stored.size(), out.len());
        let piece = self.ordered(entry, size, start, len);
        if piece.len() != len * size {
            return Err(self.bad(name, format!("ends before entry {}", start + len)));
        }
        append_f32(&piece, stored, out);
        if let Some((scaling, scales)) = &entry.scaling {
            scaling.apply(self.bytes(scales.shard, scales.begin, scales.end), start, &mut out[before..]);
        }
        self.release(entry, size, start, len);
        Ok(())
    }

    /// Takes up the tensors that a file lists.
    fn add(&mut self, path: PathBuf, map: Mapped) -> Result<()> {
        let shard = self.files.len();
        let mut found: Vec<(String, Entry)> = Vec::new();
        if torch::is_torch(&path) {
            for torch::Place { name, described, begin, end } in torch::listed(&path, &map)? {
                let steps = (!described.is_contiguous()).then_some(described.stride);
                let (dtype, shape) = (described.dtype.to_string(), described.shape);
                found.push((name, Entry { shard, dtype, shape, begin, end, steps, scaling: None }));
            }
        } else {
            let header =
                Header::read(&mut &map[..], map.len() as u64).map_err(|refusal| refusal.at(&path))?;
            for tensor in header.tensors {
                let (begin, end) = (tensor.begin as usize, tensor.end as usize);
                let (dtype, shape) = (tensor.dtype, tensor.shape);
                found.push((
                    tensor.name,
                    Entry { shard, dtype, shape, begin, end, steps: None, scaling: None },
                ));
            }
        }
        for (name, entry) in found {
            let known = canonical(&name);
            if let Some(other) = self.entries.get(&known) {
                let other = self.files.get(other.shard).map_or(&path, |(file, _)| file);
                return Err(Error::format(&path, format!("tensor {name} is also in {}", other.display())));
            }
            self.entries.insert(known, entry);
        }
        self.files.push((path, map));
        Ok(())
    }

    /// Gives tensors their scales, which are then no tensors of their own.
    fn scale(&mut self, quantization: Option<&Quantization>) -> Result<()> {
        refuse_quantized(self.entries.keys().map(String::as_str))
            .map_err(|e| Error::format(&self.folder, e.to_string()))?;
        let floats: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| Stored::parse(&entry.dtype).is_ok_and(Stored::is_float8))
            .map(|(name, _)| name.clone())
            .collect();
        for name in floats {
            let scales = scaled::ENDS.iter().map(|end| format!("{name}{end}"));
            let found = scales.into_iter().find(|scales| self.entries.contains_key(scales));
            let (scales, quantization) = match (found, quantization) {
                (Some(scales), Some(quantization)) => (scales, quantization),
                (Some(scales), None) => {
                    return Err(self.bad(
                        &name,
                        format!("has scales ({scales}), and config.json has no quantization_config that says how they apply"),
                    ));
                }
                // A plain tensor of this type is read by its value.
                (None, None) => continue,
                (None, Some(quantization)) => {
                    return Err(self.bad(
                        &name,
                        format!(
                            "is stored as {} and lacks its scales, {name}{}, which the method {} of config.json needs",
                            self.entries[&name].dtype,
                            scaled::ENDS[0],
                            quantization.method
                        ),
                    ));
                }
            };
            let (entry, beside) = (&self.entries[&name], &self.entries[&scales]);
            if beside.steps.is_some() {
                return Err(self.bad(&scales, "does not lie in row-major order: save a contiguous copy"));
            }
            let scaling = Scaling::new(&entry.shape, &beside.dtype, &beside.shape, quantization)
                .map_err(|what| self.bad(&name, what))?;
            let place = Place { shard: beside.shard, begin: beside.begin, end: beside.end };
            self.entries.remove(&scales);
            // What inputs of layers are scaled by is no part of the weights.
            if let Some(module) = name.strip_suffix(".weight") {
                for end in ["input_scale", "activation_scale"] {
                    self.entries.remove(&format!("{module}.{end}"));
                }
            }
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.scaling = Some((scaling, place));
            }
        }
        Ok(())
    }

    /// A tensor whose bytes alone are not its numbers, because they have scales or lie in another order, if there is one.
    pub(crate) fn indirect(&self) -> Option<&str> {
        self.entries.iter().find(|(_, entry)| entry.is_indirect()).map(|(name, _)| name.as_str())
    }

    /// Whether this is such a tensor.
    pub(crate) fn is_indirect(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(Entry::is_indirect)
    }
}

/// The files that hold the weights of a folder.
fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    for (single, index) in LAYOUTS {
        let [single, index] = [single, index].map(|name| folder.join(name));
        if single.exists() {
            return Ok(vec![single]);
        }
        if index.exists() {
            return Ok(shards::listed(&index)?);
        }
    }
    Err(Error::format(
        folder,
        "none of model.safetensors, model.safetensors.index.json, pytorch_model.bin and pytorch_model.bin.index.json is in \
         this folder",
    ))
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
    /// A tensor as it lies in its file, if there is one of this name. See [`Shards::indirect`].
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
        let (stored, entry) = self.stored(&spec.name)?;
        let (size, count) = (stored.size(), entry.count());
        let bytes = self.ordered(entry, size, 0, count);
        let tensor = match &entry.scaling {
            None => to_tensor(&bytes, stored, &entry.shape, dtype),
            Some((scaling, scales)) => {
                let mut values = to_f32(&bytes, stored);
                scaling.apply_all(self.bytes(scales.shard, scales.begin, scales.end), &mut values);
                match dtype {
                    DType::BF16 => {
                        let values: Vec<bf16> = values.into_iter().map(bf16::from_f32).collect();
                        Ok(Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)?)
                    }
                    _ => Ok(Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)?),
                }
            }
        };
        self.release(entry, size, 0, count);
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
