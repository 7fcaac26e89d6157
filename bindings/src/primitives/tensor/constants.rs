//! What a loss may not take from the weights of its own model: values, tickets, copies and numbers forget what they were
//! computed from, so a loss that uses them would count them as constants without a word.

use lota_script::{Args, Ctx, Error, Inner, Object, Registry, Result, Value};

use super::ScriptTensor;

/// Primitives that take numbers out of a tensor.
const READS: [&str; 2] = ["Tensor:item", "Tensor:totable"];

/// Why weights have no place in a loss, and what to write instead.
pub(crate) const WHY: &str = "which have no gradient here: they would count as constants. A penalty on the weights is the \
     option penalty or weight_decay, or a change of the weights between two calls of Trainer:step; ";

/// Makes the primitives that take numbers out of a tensor refuse one that the loss being computed depends on.
pub(crate) fn refuse_reads(r: &mut Registry) {
    r.wrap(|p| READS.contains(&p.name()), not_of_its_tensors);
}

fn not_of_its_tensors(ctx: &Ctx, args: &mut Args, inner: &Inner<'_>) -> Result<Value> {
    args.given().try_for_each(refuse_weights)?;
    inner(ctx, args)
}

/// An error if a value is a tensor computed from the weights of a model of which a loss is being computed, for whoever
/// would keep its numbers and forget that.
pub(crate) fn refuse_weights(value: &Value) -> Result<()> {
    let tainted = |object: &Object| {
        object.downcast_ref::<ScriptTensor>().is_some_and(ScriptTensor::is_of_a_running_loss)
    };
    if holds(value, &tainted) {
        return Err(Error::argument(format!(
            "takes numbers out of a Tensor that depends on the weights of the model whose loss is being computed, {WHY}a \
             constant that is meant is taken from x:detach()"
        )));
    }
    Ok(())
}

/// Whether a value is, or holds, an object of which `is` holds.
pub(crate) fn holds(value: &Value, is: &dyn Fn(&Object) -> bool) -> bool {
    match value {
        Value::Object(object) => is(object),
        Value::List(items) => items.iter().any(|item| holds(item, is)),
        Value::Map(map) => map.iter().any(|(_, item)| holds(item, is)),
        _ => false,
    }
}
