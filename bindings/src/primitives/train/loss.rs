//! Losses written in a script, over the log-probabilities of the labelled positions.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use lota_runtime::data::Batch;
use lota_runtime::model::decoder::LossFn;
use lota_script::{Error, Result, ScriptFn, Value};

use crate::error::Told as _;
use crate::error::of_callback;
use crate::primitives::data::ScriptBatch;
use crate::primitives::tensor::ScriptTensor;
use crate::primitives::tensor::of_value;

/// The type of a `loss` option, for records.
pub(super) const LOSS_DOC: &str = "function(logp, batch) -> Tensor: the loss, one number computed from the log-probabilities of the labelled \
     positions (a Tensor); cross-entropy if not given";

/// A function of the script as a loss.
pub(super) struct ScriptLoss(pub(super) Arc<dyn ScriptFn>);

impl LossFn for ScriptLoss {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
        self.differentiate(batch, logp).map_err(of_callback)
    }
}

impl ScriptLoss {
    fn differentiate(&self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let variable = Var::from_tensor(logp).told()?;
        let batch = Value::object(ScriptBatch::new(batch.clone()));
        let returned =
            self.0.call(&[Value::object(ScriptTensor::new(variable.as_tensor().clone())), batch])?;
        let what = returned.describe();
        let wrong = |what: &str| Error::argument(format!("the loss function {what}"));
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
}
