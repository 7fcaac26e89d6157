//! Losses written in a script, over the log-probabilities of the labelled positions.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use lota_runtime::data::Batch;
use lota_runtime::model::Model;
use lota_runtime::model::decoder::LossFn;
use lota_script::{Error, Result, ScriptFn, Value};

use crate::error::Told as _;
use crate::error::of_callback;
use crate::primitives::data::ScriptBatch;
use crate::primitives::tensor::ScriptTensor;
use crate::primitives::tensor::of_value;

/// The type of a `loss` option, for records.
pub(super) const LOSS_DOC: &str = "function(logp, batch) -> Tensor: the loss, one number computed from the log-probabilities of the labelled \
     positions (a Tensor); cross-entropy if not given. The batch may be several batches in one. The weights may not be \
     changed in it, and gradients reach them through logp alone: a loss that contains the model's own weights otherwise is \
     an error unless they are detached";

/// A function of the script as a loss.
pub(super) struct ScriptLoss {
    function: Arc<dyn ScriptFn>,
    /// The model that the loss is of.
    model: Arc<Model>,
}

impl LossFn for ScriptLoss {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
        self.differentiate(batch, logp).map_err(of_callback)
    }
}

impl ScriptLoss {
    pub(super) fn new(function: Arc<dyn ScriptFn>, model: Arc<Model>) -> Self {
        Self { function, model }
    }

    fn differentiate(&self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let variable = Var::from_tensor(logp).told()?;
        let batch = Value::object(ScriptBatch::new(batch.clone()));
        let returned =
            self.function.call(&[Value::object(ScriptTensor::new(variable.as_tensor().clone())), batch])?;
        let what = returned.describe();
        let wrong = |what: &str| Error::argument(format!("the loss function {what}"));
        let bits = |x: &Tensor| -> Result<Vec<u32>> {
            Ok(x.to_vec1::<f32>().told()?.into_iter().map(f32::to_bits).collect())
        };
        if bits(variable.as_tensor())? != bits(logp)? {
            return Err(wrong(
                "changed logp in place (a method whose name ends in _), which no gradient sees: compute new tensors from it",
            ));
        }
        if self.contains_weights(&returned) {
            return Err(wrong(
                "returned a Tensor that depends on the weights of the model being trained (by Model:param, Model:logp or \
                 Model:logits), which have no gradient here: they would count as constants. A penalty on the weights is the \
                 option weight_decay, or a change of the weights between two calls of Trainer:step; a constant is meant \
                 where you write x:detach()",
            ));
        }
        let loss = of_value(returned)
            .map_err(|_| wrong(&format!("must return a Tensor computed from logp, and returned {what}")))?;
        if loss.elem_count() != 1 {
            return Err(wrong(&format!(
                "must return one number, and returned shape {:?}; take its mean or sum",
                loss.dims()
            )));
        }
        let loss = loss.reshape(()).told()?;
        let value = f64::from(loss.to_dtype(DType::F32).told()?.to_scalar::<f32>().told()?);
        let gradients = loss.backward().told()?;
        let gradient = gradients.get(variable.as_tensor()).ok_or_else(|| {
            wrong("returned a Tensor that does not depend on logp: compute it from logp with Tensor methods")
        })?;
        Ok((value, gradient.to_dtype(DType::F32).told()?.contiguous().told()?))
    }

    fn contains_weights(&self, returned: &Value) -> bool {
        let Value::Object(object) = returned else { return false };
        object.downcast_ref::<ScriptTensor>().is_some_and(|tensor| tensor.depends_on(&self.model))
    }
}
