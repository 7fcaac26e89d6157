//! An argument that gives batches in any of their forms.

use std::sync::Arc;

use lota_runtime::data::{Batch, Example, collate};
use lota_script::{Args, FromValue, Object, Result, Value};

use super::batch::ScriptBatch;
use super::batches::ScriptBatches;
use super::examples::ScriptExamples;

/// The batch that an object is, if it is one.
pub(crate) fn one_batch(object: &Object) -> Option<Arc<Batch>> {
    object.downcast_ref::<ScriptBatch>().map(|batch| batch.0.clone())
}

/// All batches of an argument that is a stream (its current epoch), examples, a batch or a list of
/// batches.
pub(crate) fn all_batches(args: &mut Args, name: &str) -> Result<Vec<Arc<Batch>>> {
    let value: Value = args.get(name)?;
    batches_of(args, name, value)
}

/// The first batches of an argument, as many as the option `limit` says, or all.
pub(crate) fn limited_batches(args: &mut Args, name: &str) -> Result<Vec<Arc<Batch>>> {
    let limit: Option<usize> = args.opt("limit")?;
    if limit == Some(0) {
        return Err(args.wrong("limit", "must be at least 1, got 0"));
    }
    let mut batches = all_batches(args, name)?;
    batches.truncate(limit.unwrap_or(usize::MAX));
    Ok(batches)
}

/// All batches that the value of an argument is.
pub(crate) fn batches_of(args: &Args, name: &str, value: Value) -> Result<Vec<Arc<Batch>>> {
    match &value {
        Value::Object(object) => {
            if let Some(stream) = object.downcast_ref::<ScriptBatches>() {
                return Ok(stream.stream()?.epoch().map(Arc::new).collect());
            }
            if let Some(batch) = one_batch(object) {
                return Ok(vec![batch]);
            }
            if let Some(examples) = object.downcast_ref::<ScriptExamples>() {
                let size = 8;
                let batches = examples.items.chunks(size).enumerate();
                let numbered = |(i, chunk): (usize, &[Example])| {
                    let first = i * size;
                    Arc::new(collate(chunk.iter().enumerate().map(|(k, e)| ((first + k) as u32, e))))
                };
                return Ok(batches.map(numbered).collect());
            }
        }
        Value::List(_) => {
            let list = Vec::<Arc<ScriptBatch>>::from_value(value).map_err(|m| args.mismatched(name, &m))?;
            return Ok(list.iter().map(|b| b.0.clone()).collect());
        }
        _ => {}
    }
    Err(args.wrong(
        name,
        format!("must be Batches, Examples, a Batch or a list of them, got {}", value.describe()),
    ))
}
