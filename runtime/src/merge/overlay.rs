//! Tickets, task vectors and adapters as inputs of a merge: each laid over a base, whose entries are
//! changed as they are read. The changed model is never held.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::identity::{contents, stamp};
use super::input::{Info, Input, OfTensor, Reader, missing};
use super::untied::Untied;
use crate::lora::{Adapter, Module};
use crate::model::Model;
use crate::ticket::Ticket;
use crate::vectors::Values;
use crate::{Error, Result};

/// A change of a model, seen as the model it makes of its base.
pub struct Overlay {
    label: String,
    base: Arc<dyn Input>,
    over: Over,
    files: Vec<PathBuf>,
}

enum Over {
    Ticket(Arc<Ticket>),
    Vector(Arc<Values>),
    Adapter(Arc<Adapter>),
}

impl Overlay {
    /// What a ticket makes of `base`. Every parameter that it changes must be there in its shape.
    pub fn ticket(label: impl Into<String>, base: Arc<dyn Input>, ticket: Arc<Ticket>) -> Result<Self> {
        let label = label.into();
        for (_, spec, _) in ticket.mask().selected() {
            fits(&label, base.as_ref(), &spec.name, &spec.shape)?;
        }
        Ok(Self { label, base, over: Over::Ticket(ticket), files: Vec::new() })
    }

    /// `base` with a task vector added.
    pub fn vector(label: impl Into<String>, base: Arc<dyn Input>, vector: Arc<Values>) -> Result<Self> {
        let label = label.into();
        for (spec, value) in vector.universe().specs().iter().zip(vector.parts()) {
            if value.is_some() {
                fits(&label, base.as_ref(), &spec.name, &spec.shape)?;
            }
        }
        Ok(Self { label, base, over: Over::Vector(vector), files: Vec::new() })
    }

    /// `base` with a LoRA adapter merged into its weights: in f32, and not rounded to their type. Where the adapter changes the
    /// embedding or the head and `base` has one weight for both, the result has two.
    pub fn adapter(label: impl Into<String>, base: Arc<dyn Input>, adapter: Arc<Adapter>) -> Result<Self> {
        let label = label.into();
        let base = if adapter.changes_vocabulary() { Untied::of(base) } else { base };
        adapter
            .fits(|name| match base.info(name) {
                Some(info) => Ok(info.shape),
                None => Err(missing(base.label(), name)),
            })
            .map_err(|e| Error::mismatch(format!("{label}: {e}")))?;
        Ok(Self { label, base, over: Over::Adapter(adapter), files: Vec::new() })
    }

    /// Names the files that the change was read from. Their stamps then identify it, and it is not hashed.
    pub fn read_from(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files = files.into_iter().collect();
        self
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
        let base = self.base.reader(name)?;
        match &self.over {
            Over::Ticket(ticket) => match ticket.mask().universe().index_of(name) {
                Some(i) if !ticket.values(i).is_empty() => {
                    Ok(Box::new(Written { base, set: ticket.mask().set(i), values: ticket.values(i) }))
                }
                _ => Ok(base),
            },
            Over::Vector(vector) => {
                let delta = vector.universe().index_of(name).map(|i| vector.dense(i)).transpose()?;
                match delta.flatten() {
                    Some(delta) => Ok(Box::new(Added { base, delta: OfTensor(delta) })),
                    None => Ok(base),
                }
            }
            Over::Adapter(adapter) => {
                // A weight may be replaced and then changed.
                let replaced = adapter.replaced.iter().find(|r| r.param == name);
                let base = match replaced {
                    Some(replaced) => Box::new(OfTensor(replaced.values.clone())),
                    None => base,
                };
                match adapter.modules.iter().find(|m| m.param() == name) {
                    Some(module) => Ok(Box::new(LowRank::new(base, module)?)),
                    None => Ok(base),
                }
            }
        }
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.base.raw(name)
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        self.base.config()
    }

    fn folder(&self) -> Option<&Path> {
        self.base.folder()
    }

    fn model(&self) -> Option<&Model> {
        self.base.model()
    }

    fn notice(&self) -> Option<String> {
        self.base.notice()
    }

    fn files(&self) -> Vec<PathBuf> {
        [self.base.files(), self.files.clone()].concat()
    }

    fn identity(&self) -> Result<String> {
        if self.files.is_empty() {
            return contents(self);
        }
        let over = stamp(self.files.iter().map(PathBuf::as_path))?;
        Ok(format!("{}{}\n{over}", self.base.identity()?, self.label))
    }

    fn claims(&self, name: &str) -> Option<&RoaringBitmap> {
        match &self.over {
            Over::Ticket(ticket) => ticket.mask().universe().index_of(name).map(|i| ticket.mask().set(i)),
            Over::Vector(_) | Over::Adapter(_) => None,
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

/// A base with the product of two narrow matrices added.
struct LowRank<'a> {
    base: Box<dyn Reader + 'a>,
    /// `[rows, rank]` and `[rank, columns]`.
    left: Vec<f32>,
    right: Vec<f32>,
    rank: usize,
    columns: usize,
    scale: f32,
}

impl<'a> LowRank<'a> {
    fn new(base: Box<dyn Reader + 'a>, module: &Module) -> Result<Self> {
        let (left, right) = if module.transposed {
            (module.a.t()?, module.b.t()?)
        } else {
            (module.b.clone(), module.a.clone())
        };
        let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
        let [_, columns] = module.shape();
        Ok(Self {
            base,
            left: flat(&left)?,
            right: flat(&right)?,
            rank: module.rank(),
            columns,
            scale: module.scale as f32,
        })
    }
}

impl Reader for LowRank<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        let mut own = Vec::new();
        let base = self.base.read(start, len, &mut own)?;
        scratch.clear();
        scratch.resize(len, 0.0);
        let mut at = 0;
        while at < len {
            let (row, column) = ((start + at) / self.columns, (start + at) % self.columns);
            let width = (self.columns - column).min(len - at);
            let sum = &mut scratch[at..at + width];
            // Each entry is summed in the order of the rank, so where a stretch begins does not matter.
            for (k, &factor) in self.left[row * self.rank..(row + 1) * self.rank].iter().enumerate() {
                let right = &self.right[k * self.columns + column..][..width];
                sum.iter_mut().zip(right).for_each(|(sum, right)| *sum += factor * right);
            }
            at += width;
        }
        scratch.iter_mut().zip(base).for_each(|(sum, base)| *sum = base + *sum * self.scale);
        Ok(scratch)
    }

    fn release(&self, start: usize, len: usize) {
        self.base.release(start, len);
    }
}
