//! What can be merged: anything that gives the entries of named tensors, a stretch at a time.
//!
//! A model that is loaded, a folder that is only mapped, a ticket or a task vector laid over a base.
//! What an input is made of is no business of a merge method.

use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::Float;
use crate::mask::{Scores, read_tensor};
use crate::model::Params;
use crate::ticket::Ticket;
use crate::{Error, Result};

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// The type it is stored in; `None` if that is no floating type.
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

/// A model, or what amounts to one: named tensors.
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
    /// What changes when its weights do, so that a merge is not resumed with others.
    fn identity(&self) -> String {
        self.label().to_string()
    }
    /// The set of entries it changes, where it is a ticket.
    fn claims(&self, _name: &str) -> Option<&RoaringBitmap> {
        None
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
}

impl Held {
    /// The weights of a model; `config` is what its `config.json` holds.
    pub fn new(label: impl Into<String>, params: Params, config: Option<Map<String, Value>>) -> Self {
        Self { label: label.into(), params, config }
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
}

/// The entries of a tensor in memory, on any device.
struct OfTensor(Tensor);

impl Reader for OfTensor {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        scratch.clear();
        read_tensor(&self.0, start, len, &mut |values| scratch.extend_from_slice(values))?;
        Ok(scratch)
    }
}

/// A ticket or a task vector, seen as the model it makes of its base.
pub struct Overlay {
    label: String,
    base: Arc<dyn Input>,
    over: Over,
}

enum Over {
    Ticket(Arc<Ticket>),
    Vector(Arc<Scores>),
}

impl Overlay {
    /// What a ticket makes of `base`. Every parameter that it changes must be there in its shape.
    pub fn ticket(label: impl Into<String>, base: Arc<dyn Input>, ticket: Arc<Ticket>) -> Result<Self> {
        let label = label.into();
        for (_, spec, _) in ticket.mask().selected() {
            fits(&label, base.as_ref(), &spec.name, &spec.shape)?;
        }
        Ok(Self { label, base, over: Over::Ticket(ticket) })
    }

    /// `base` with a task vector added.
    pub fn vector(label: impl Into<String>, base: Arc<dyn Input>, vector: Arc<Scores>) -> Result<Self> {
        use crate::mask::Source;
        let label = label.into();
        for (spec, value) in vector.universe().specs().iter().zip(vector.values()) {
            if value.is_some() {
                fits(&label, base.as_ref(), &spec.name, &spec.shape)?;
            }
        }
        Ok(Self { label, base, over: Over::Vector(vector) })
    }
}

fn fits(label: &str, base: &dyn Input, name: &str, shape: &[usize]) -> Result<()> {
    match base.info(name) {
        Some(info) if info.shape == shape => Ok(()),
        Some(info) => Err(Error::mismatch(format!(
            "{label} changes {name} of shape {shape:?}, which in its base {} has shape {:?}",
            base.label(),
            info.shape
        ))),
        None => {
            Err(Error::mismatch(format!("{label} changes {name}, which its base {} lacks", base.label())))
        }
    }
}

impl Input for Overlay {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.base.names()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.base.info(name)
    }

    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        use crate::mask::Source;
        let base = self.base.reader(name)?;
        match &self.over {
            Over::Ticket(ticket) => match ticket.mask().universe().index_of(name) {
                Some(i) if !ticket.values(i).is_empty() => {
                    Ok(Box::new(Written { base, set: ticket.mask().set(i), values: ticket.values(i) }))
                }
                _ => Ok(base),
            },
            Over::Vector(vector) => {
                match vector.universe().index_of(name).and_then(|i| vector.values()[i].as_ref()) {
                    Some(delta) => Ok(Box::new(Added { base, delta: OfTensor(delta.clone()) })),
                    None => Ok(base),
                }
            }
        }
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        self.base.config()
    }

    fn folder(&self) -> Option<&Path> {
        self.base.folder()
    }

    fn claims(&self, name: &str) -> Option<&RoaringBitmap> {
        match &self.over {
            Over::Ticket(ticket) => ticket.mask().universe().index_of(name).map(|i| ticket.mask().set(i)),
            Over::Vector(_) => None,
        }
    }
}

/// A base with some entries set to other values.
struct Written<'a> {
    base: Box<dyn Reader + 'a>,
    set: &'a RoaringBitmap,
    values: &'a [f32],
}

impl Reader for Written<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        if len == 0 {
            return Ok(&[]);
        }
        let mut own = Vec::new();
        let base = self.base.read(start, len, &mut own)?;
        scratch.clear();
        scratch.extend_from_slice(base);
        let (first, last) = (start as u32, (start + len - 1) as u32);
        let before = if first == 0 { 0 } else { self.set.rank(first - 1) as usize };
        for (position, value) in self.set.range(first..=last).zip(&self.values[before..]) {
            scratch[position as usize - start] = *value;
        }
        Ok(scratch)
    }

    fn release(&self, start: usize, len: usize) {
        self.base.release(start, len);
    }
}

/// A base with a difference added.
struct Added<'a> {
    base: Box<dyn Reader + 'a>,
    delta: OfTensor,
}

impl Reader for Added<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        let mut own = Vec::new();
        self.delta.read(start, len, scratch)?;
        let base = self.base.read(start, len, &mut own)?;
        scratch.iter_mut().zip(base).for_each(|(delta, base)| *delta += base);
        Ok(scratch)
    }

    fn release(&self, start: usize, len: usize) {
        self.base.release(start, len);
    }
}
