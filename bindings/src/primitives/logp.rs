//! `Model:logp` and `Model:logits`: what a model says of batches. Batches know models, so it stands above both.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::data::Batch;
use lota_script::{Args, Ctx, Error, FromValue, Primitive, Registry, Result, Value};

use super::data::{all_batches, batches_of, one_batch};
use super::model::{ScriptModel, TINY};
use super::tensor::ScriptTensor;
use crate::error::Told as _;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Model", "logp", "The log-probability of each label of a batch.")
            .arg("batch", "Batch", "the batch (or Batches: their current epoch; or Examples)")
            .returns("Tensor", "one number for each labelled position, in order")
            .example(format!(
                "{TINY}assert(m:logp(lota.data.batch({{m:tokenize('hello')}})):shape()[1] == 4)"
            ))
            .call(logp),
    );
    r.add(
        Primitive::method("Model", "logits", "The logits that follow each token.")
            .details(
                "Of a text, a list of token ids or a Batch it is one Tensor, [tokens, vocabulary]; the sequences of a Batch \
                 stand one after the other, and none sees another. Of Batches (their current epoch), Examples or a list of \
                 Batch it is a list of such Tensors, one for each batch. A notice says if a sequence is longer than those the \
                 model was made for.",
            )
            .arg(
                "tokens",
                "list of integer|string|Batch|Batches|Examples|list of Batch",
                "token ids, a text, or batches",
            )
            .returns(
                "Tensor",
                "one row for each token, one column for each token of the vocabulary; of several batches a list of them",
            )
            .example(format!(
                "{TINY}assert(m:logits('hello'):shape()[2] == 257)\n\
                 local batch = lota.data.batch({{{{1, 2, 3}}, {{4, 5}}}})\n\
                 assert(m:logits(batch):shape()[1] == 5)"
            ))
            .call(logits),
    );
}

fn logp(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let model = args.this::<ScriptModel>()?;
    let m = &model.0;
    let mut all = Vec::new();
    let batches = all_batches(args, "batch")?;
    m.decoder.tell_long_in(&ctx.host, batches.iter().map(AsRef::as_ref));
    for batch in batches {
        if batch.labelled() > 0 {
            all.push(m.decoder.logp(&m.exec, &ctx.host, &m.params, &batch)?);
        }
    }
    if all.is_empty() {
        return Err(Error::argument("the batch has no labels"));
    }
    Ok(ScriptTensor::of_weights(Tensor::cat(&all, 0).told()?, m))
}

/// What logits are asked of.
enum Asked {
    One(Arc<Batch>),
    Several(Vec<Arc<Batch>>),
}

fn asked(args: &mut Args, model: &ScriptModel) -> Result<Asked> {
    let value: Value = args.get("tokens")?;
    let ids = match value {
        Value::Str(text) => model.tokenizer()?.encode(&text, false)?,
        Value::Object(object) => {
            return match one_batch(&object) {
                Some(batch) => Ok(Asked::One(batch)),
                None => Ok(Asked::Several(batches_of(args, "tokens", Value::Object(object))?)),
            };
        }
        Value::List(items) if matches!(items.first(), Some(Value::Object(_))) => {
            return Ok(Asked::Several(batches_of(args, "tokens", Value::List(items))?));
        }
        other => Vec::<u32>::from_value(other).map_err(|m| args.mismatched("tokens", &m))?,
    };
    if ids.is_empty() {
        return Err(args.wrong("tokens", "is empty"));
    }
    Ok(Asked::One(Arc::new(Batch::of_tokens(&[ids]))))
}

fn logits(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let model = args.this::<ScriptModel>()?;
    let m = &model.0;
    let asked = asked(args, &model)?;
    let batches = match &asked {
        Asked::One(batch) => std::slice::from_ref(batch),
        Asked::Several(batches) => batches,
    };
    let row = m.config.vocab_size.saturating_mul(size_of::<f32>());
    ctx.reserve(batches.iter().map(|batch| batch.len()).sum::<usize>().saturating_mul(row))?;
    m.decoder.tell_long_in(&ctx.host, batches.iter().map(AsRef::as_ref));
    let of = |batch: &Arc<Batch>| -> Result<Value> {
        let logits = m.decoder.logits(&m.exec, &ctx.host, &m.params, batch)?;
        Ok(ScriptTensor::of_weights(logits, m))
    };
    match &asked {
        Asked::One(batch) => of(batch),
        Asked::Several(batches) => Ok(Value::List(batches.iter().map(of).collect::<Result<_>>()?)),
    }
}
