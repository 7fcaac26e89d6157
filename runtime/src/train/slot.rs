//! One trainable parameter: which of its entries change, and what the optimizer remembers of them.

use candle_core::{DType, Tensor};

use super::optimizer::{Now, Optimizer, Target};
use crate::model::decoder::Want;
use crate::ops::simd::dither_bf16;
use crate::ops::slice::{self, WeightMut};
use crate::ops::{Exec, SparseIndex, scatter};
use crate::{Error, Result};

/// Numbers that belong to the trainable entries of a parameter: plain memory where the fused CPU
/// pass is used, a tensor on other devices.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    Host(Vec<f32>),
    Device(Tensor),
}

impl Numbers {
    fn zeros(exec: &Exec, w: &Tensor, len: usize) -> Result<Self> {
        Ok(match exec.fast(w) {
            true => Self::Host(vec![0.0; len]),
            false => Self::Device(Tensor::zeros(len, DType::F32, w.device())?),
        })
    }

    fn replace(&mut self, values: Vec<f32>) -> Result<()> {
        match self {
            Self::Host(old) => *old = values,
            Self::Device(old) => *old = Tensor::new(values, old.device())?,
        }
        Ok(())
    }

    /// Gives `visit` the numbers.
    pub fn with<R>(&self, visit: impl FnOnce(&[f32]) -> R) -> Result<R> {
        Ok(match self {
            Self::Host(values) => visit(values),
            Self::Device(values) => visit(&values.to_vec1::<f32>()?),
        })
    }
}

/// The trainable part of a parameter.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its index in the universe.
    pub param: usize,
    want: Want,
    /// Of a bf16 parameter, the f32 values that the optimizer works on. An f32 parameter is its own
    /// master.
    masters: Option<Numbers>,
    states: Vec<Numbers>,
    /// Its own learning rate before the schedule, if it has one.
    pub lr: Option<f64>,
    /// Its own settings of the optimizer, if they differ from the training's.
    pub optimizer: Option<Optimizer>,
}

/// What a slot and its entries of the parameter were.
pub(super) struct Before {
    entries: Tensor,
    masters: Option<Numbers>,
    states: Vec<Numbers>,
}

impl Slot {
    /// The slot of a parameter `w` of which `want` changes; `None` where nothing does.
    pub fn new(exec: &Exec, param: usize, w: &Tensor, want: &Want, states: usize) -> Result<Option<Self>> {
        let len = match want {
            Want::No => return Ok(None),
            Want::Dense => w.elem_count(),
            Want::At(index) => {
                index.check("training", w.dims())?;
                index.nnz()
            }
        };
        let mut slot =
            Self { param, want: want.clone(), masters: None, states: Vec::new(), lr: None, optimizer: None };
        if w.dtype() != DType::F32 {
            let values = slot.gathered(exec, w)?;
            slot.masters = Some(match exec.fast(w) {
                true => Numbers::Host(values.to_vec1::<f32>()?),
                false => Numbers::Device(values),
            });
        }
        slot.states = (0..states).map(|_| Numbers::zeros(exec, w, len)).collect::<Result<_>>()?;
        Ok(Some(slot))
    }

    fn index(&self) -> Option<&SparseIndex> {
        match &self.want {
            Want::At(index) => Some(index),
            _ => None,
        }
    }

    /// The numbers of state, in the order of the optimizer's formula.
    pub fn states(&self) -> &[Numbers] {
        &self.states
    }

    /// The trainable entries as they are in the parameter, f32 `[len]`.
    fn gathered(&self, exec: &Exec, w: &Tensor) -> Result<Tensor> {
        match self.index() {
            Some(index) => scatter::gather(exec, w, index),
            None => Ok(w.flatten_all()?.to_dtype(DType::F32)?),
        }
    }

    /// Gives `visit` the values the optimizer works on: the next step begins with them.
    pub fn values<R>(&self, exec: &Exec, w: &Tensor, visit: impl FnOnce(&[f32]) -> R) -> Result<R> {
        if let Some(masters) = &self.masters {
            // A weight that was changed from outside since the last step has a master that no longer belongs to it.
            let mut values = self.gathered(exec, w)?.to_vec1::<f32>()?;
            let places: Box<dyn Iterator<Item = u32>> = match self.index() {
                Some(index) => Box::new(index.iter()),
                None => Box::new(0..),
            };
            masters.with(|masters| {
                for ((value, &master), place) in values.iter_mut().zip(masters).zip(places) {
                    if dither_bf16(master, place).to_f32() == *value {
                        *value = master;
                    }
                }
            })?;
            return Ok(visit(&values));
        }
        if w.device().is_cpu() && self.index().is_none() {
            let read = slice::read(w)?;
            let guard = read.lock();
            return Ok(visit(guard.f32()?));
        }
        Ok(visit(&self.gathered(exec, w)?.to_vec1::<f32>()?))
    }

    /// What a step will change, copied.
    pub fn before(&self, exec: &Exec, w: &Tensor) -> Result<Before> {
        // Of a whole f32 parameter the entries are the parameter itself, which changes in place.
        let entries = self.gathered(exec, w)?.copy()?;
        Ok(Before { entries, masters: self.masters.clone(), states: self.states.clone() })
    }

    /// Undoes what happened since.
    pub fn put_back(&mut self, exec: &Exec, w: &Tensor, before: Before) -> Result<()> {
        let Before { entries, masters, states } = before;
        self.write(exec, w, &entries)?;
        (self.masters, self.states) = (masters, states);
        Ok(())
    }

    /// Puts saved values and state in the place of the present ones, in the parameter too.
    pub fn restore(
        &mut self,
        exec: &Exec,
        w: &Tensor,
        values: Vec<f32>,
        states: Vec<Vec<f32>>,
    ) -> Result<()> {
        let flat = Tensor::from_vec(values, self.len(w), w.device())?;
        self.put(exec, w, &flat)?;
        if let Some(masters) = &mut self.masters {
            masters.replace(flat.to_vec1::<f32>()?)?;
        }
        for (state, saved) in self.states.iter_mut().zip(states) {
            state.replace(saved)?;
        }
        Ok(())
    }

    /// Puts other values (in the parameter's shape, or `[nnz]`) in the place of the present ones.
    pub fn set(&mut self, exec: &Exec, w: &Tensor, values: &Tensor) -> Result<()> {
        let flat = values.flatten_all()?.to_dtype(DType::F32)?.to_device(w.device())?;
        self.put(exec, w, &flat)?;
        if let Some(masters) = &mut self.masters {
            masters.replace(flat.to_vec1::<f32>()?)?;
        }
        Ok(())
    }

    /// Takes the values and the state of the entries that a slot of the same parameter has trained, too.
    pub fn take_over(&mut self, exec: &Exec, w: &Tensor, old: &Self) -> Result<()> {
        // Places of the entries that both have, in each list.
        let shared: Vec<(usize, usize)> = match (old.index(), self.index()) {
            (None, None) => (0..w.elem_count()).map(|k| (k, k)).collect(),
            (Some(old), None) => old.iter().enumerate().map(|(k, at)| (k, at as usize)).collect(),
            (None, Some(new)) => new.iter().enumerate().map(|(k, at)| (at as usize, k)).collect(),
            (Some(old), Some(new)) => {
                let mut places = old.iter().enumerate().peekable();
                let mut shared = Vec::new();
                for (k, at) in new.iter().enumerate() {
                    while places.next_if(|(_, place)| *place < at).is_some() {}
                    if let Some((was, _)) = places.next_if(|(_, place)| *place == at) {
                        shared.push((was, k));
                    }
                }
                shared
            }
        };
        let carry = |from: &[f32], to: &mut Numbers| -> Result<()> {
            let mut values = to.with(<[f32]>::to_vec)?;
            shared.iter().for_each(|&(was, is)| values[is] = from[was]);
            to.replace(values)
        };
        if let Some(masters) = &mut self.masters {
            old.values(exec, w, |values| carry(values, masters))??;
        }
        for (old, new) in old.states.iter().zip(&mut self.states) {
            old.with(|values| carry(values, new))??;
        }
        Ok(())
    }

    /// The number of trainable entries.
    pub fn len(&self, w: &Tensor) -> usize {
        self.index().map_or(w.elem_count(), SparseIndex::nnz)
    }

    /// Values as the parameter can hold them, f32. Of bf16 they are rounded as [`dither_bf16`] says, on the host: tensors
    /// have no operations on bits, and these are as many numbers as are trained, not as the parameter has.
    fn rounded(&self, w: &Tensor, values: &Tensor) -> Result<Tensor> {
        if w.dtype() == DType::F32 {
            return Ok(values.clone());
        }
        let mut numbers = values.flatten_all()?.to_vec1::<f32>()?;
        let round = |value: &mut f32, place: u32| *value = dither_bf16(*value, place).to_f32();
        match self.index() {
            Some(index) => numbers.iter_mut().zip(index.iter()).for_each(|(value, at)| round(value, at)),
            None => numbers.iter_mut().zip(0..).for_each(|(value, at)| round(value, at)),
        }
        Ok(Tensor::new(numbers, values.device())?)
    }

    /// Writes values into the parameter, rounded to its type.
    fn put(&self, exec: &Exec, w: &Tensor, values: &Tensor) -> Result<()> {
        self.write(exec, w, &self.rounded(w, values)?)
    }

    /// Writes values that the parameter can hold into it.
    fn write(&self, exec: &Exec, w: &Tensor, values: &Tensor) -> Result<()> {
        match self.index() {
            Some(index) => scatter::scatter_in_place(exec, w, index, values),
            None => Ok(w.slice_set(&values.to_dtype(w.dtype())?.reshape(w.shape())?, 0, 0)?),
        }
    }

    /// One step of the optimizer, in place. `grad` has the shape of the parameter, or `[nnz]`; `factor` is that of the
    /// schedule, for a slot with a rate of its own.
    pub fn step(
        &mut self,
        exec: &Exec,
        w: &Tensor,
        optimizer: &Optimizer,
        now: Now,
        factor: f64,
        grad: &Tensor,
    ) -> Result<()> {
        let own = self.optimizer.clone();
        let optimizer = own.as_ref().unwrap_or(optimizer);
        let now = Now { lr: self.lr.map_or(now.lr, |lr| lr * factor), ..now };
        let len = self.len(w);
        if grad.elem_count() != len || grad.dtype() != DType::F32 {
            return Err(Error::mismatch(format!(
                "a gradient of shape {:?} came for a parameter of which {len} entries are trained",
                grad.dims()
            )));
        }
        if !exec.fast(w) {
            return self.step_reference(exec, w, optimizer, now, grad);
        }
        let grad = slice::read(grad)?;
        let guard = grad.lock();
        let g = guard.f32()?;
        let mut states: Vec<Vec<f32>> = Vec::with_capacity(self.states.len());
        for state in &mut self.states {
            match state {
                Numbers::Host(values) => states.push(std::mem::take(values)),
                Numbers::Device(values) => states.push(values.to_vec1::<f32>()?),
            }
        }
        let mut masters = match &mut self.masters {
            Some(Numbers::Host(values)) => Some(std::mem::take(values)),
            Some(Numbers::Device(values)) => Some(values.to_vec1::<f32>()?),
            None => None,
        };
        let index = self.index();
        let work = |weight: WeightMut<'_>| {
            let target = Target { weight, index, masters: masters.as_deref_mut() };
            exec.run(|| optimizer.update(now, target, g, &mut states));
        };
        let done = slice::write(w, work);
        for (slot, values) in self.states.iter_mut().zip(states) {
            *slot = Numbers::Host(values);
        }
        if let Some(values) = masters {
            self.masters = Some(Numbers::Host(values));
        }
        done
    }

    fn step_reference(
        &mut self,
        exec: &Exec,
        w: &Tensor,
        optimizer: &Optimizer,
        now: Now,
        grad: &Tensor,
    ) -> Result<()> {
        let device = w.device();
        let tensor = |numbers: &Numbers| match numbers {
            Numbers::Host(values) => Ok(Tensor::new(values.as_slice(), device)?),
            Numbers::Device(values) => Ok::<_, Error>(values.clone()),
        };
        let stored = self.gathered(exec, w)?;
        let current = match &self.masters {
            None => stored,
            // If the weight was changed from outside since the last step, the weight replaces its master copy.
            Some(masters) => {
                let masters = tensor(masters)?;
                let same = self.rounded(w, &masters)?.eq(&stored)?;
                same.where_cond(&masters, &stored)?
            }
        };
        let mut states = self.states.iter().map(tensor).collect::<Result<Vec<_>>>()?;
        let grad = grad.flatten_all()?;
        let next = optimizer.updated(now, &current, &grad, &mut states)?;
        self.put(exec, w, &next)?;
        self.states = states.into_iter().map(Numbers::Device).collect();
        if self.masters.is_some() {
            self.masters = Some(Numbers::Device(next));
        }
        Ok(())
    }
}
