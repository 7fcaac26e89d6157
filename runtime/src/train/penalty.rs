//! A quadratic penalty in the step: `½ Σ weight · (w - anchor)²` over the trained entries.
//!
//! With the Fisher information as weight it is elastic weight consolidation (Kirkpatrick et al. 2017, equation 3), with a
//! number L2-SP (Li, Grandvalet and Davoine 2018, equation 2). It is a term of the loss, so that the optimizer and clipping
//! see its gradient with that of the task; it is not the decoupled decay of AdamW. `w` are the values that the optimizer
//! works on, which of bf16 parameters are f32.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::gradient::accumulate;
use super::selection::Selection;
use super::slot::Slot;
use super::subject::Subject;
use crate::model::ParamSpec;
use crate::model::decoder::Want;
use crate::ops::{Exec, scatter};
use crate::vectors::{Part, Values};
use crate::{Error, Result};

/// The penalty `½ Σ weight · (w - anchor)²`.
#[derive(Clone, Debug)]
pub struct Penalty {
    /// The values that the weights are pulled to: of the trained entries at least.
    pub anchor: Arc<Values>,
    /// How strongly.
    pub weight: Strength,
}

/// How strongly a penalty pulls.
#[derive(Clone, Debug)]
pub enum Strength {
    /// Every entry alike; at least 0.
    Number(f64),
    /// Each entry by its own number, at least 0: of the trained entries at least.
    Each(Arc<Values>),
}

/// A penalty on the entries of a selection.
#[derive(Debug)]
pub(super) struct Pull {
    /// By parameter, where entries of it are trained.
    parts: Vec<Option<Entries>>,
}

#[derive(Debug)]
struct Entries {
    anchor: Vec<f32>,
    weight: Weight,
}

#[derive(Debug)]
enum Weight {
    Number(f32),
    Each(Vec<f32>),
}

impl Weight {
    fn at(&self, k: usize) -> f32 {
        match self {
            Self::Number(weight) => *weight,
            Self::Each(weights) => weights[k],
        }
    }
}

impl Pull {
    /// The anchor and the weights of the entries of `selection`.
    ///
    /// # Errors
    /// When an entry has no anchor or no weight, or a weight is negative or not finite.
    pub fn new(penalty: &Penalty, exec: &Exec, selection: &Selection) -> Result<Self> {
        let universe = selection.universe();
        universe.check_same(penalty.anchor.universe())?;
        let one = |i: usize, want: &Want| -> Result<Option<Entries>> {
            if !want.any() {
                return Ok(None);
            }
            let spec = universe.spec(i);
            let anchor = of_entries(exec, spec, penalty.anchor.part(i), want, "anchor")?;
            let weight = match &penalty.weight {
                Strength::Number(weight) => Weight::Number(*weight as f32),
                Strength::Each(values) => {
                    universe.check_same(values.universe())?;
                    Weight::Each(of_entries(exec, spec, values.part(i), want, "weight")?)
                }
            };
            let weights: &[f32] = match &weight {
                Weight::Number(weight) => std::slice::from_ref(weight),
                Weight::Each(weights) => weights,
            };
            if let Some(wrong) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
                return Err(Error::argument(format!(
                    "the weight of a penalty must be finite and at least 0, and is {wrong} in {}",
                    spec.name
                )));
            }
            Ok(Some(Entries { anchor, weight }))
        };
        let parts = selection.wants().iter().enumerate().map(|(i, want)| one(i, want));
        Ok(Self { parts: parts.collect::<Result<_>>()? })
    }

    /// What tells this penalty from another on the same entries: a hash of its anchor and its weights.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for entries in self.parts.iter().flatten() {
            hash.update(bytemuck::cast_slice(&entries.anchor));
            let weights = match &entries.weight {
                Weight::Number(weight) => std::slice::from_ref(weight),
                Weight::Each(weights) => weights,
            };
            hash.update(&(weights.len() as u64).to_le_bytes());
            hash.update(bytemuck::cast_slice(weights));
        }
        hash.finalize().to_hex().to_string()
    }

    /// Adds the penalty's gradient to those of all trained parameters; returns the penalty.
    pub fn add_all(&self, subject: Subject<'_>, slots: &[Slot], grads: &mut [Option<Tensor>]) -> Result<f64> {
        let mut sum = 0.0;
        for slot in slots {
            if let Some(grad) = &mut grads[slot.param] {
                sum += self.add(subject, slot, grad)?;
            }
        }
        Ok(sum)
    }

    /// Adds the penalty's gradient to that of one parameter; returns its share of the penalty.
    pub fn add(&self, subject: Subject<'_>, slot: &Slot, grad: &mut Tensor) -> Result<f64> {
        let Some(entries) = &self.parts[slot.param] else { return Ok(0.0) };
        let Subject { exec, params, .. } = subject;
        slot.values(exec, params.get(slot.param), |values| -> Result<f64> {
            let anchors = values.par_iter().zip(&entries.anchor).enumerate();
            let pulls: Vec<f32> = anchors.map(|(k, (w, a))| entries.weight.at(k) * (w - a)).collect();
            // Summed in stretches, so that the sum does not depend on the number of threads.
            let stretch = |(s, pulls): (usize, &[f32])| -> f64 {
                let away = |k: usize| f64::from(values[k]) - f64::from(entries.anchor[k]);
                pulls.iter().enumerate().map(|(k, pull)| f64::from(*pull) * away(s * STRETCH + k)).sum()
            };
            let sums: Vec<f64> = pulls.par_chunks(STRETCH).enumerate().map(stretch).collect();
            let pulls = Tensor::from_vec(pulls, grad.shape(), &candle_core::Device::Cpu)?;
            if exec.fast(grad) && grad.is_contiguous() {
                accumulate(exec, grad, &pulls, |grad, pull| *grad += pull)?;
            } else {
                *grad = (&*grad + pulls.to_device(grad.device())?)?;
            }
            Ok(0.5 * sums.iter().sum::<f64>())
        })?
    }
}

/// Entries whose share of the penalty is summed at a time.
const STRETCH: usize = 1 << 14;

/// The numbers of the trained entries of a parameter.
fn of_entries(
    exec: &Exec,
    spec: &ParamSpec,
    part: Option<&Part>,
    want: &Want,
    what: &str,
) -> Result<Vec<f32>> {
    let missing = || {
        Error::argument(format!(
            "the penalty's {what} has no value for some trained entries of {}; it must be of all that is trained",
            spec.name
        ))
    };
    let values = match (part.ok_or_else(missing)?, want) {
        (Part::Dense(tensor), Want::At(index)) => {
            scatter::gather(exec, &tensor.to_dtype(candle_core::DType::F32)?, index)?
        }
        (Part::Dense(tensor), _) => tensor.flatten_all()?.to_dtype(candle_core::DType::F32)?,
        (Part::At(has, values), Want::At(index)) if has.same_entries(index) => values.clone(),
        (Part::At(has, values), Want::At(index)) => {
            let (all, mut places) = (values.to_vec1::<f32>()?, has.iter().zip(0..).peekable());
            let mut found = Vec::with_capacity(index.nnz());
            for at in index.iter() {
                while places.next_if(|(place, _)| *place < at).is_some() {}
                match places.next_if(|(place, _)| *place == at) {
                    Some((_, k)) => found.push(all[k]),
                    None => return Err(missing()),
                }
            }
            return Ok(found);
        }
        (Part::At(..), _) => return Err(missing()),
    };
    Ok(values.to_vec1()?)
}
