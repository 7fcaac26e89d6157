//! What a loss may not take from its own model. What it may not take out of a tensor is the tensors' own business.

use lota_script::{Args, Ctx, Error, Inner, Object, Registry, Result, Value};

use super::model::ScriptModel;
use super::tensor::{WHY, holds};

/// The results that keep values of a model and forget of which.
const FORGETFUL: [&str; 6] = ["Values", "Snapshot", "Ticket", "Lora", "Model", "Stats"];
/// Further primitives of models whose results are numbers computed from the weights.
const MEASURES: [&str; 4] = ["eval.perplexity", "eval.choice", "merge.conflicts", "merge.report"];
/// Makes the primitives that would hide the weights of a model from the loss that is being computed of it refuse.
pub(super) fn refuse_constants(r: &mut Registry) {
    r.wrap(|p| FORGETFUL.contains(&p.result().0) || MEASURES.contains(&p.name()), not_of_the_model);
}

fn not_of_the_model(ctx: &Ctx, args: &mut Args, inner: &Inner<'_>) -> Result<Value> {
    let in_loss =
        |object: &Object| object.downcast_ref::<ScriptModel>().is_some_and(|model| model.params().in_loss());
    if args.given().any(|value| holds(value, &in_loss)) {
        return Err(Error::argument(format!(
            "takes values of the weights of the model whose loss is being computed, {WHY}a constant that is meant is made \
             before the step, as that of a clone of the model is"
        )));
    }
    inner(ctx, args)
}
