//! An adapter on a model: its change of each parameter, merged into the weights.

use candle_core::{DType, Tensor};

use super::{Adapter, Module};
use crate::model::tied::{EMBEDDING, HEAD};
use crate::model::{Params, Universe};
use crate::ops::Exec;
use crate::vectors::Values;
use crate::{Error, Result};

impl Module {
    /// The change of the weight, `scale * B A`, in f32 and in the weight's shape.
    pub fn delta(&self, exec: &Exec) -> Result<Tensor> {
        let (a, b) = (self.a.to_device(exec.device())?, self.b.to_device(exec.device())?);
        let product = if self.transposed { a.t()?.matmul(&b.t()?)? } else { b.matmul(&a)? };
        Ok((product * self.scale)?)
    }

    /// An error unless the weight that it changes is there in its shape.
    fn fits(&self, shape: impl Fn(&str) -> Result<Vec<usize>>) -> Result<()> {
        let param = self.param();
        let shape = shape(&param).map_err(|e| match self.name.as_str() {
            "lm_head" => Error::mismatch(
                "the adapter changes lm_head, which in this model is the embedding (tie_word_embeddings): a change of \
                 one would be a change of both. Apply it to model:untied(), as `lota lora apply` does",
            ),
            name => Error::mismatch(format!("the adapter is of another model: it changes module {name}, and {e}")),
        })?;
        if shape != self.shape() {
            return Err(Error::mismatch(format!(
                "the adapter is of another model: it changes a {:?} weight in module {}, and parameter {param} has shape {shape:?}",
                self.shape(),
                self.name,
            )));
        }
        Ok(())
    }
}

impl Adapter {
    fn changes_embedding(&self) -> bool {
        self.changed().any(|param| param == EMBEDDING)
    }

    /// The names of the parameters that it changes or replaces.
    fn changed(&self) -> impl Iterator<Item = String> {
        self.modules.iter().map(Module::param).chain(self.replaced.iter().map(|r| r.param.clone()))
    }

    /// Whether it changes the embedding or the head: a model in which these are one weight must be untied first.
    pub fn changes_vocabulary(&self) -> bool {
        self.changed().any(|param| param == EMBEDDING || param == HEAD)
    }

    /// An error unless all that it changes or replaces is there in its shape. `shape` gives the shape
    /// of a parameter, or the error that says that there is none.
    ///
    /// # Errors
    /// Also when it changes the embedding of a model whose head is the embedding: the head would change with it.
    pub fn fits(&self, shape: impl Fn(&str) -> Result<Vec<usize>>) -> Result<()> {
        if self.changes_embedding() && shape(HEAD).is_err() {
            return Err(Error::mismatch(
                "the adapter changes model.embed_tokens, which in this model is the head too (tie_word_embeddings): a \
                 change of one would be a change of both. Apply it to model:untied(), as `lota lora apply` does",
            ));
        }
        self.modules.iter().try_for_each(|m| m.fits(&shape))?;
        for replaced in &self.replaced {
            let shape = shape(&replaced.param).map_err(|e| {
                Error::mismatch(format!(
                    "the adapter is of another model: it replaces {}, and {e}",
                    replaced.param
                ))
            })?;
            if replaced.values.dims() != shape {
                return Err(Error::mismatch(format!(
                    "the adapter replaces {} by values of shape {:?}, and the parameter has {shape:?}",
                    replaced.param,
                    replaced.values.dims()
                )));
            }
        }
        Ok(())
    }

    /// The parameters that it changes or replaces, by index; an error unless all are there in their
    /// shapes. Modules come first.
    pub fn check(&self, universe: &Universe) -> Result<Vec<usize>> {
        self.fits(|name| Ok(universe.spec(universe.get(name)?).shape.clone()))?;
        self.changed().map(|name| universe.get(&name)).collect()
    }

    /// Calls `visit` with the index of each parameter that it changes, and the change in f32.
    fn changes(
        &self,
        exec: &Exec,
        params: &Params,
        mut visit: impl FnMut(usize, Tensor) -> Result<()>,
    ) -> Result<()> {
        let indices = self.check(params.universe())?;
        let (modules, replaced) = indices.split_at(self.modules.len());
        // What is replaced comes first: it may be the weight that a module's change is a change of.
        for (&index, replaced) in replaced.iter().zip(&self.replaced) {
            let old = params.get(index).to_dtype(DType::F32)?;
            let new = replaced.values.to_device(old.device())?;
            visit(index, (new - old)?)?;
        }
        for (&index, module) in modules.iter().zip(&self.modules) {
            visit(index, module.delta(exec)?)?;
        }
        Ok(())
    }

    /// The adapter's change of a model as a task vector: every entry of the parameters that it
    /// changes.
    pub fn task_vector(&self, exec: &Exec, params: &Params) -> Result<Values> {
        let mut values: Vec<Option<Tensor>> = vec![None; params.universe().len()];
        self.changes(exec, params, |index, delta| {
            values[index] = Some(match values[index].take() {
                Some(other) => (other + delta)?,
                None => delta,
            });
            Ok(())
        })?;
        Values::new(params.universe().clone(), values)
    }

    /// Adds `weight` times the adapter's change to the weights, in place and so for all clones of the
    /// parameters: in f32, rounded once to the weight's type.
    pub fn apply(&self, exec: &Exec, params: &Params, weight: f64) -> Result<()> {
        if !weight.is_finite() {
            return Err(Error::argument(format!("an adapter is applied with a finite weight, not {weight}")));
        }
        params.check_free()?;
        let changed = |index: usize, delta: Tensor| -> Result<Tensor> {
            let old = params.get(index);
            Ok((old.to_dtype(DType::F32)? + (delta * weight)?)?.to_dtype(old.dtype())?)
        };
        // All are made once before any is written: half a change could not be taken back.
        self.changes(exec, params, |index, delta| {
            let nothing = (changed(index, delta)?.to_dtype(DType::F32)? * 0.0)?.sum_all()?.to_scalar::<f32>()?;
            if nothing == 0.0 {
                return Ok(());
            }
            Err(Error::mismatch(format!(
                "the adapter with the weight {weight:e} makes {} infinite or NaN: its scale or the weight is too large; \
                 nothing was changed",
                params.universe().spec(index).name
            )))
        })?;
        let done = self.changes(exec, params, |index, delta| {
            Ok(params.get(index).slice_set(&changed(index, delta)?.contiguous()?, 0, 0)?)
        });
        params.touch();
        done
    }
}
