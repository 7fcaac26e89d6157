//! `fingerprint`: one short text for what a value says, so that a run that goes on can be compared with what was asked before.

use candle_core::Device;
use lota_runtime::mask::hash_tensor;
use lota_runtime::vectors::{Part, Values};
use lota_script::{Error, Object, Primitive, Registry, Result, Value};

use super::model::{ScriptModel, TINY};
use super::shared::{ScriptMask, ScriptTicket, ScriptValues};
use super::tensor::ScriptTensor;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("fingerprint", "A hash of what a value says, to tell whether it is the same as before.")
            .details(
                "Equal for equal values, in both languages, on every machine: names of a map in any order, 1 as 1.0. A model \
                 counts by its weights (its own fingerprint is that of Model:fingerprint), a mask by its entries, tensors and values by their numbers, a ticket by what it \
                 holds. A function counts as a function: what it does cannot be read.",
            )
            .arg("value", "any", "a boolean, number, string, function, list or map, or one of the types named above")
            .returns("string", "hexadecimal")
            .example(format!(
                "{TINY}assert(lota.fingerprint({{lr = 1, steps = {{2, 3}}}}) == lota.fingerprint({{steps = {{2, 3}}, lr = 1.0}}))\n\
                 assert(lota.fingerprint(m) == m:fingerprint() and lota.fingerprint(m) ~= lota.fingerprint('m'))"
            ))
            .call(|_, args| fingerprint(&args.get("value")?, Others::Refused)),
    );
}

/// What becomes of an object that has no fingerprint, as a trainer or a stream has none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// It is an error.
    Refused,
    /// It counts by its type, as a function does; what stands beside it counts by what it says.
    ByType,
}

/// The hash of a value, in hexadecimal.
pub(super) fn fingerprint(value: &Value, others: Others) -> Result<String> {
    if let Value::Object(object) = value
        && let Some(model) = object.downcast_ref::<ScriptModel>()
    {
        return Ok(model.0.fingerprint()?);
    }
    let mut hash = blake3::Hasher::new();
    add(&mut hash, value, others)?;
    Ok(hash.finalize().to_hex().to_string())
}

/// Adds a value: a letter for its kind, how long it is, and what it holds, so that no two values read alike.
fn add(hash: &mut blake3::Hasher, value: &Value, others: Others) -> Result<()> {
    let mut put = |kind: u8, bytes: &[u8]| {
        hash.update(&[kind]);
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match value {
        Value::Nil => put(b'n', &[]),
        Value::Bool(b) => put(b'b', &[u8::from(*b)]),
        Value::Int(i) => put(b'i', &i.to_le_bytes()),
        // Scripts do not always tell 1 from 1.0, and a record of JSON does not either.
        Value::Float(x) if *x == (*x as i64) as f64 && x.abs() < 2f64.powi(53) => {
            put(b'i', &(*x as i64).to_le_bytes());
        }
        Value::Float(x) if x.is_nan() => put(b'f', &f64::NAN.to_le_bytes()),
        Value::Float(x) => put(b'f', &x.to_le_bytes()),
        Value::Str(text) => put(b's', text.as_bytes()),
        Value::Function(_) => put(b'c', &[]),
        Value::Object(object) => put(b'o', of_object(object, others)?.as_bytes()),
        Value::List(list) => {
            put(b'l', &(list.len() as u64).to_le_bytes());
            for value in list {
                add(hash, value, others)?;
            }
        }
        // An empty table of Lua is a list and a map.
        Value::Map(map) if map.is_empty() => put(b'l', &0u64.to_le_bytes()),
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_nil()).collect();
            entries.sort_by_key(|(name, _)| *name);
            put(b'm', &(entries.len() as u64).to_le_bytes());
            for (name, value) in entries {
                add(hash, &Value::Str(name.to_string()), others)?;
                add(hash, value, others)?;
            }
        }
    }
    Ok(())
}

/// The type of an object and a hash of what it holds.
fn of_object(object: &Object, others: Others) -> Result<String> {
    let hash = if let Some(model) = object.downcast_ref::<ScriptModel>() {
        model.0.fingerprint()?
    } else if let Some(mask) = object.downcast_ref::<ScriptMask>() {
        mask.fingerprint()
    } else if let Some(tensor) = object.downcast_ref::<ScriptTensor>() {
        hash_tensor(&tensor.get())?
    } else if let Some(values) = object.downcast_ref::<ScriptValues>() {
        of_values(&values.get())?
    } else if let Some(ticket) = object.downcast_ref::<ScriptTicket>() {
        of_values(&ticket.to_values(&Device::Cpu)?)?
    } else if others == Others::ByType {
        String::new()
    } else {
        let text = "cannot be told by a fingerprint: a {} stands in the value; models, masks, tensors, values and tickets can";
        return Err(Error::argument(text.replacen("{}", object.type_name(), 1)));
    };
    Ok(format!("{} {hash}", object.type_name()))
}

fn of_values(values: &Values) -> Result<String> {
    let mut texts = vec![values.universe().fingerprint().to_string()];
    for part in values.parts() {
        texts.push(match part {
            None => "-".to_string(),
            Some(Part::Dense(tensor)) => hash_tensor(tensor)?,
            Some(Part::At(index, tensor)) => {
                format!("{} {}", hash_tensor(&index.flat(tensor.device())?)?, hash_tensor(tensor)?)
            }
        });
    }
    Ok(texts.join(","))
}
