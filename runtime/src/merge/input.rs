//! What can be merged: anything that gives the entries of named tensors, a stretch at a time.
//!
//! A model that is loaded, a folder that is only mapped, or what a ticket, a task vector or an adapter
//! makes of a base. Merge methods do not see the difference.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::Float;
use super::identity::{contents, stamp};
use crate::host::read_bytes;
use crate::model::{Model, Params};
use crate::vectors::read_tensor;
use crate::{Error, Result};

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// The type it is stored in; `None` if it is not a floating type.
    pub float: Option<Float>,
    /// The type as its file names it, for messages.
    pub dtype: String,
}

/// The entries of one tensor. Read from several threads.
pub trait Reader: Sync {
    /// The flat entries `start .. start + len`, which may be put into `scratch` or lie elsewhere.
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]>;

    /// Says that these entries are not needed for now.
    fn release(&self, _start: usize, _len: usize) {}
}

/// A model, or anything that can be read like one: named tensors.
pub trait Input: Send + Sync {
    /// What messages call it.
    fn label(&self) -> &str;
    /// The names of all tensors.
    fn names(&self) -> Vec<String>;
    /// What is known of a tensor; `None` if there is none of this name.
    fn info(&self, name: &str) -> Option<Info>;
    /// The entries of a tensor of a floating type.
    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>>;
    /// The bytes of a tensor of another type.
    fn raw(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// What its `config.json` says, if it has one.
    fn config(&self) -> Option<&Map<String, Value>> {
        None
    }
    /// The folder in which its tokenizer's files lie.
    fn folder(&self) -> Option<&Path> {
        None
    }
    /// The loaded model it is, or changes, if there is one: for its tokenizer.
    fn model(&self) -> Option<&Model> {
        None
    }
    /// What a person should know of it before it is merged.
    fn notice(&self) -> Option<String> {
        None
    }
    /// The files that its entries are or were read from.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    /// A text that differs when the weights differ, so that a merge is not resumed with other weights. By default a hash
    /// of all entries.
    fn identity(&self) -> Result<String> {
        contents(self)
    }
    /// The set of entries it changes, where it is a ticket.
    fn claims(&self, _name: &str) -> Option<&RoaringBitmap> {
        None
    }
}

/// A file that lies beside the weights of an input, or would if it were saved.
pub(super) fn beside(input: &dyn Input, name: &str) -> Result<Option<Vec<u8>>> {
    if let Some(model) = input.model() {
        let files = model.companions()?;
        return Ok(files.into_iter().find(|(n, _)| *n == name).map(|(_, text)| text.into_bytes()));
    }
    match input.folder().map(|f| f.join(name)).filter(|f| f.exists()) {
        Some(path) => Ok(Some(read_bytes(&path)?)),
        None => Ok(None),
    }
}

/// The error for a tensor that is not there.
pub(crate) fn missing(label: &str, name: &str) -> Error {
    Error::mismatch(format!("{label} has no tensor {name}"))
}

/// A model held in memory.
pub struct Held {
    label: String,
    params: Params,
    config: Option<Map<String, Value>>,
    model: Option<Model>,
    files: Vec<PathBuf>,
}

impl Held {
    /// The weights of a model; `config` is what its `config.json` holds.
    pub fn new(label: impl Into<String>, params: Params, config: Option<Map<String, Value>>) -> Self {
        Self { label: label.into(), params, config, model: None, files: Vec::new() }
    }

    /// A loaded model.
    pub fn of(label: impl Into<String>, model: &Model) -> Self {
        let dtype = if model.params.dtype() == candle_core::DType::BF16 { "bfloat16" } else { "float32" };
        let config = model.config.to_json(dtype).as_object().cloned();
        Self { model: Some(model.clone()), ..Self::new(label, model.params.clone(), config) }
    }

    /// Names the files that the weights were read from. Their stamps then identify the weights, which are not hashed.
    pub fn read_from(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files = files.into_iter().collect();
        self
    }
}

impl Input for Held {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.params.universe().specs().iter().map(|s| s.name.clone()).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        let tensor = self.params.get(self.params.universe().index_of(name)?);
        let float = match tensor.dtype() {
            candle_core::DType::BF16 => Float::BF16,
            _ => Float::F32,
        };
        Some(Info { shape: tensor.dims().to_vec(), float: Some(float), dtype: float.header().to_string() })
    }

    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        let index = self.params.universe().index_of(name).ok_or_else(|| missing(&self.label, name))?;
        Ok(Box::new(OfTensor(self.params.get(index).clone())))
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        self.config.as_ref()
    }

    fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn identity(&self) -> Result<String> {
        let of = if self.files.is_empty() {
            contents(self)?
        } else {
            stamp(self.files.iter().map(PathBuf::as_path))?
        };
        Ok(format!("{}\n{of}", self.label))
    }
}

/// The entries of a tensor in memory, on any device.
pub(super) struct OfTensor(pub(super) Tensor);

impl Reader for OfTensor {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        scratch.clear();
        read_tensor(&self.0, start, len, &mut |values| scratch.extend_from_slice(values))?;
        Ok(scratch)
    }
}
