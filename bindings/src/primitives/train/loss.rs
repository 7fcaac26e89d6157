//! Losses written in a script: over the log-probabilities of the labelled positions, or over the logits there.

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use lota_runtime::data::Batch;
use lota_runtime::model::Model;
use lota_runtime::model::decoder::{CrossEntropy, LogitsLoss, LossFn, OverLogits, Rows};
use lota_runtime::ops::slice::read;
use lota_script::{Args, Error, Map, Result, ScriptFn, Value};

use super::penalty::keys;
use super::rows::{Pass, ScriptRows};
use crate::error::Told as _;
use crate::error::of_callback;
use crate::primitives::data::ScriptBatch;
use crate::primitives::tensor::{ScriptTensor, WHY, of_value};

/// The type of a `loss` option, for records.
pub(super) const LOSS_TYPE: &str = "function|map";

/// What a `loss` option is, for records.
pub(super) const LOSS_DOC: &str = "function(logp, batch) -> Tensor: the loss, one number computed from the log-probabilities of the labelled \
     positions (a Tensor); cross-entropy if not given. The batch may be several batches in one. Or {on = \"logits\", fn = \
     function(logits, rows) -> Tensor}: a number for each row of logits, [n, vocab] in f32, of n labelled positions at a \
     time, which rows (Rows) tells of; their mean, or sum as reduction says, is the loss, and a number may depend on its own \
     row alone. The weights may not be changed in it, and gradients reach them through logp or logits alone: a loss that takes \
     the model's weights otherwise, or scores, tickets, copies or numbers made of them, is an error, unless a tensor is \
     detached or what is taken was made before the step";

/// What an option `loss` says.
#[derive(Clone)]
pub(super) enum Loss {
    /// Over log-probabilities.
    Logp(Arc<dyn ScriptFn>),
    /// Over logits.
    Logits(Arc<dyn ScriptFn>),
}

impl Loss {
    /// Reads the option `loss`.
    pub(super) fn read(args: &mut Args) -> Result<Option<Self>> {
        match args.get::<Value>("loss")? {
            Value::Nil => Ok(None),
            Value::Function(function) => Ok(Some(Self::Logp(function))),
            Value::Map(map) => Self::of_map(args, map).map(Some),
            other => Err(args.wrong("loss", format!("must be {FORM}, got {}", other.describe()))),
        }
    }

    fn of_map(args: &Args, mut map: Map) -> Result<Self> {
        // What stands in a table of Lua without a name is its first value.
        if let Some(first) = map.take("1") {
            map.set("fn", first);
        }
        let [on, function] = keys(args, "loss", map, ["on", "fn"])?;
        let Some(Value::Function(function)) = function else {
            return Err(args.wrong("loss", format!("has no function: it is {FORM}")));
        };
        match on {
            None => Ok(Self::Logp(function)),
            Some(Value::Str(on)) if on == "logp" => Ok(Self::Logp(function)),
            Some(Value::Str(on)) if on == "logits" => Ok(Self::Logits(function)),
            Some(other) => {
                Err(args.wrong("loss", format!("is on 'logp' or on 'logits', not on {}", other.describe())))
            }
        }
    }

    /// Runs `work` with this loss, if there is one, of a model.
    pub(super) fn with<R>(
        loss: Option<&Self>,
        model: &Arc<Model>,
        work: impl FnOnce(Option<&mut dyn LossFn>) -> R,
    ) -> R {
        let own =
            |function: &Arc<dyn ScriptFn>, of| Own { function: function.clone(), model: model.clone(), of };
        match loss {
            None => work(None),
            Some(Self::Logp(function)) => work(Some(&mut OfLogp(own(function, "logp")))),
            Some(Self::Logits(function)) => {
                let mut inner = OfLogits { own: own(function, "logits"), pass: None };
                work(Some(&mut OverLogits { inner: &mut inner, count: CrossEntropy::default() }))
            }
        }
    }
}

const FORM: &str = "function(logp, batch), or {on = \"logits\", fn = function(logits, rows)}";

/// A function of the script that makes a loss of a tensor.
struct Own {
    function: Arc<dyn ScriptFn>,
    /// The model that the loss is of.
    model: Arc<Model>,
    /// What the tensor is called.
    of: &'static str,
}

impl Own {
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::argument(format!("the loss function {what}"))
    }

    /// Calls the function with `input`, whose uses are recorded, and `second`.
    fn call(&self, input: &Tensor, second: Value) -> Result<(Var, Tensor)> {
        let of = self.of;
        let variable = Var::from_tensor(input).told()?;
        let in_loss = self.model.params.begin_loss();
        let returned =
            self.function.call(&[Value::object(ScriptTensor::new(variable.as_tensor().clone())), second])?;
        drop(in_loss);
        let what = returned.describe();
        if !same_bits(&variable, input)? {
            return Err(self.wrong(format!(
                "changed {of} in place (a method whose name ends in _), which no gradient sees: compute new tensors from it"
            )));
        }
        if self.contains_weights(&returned) {
            return Err(self.wrong(format!(
                "returned a Tensor that depends on the weights of the model being trained (by Model:param, Model:logp or \
                 Model:logits), {WHY}a constant that is meant is x:detach()"
            )));
        }
        let loss = of_value(returned).map_err(|_| {
            self.wrong(format!("must return a Tensor computed from {of}, and returned {what}"))
        })?;
        Ok((variable, loss))
    }

    /// The derivative of `loss`, one number, by the variable.
    fn gradient(&self, variable: &Var, loss: &Tensor) -> Result<Tensor> {
        let of = self.of;
        let gradients = loss.backward().told()?;
        let gradient = gradients.get(variable.as_tensor()).ok_or_else(|| {
            self.wrong(format!(
                "returned a Tensor that does not depend on {of}: compute it from {of} with Tensor methods"
            ))
        })?;
        gradient.to_dtype(DType::F32).told()?.contiguous().told()
    }

    fn contains_weights(&self, returned: &Value) -> bool {
        let Value::Object(object) = returned else { return false };
        object.downcast_ref::<ScriptTensor>().is_some_and(|tensor| tensor.depends_on(&self.model))
    }
}

/// Whether two f32 tensors hold the same bits.
fn same_bits(a: &Tensor, b: &Tensor) -> Result<bool> {
    let (a, b) =
        (a.to_device(&candle_core::Device::Cpu).told()?, b.to_device(&candle_core::Device::Cpu).told()?);
    let (a, b) = (read(&a)?, read(&b)?);
    let (a, b) = (a.lock(), b.lock());
    let (a, b) = (a.f32()?, b.f32()?);
    Ok(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()))
}

/// A loss over log-probabilities.
struct OfLogp(Own);

impl LossFn for OfLogp {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
        self.differentiate(batch, logp).map_err(of_callback)
    }
}

impl OfLogp {
    fn differentiate(&self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let (variable, loss) = self.0.call(logp, Value::object(ScriptBatch::new(batch.clone())))?;
        if loss.elem_count() != 1 {
            return Err(self.0.wrong(format!(
                "must return one number, and returned shape {:?}; take its mean or sum",
                loss.dims()
            )));
        }
        let loss = loss.reshape(()).told()?;
        let value = f64::from(loss.to_dtype(DType::F32).told()?.to_scalar::<f32>().told()?);
        Ok((value, self.0.gradient(&variable, &loss)?))
    }
}

/// A loss over logits.
struct OfLogits {
    own: Own,
    /// What is known of the batch of which the chunks come now.
    pass: Option<Arc<Pass>>,
}

impl LogitsLoss for OfLogits {
    fn chunk(&mut self, rows: Rows<'_>, logits: &Tensor) -> lota_runtime::Result<(Tensor, Tensor)> {
        self.differentiate(rows, logits).map_err(of_callback)
    }
}

impl OfLogits {
    fn differentiate(&mut self, rows: Rows<'_>, logits: &Tensor) -> Result<(Tensor, Tensor)> {
        if rows.labelled.start == 0 {
            self.pass = None;
        }
        let pass = self.pass.get_or_insert_with(|| Arc::new(Pass::new(rows.batch.clone()))).clone();
        let count = rows.labelled.len();
        let (variable, loss) = self
            .own
            .call(logits, Value::object(ScriptRows::new(pass, rows.labelled, logits.device().clone())))?;
        if loss.dims() != [count] {
            return Err(self.own.wrong(format!(
                "over logits must return one number a row, shape [{count}], and returned shape {:?}; the engine takes the mean \
                 (or the sum, as the option reduction says)",
                loss.dims()
            )));
        }
        let values = loss.detach().to_dtype(DType::F32).told()?.contiguous().told()?;
        Ok((values, self.own.gradient(&variable, &loss.sum_all().told()?)?))
    }
}
