//! `train.grad_scores`: scores from gradients, parameter by parameter.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::data::Batch;
use lota_runtime::model::ParamSpec;
use lota_runtime::train::{ScoreKind, grad_scores};
use lota_runtime::vectors::Values;
use lota_script::{Args, Ctx, Error, IntoValue, Primitive, Registry, Result, ScriptFn, Value};

use super::loss::{LOSS_DOC, LOSS_TYPE, Loss};
use super::trainer::subject;
use super::{BEGIN, word};
use crate::error::of_callback;
use crate::primitives::data::limited_batches;
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::tensor::{ScriptTensor, of_value, refuse_weights};

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("train.grad_scores", "Scores from gradients, gathered as the backward finds them.")
            .details(
                "No model-sized gradient is held besides the scores. gradient: the magnitude of the gradient of the mean \
                 loss over all batches. fisher: the mean over batches of its square. A function is called with each \
                 parameter's name, its gradient for a batch and what it returned for the batch before (nil at first).",
            )
            .arg("model", "Model", "the model; it is not changed")
            .arg("batches", "Batches|Examples|Batch|list of Batch", "the data; of a stream, its current epoch")
            .opt("kind", "string|function", "gradient", "gradient, fisher, or function(name, gradient, gathered) -> Tensor")
            .opt("params", PARAMS, "adaptable", PARAMS_DOC)
            .opt("limit", "integer", (), "use only so many batches")
            .opt("loss", LOSS_TYPE, (), format!("{LOSS_DOC}; it is computed for each batch, which counts by its labelled positions"))
            .opt("checkpoint", "string", "none", "none, or block: compute activations again, for less memory and more time")
            .returns("Values", "the scores of these parameters")
            .example(format!(
                "{BEGIN}local s = lota.train.grad_scores(m, b, {{kind = function(name, g, sum)\n\
                 \x20 return sum and sum:add(g:abs()) or g:abs()\n\
                 end}})\nassert(s:nonzero() > 0)"
            ))
            .call(scores),
    );
}

fn scores(ctx: &Ctx, args: &mut Args) -> Result<Values> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let _hold = model.params().hold("train.grad_scores");
    let batches: Vec<Batch> = limited_batches(args, "batches")?.iter().map(|b| (**b).clone()).collect();
    let universe = model.params().universe().clone();
    let params = chosen(args, &universe)?;
    let checkpoint = word(args, "checkpoint", &["none", "block"])?.parse()?;
    let loss = Loss::read(args)?;
    let kind: Value = args.get("kind")?;
    let mut gather;
    let kind = match kind {
        Value::Str(name) if name == "gradient" => ScoreKind::Gradient,
        Value::Str(name) if name == "fisher" => ScoreKind::Fisher,
        Value::Str(name) => return Err(args.not_one_of("kind", &name, &["gradient", "fisher"])),
        Value::Function(function) => {
            gather = move |spec: &ParamSpec, gradient: &Tensor, gathered: Option<Tensor>| {
                call(&*function, spec, gradient, gathered).map_err(of_callback)
            };
            ScoreKind::Custom(&mut gather)
        }
        other => {
            return Err(
                args.wrong("kind", format!("must be a string or a function, got {}", other.describe()))
            );
        }
    };
    let choose =
        |spec: &ParamSpec| universe.index_of(&spec.name).is_some_and(|i| params.binary_search(&i).is_ok());
    Loss::with(loss.as_ref(), &model.0, |loss| {
        Ok(grad_scores(subject(&model.0), &ctx.host, &batches, &choose, kind, loss, checkpoint)?)
    })
}

fn call(
    function: &dyn ScriptFn,
    spec: &ParamSpec,
    gradient: &Tensor,
    gathered: Option<Tensor>,
) -> Result<Tensor> {
    let name = Value::from(spec.name.as_str());
    let returned =
        function.call(&[name, Value::object(ScriptTensor::new(gradient.clone())), gathered.into_value()])?;
    refuse_weights(&returned)?;
    let what = returned.describe();
    of_value(returned).map_err(|_| {
        Error::argument(format!(
            "the function of kind must return a Tensor for {}, and returned {what}",
            spec.name
        ))
    })
}
