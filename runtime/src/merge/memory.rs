//! The result in memory: as the parameters of a model, or as a ticket on the base.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::plan::Plan;
use super::run::Store;
use super::{Config, Float, Input, PlanOptions, Sink};
use crate::host::Host;
use crate::mask::Mask;
use crate::model::{Config as ModelConfig, Decoder, Model, Params, Universe};
use crate::ops::Exec;
use crate::ticket::{Meta, Ticket};
use crate::{Error, Result};

impl Plan {
    /// Carries the plan out and gives the result as parameters of this universe, on the device of
    /// `exec`, with matrices held as `dtype`.
    pub fn params(
        &self,
        universe: &Arc<Universe>,
        dtype: DType,
        seed: u64,
        exec: &Exec,
        host: &Host,
    ) -> Result<Params> {
        self.covers(universe)?;
        let store = Memory::new(self, |job, values| {
            let Some(index) = universe.index_of(&self.jobs[job].name) else { return Ok(None) };
            let spec = universe.spec(index);
            let held = Params::dtype_of(spec.role, dtype);
            if let Some(float) = Float::of(held)
                && let Some(value) = float.overflow(&values)
            {
                return Err(Error::mismatch(format!(
                    "{}: {value} is more than {}, as which the model is held, can hold: hold it as float32",
                    spec.name,
                    float.torch()
                )));
            }
            let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
            let tensor = tensor.to_dtype(held)?.to_device(exec.device())?;
            Ok(Some(tensor))
        });
        self.run(&store, seed, exec, host)?;
        let mut made = store.take()?;
        let mut tensors = Vec::with_capacity(universe.len());
        for spec in universe.specs() {
            let at = self.jobs.iter().position(|j| j.name == spec.name);
            let tensor = at.and_then(|at| made[at].take());
            tensors.push(
                tensor.ok_or_else(|| Error::mismatch(format!("the merge makes no tensor {}", spec.name)))?,
            );
        }
        Params::new(universe.clone(), tensors)
    }

    /// Carries the plan out and gives, at the entries of `mask`, a ticket of the result.
    pub fn ticket(&self, mask: &Mask, meta: Meta, seed: u64, exec: &Exec, host: &Host) -> Result<Ticket> {
        let universe = mask.universe();
        self.covers(universe)?;
        let store = Memory::new(self, |job, values| {
            let Some(index) = universe.index_of(&self.jobs[job].name) else { return Ok(None) };
            Ok(Some(mask.set(index).iter().map(|at| values[at as usize]).collect::<Vec<f32>>()))
        });
        self.run(&store, seed, exec, host)?;
        let made = store.take()?;
        let mut values = vec![Vec::new(); universe.len()];
        for (job, made) in self.jobs.iter().zip(made) {
            if let (Some(index), Some(made)) = (universe.index_of(&job.name), made) {
                values[index] = made;
            }
        }
        Ticket::new(mask.clone(), values, meta)
    }

    fn covers(&self, universe: &Universe) -> Result<()> {
        for spec in universe.specs() {
            match self.jobs.iter().find(|j| j.name == spec.name) {
                Some(job) if job.shape == spec.shape => {}
                Some(job) => {
                    return Err(Error::mismatch(format!(
                        "the merge makes {} of shape {:?}, and the model has {:?}: write it to a folder and load that",
                        spec.name, job.shape, spec.shape
                    )));
                }
                None => return Err(Error::mismatch(format!("the merge makes no tensor {}", spec.name))),
            }
        }
        Ok(())
    }
}

/// An input as a model in memory that can be run, with weights held as `dtype`. The tokenizer comes from its folder or
/// from the model it changes.
pub fn as_model(input: &Arc<dyn Input>, dtype: DType, exec: &Exec, host: &Host) -> Result<Model> {
    let label = input.label();
    let json = input.config().cloned().ok_or_else(|| {
        Error::argument(format!("{label} has no config.json, without which it cannot be run"))
    })?;
    let config = ModelConfig::from_json(&Value::Object(json))?;
    let decoder = Decoder::new(&config)?;
    let alone = Config::read(&json!({"merge_method": "passthrough", "models": [{"model": label}]}))?;
    let plan = Plan::new(&alone, vec![input.clone()], None, PlanOptions::default())?;
    let params = plan.params(decoder.universe(), dtype, 0, exec, host)?;
    let model = Model::new(config, params, exec.clone(), label)?;
    match (input.model(), input.folder()) {
        (Some(of), _) => Ok(Model {
            tokenizer: of.tokenizer.clone(),
            chat_template: of.chat_template.clone(),
            generation: of.generation.clone(),
            ..model
        }),
        (None, Some(folder)) => model.furnished(folder, None, &host.room),
        (None, None) => Ok(model),
    }
}

/// Collects tensors in memory and converts each as soon as it is complete.
struct Memory<'p, T, F> {
    plan: &'p Plan,
    keep: F,
    open: Vec<Mutex<Vec<f32>>>,
    made: Vec<Mutex<Option<T>>>,
}

impl<'p, T: Send, F: Fn(usize, Vec<f32>) -> Result<Option<T>> + Sync> Memory<'p, T, F> {
    fn new(plan: &'p Plan, keep: F) -> Self {
        let open = plan.jobs.iter().map(|_| Mutex::default()).collect();
        let made = plan.jobs.iter().map(|_| Mutex::new(None)).collect();
        Self { plan, keep, open, made }
    }

    fn take(self) -> Result<Vec<Option<T>>> {
        Ok(self.made.into_iter().map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }
}

impl<T: Send, F: Fn(usize, Vec<f32>) -> Result<Option<T>> + Sync> Store for Memory<'_, T, F> {
    fn sink<'s>(&'s self, job: usize) -> Result<Box<dyn Sink + 's>> {
        let mut open = self.open[job].lock().unwrap_or_else(PoisonError::into_inner);
        open.resize(self.plan.jobs[job].entries(), 0.0);
        Ok(Box::new(InMemory { open: &self.open[job], out: self.plan.jobs[job].out }))
    }

    fn bytes(&self, _: usize, _: &[u8]) -> Result<()> {
        // Tensors that are not of a floating type are not parameters.
        Ok(())
    }

    fn done(&self, job: usize) -> Result<()> {
        let values = std::mem::take(&mut *self.open[job].lock().unwrap_or_else(PoisonError::into_inner));
        let made = (self.keep)(job, values)?;
        *self.made[job].lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }
}

struct InMemory<'s> {
    open: &'s Mutex<Vec<f32>>,
    out: Float,
}

impl Sink for InMemory<'_> {
    fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut open[start..start + values.len()];
        place.copy_from_slice(values);
        self.out.round(place);
        Ok(())
    }
}
