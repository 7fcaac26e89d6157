//! Values across the border. Neutral values are the host's memory and Rhai's are the script's, so everything is copied:
//! into neutral values outside the interpreter's count, into Rhai's inside it.

use std::sync::Arc;

use rhai::{Array, Blob, Dynamic, FnPtr, ImmutableString, NativeCallContext};

use super::call::RhaiFn;
use super::error;
use super::errors::Caught;
use super::nesting::DEPTH;
use super::object::Held;
use super::{State, lock, order};
use crate::Value;
use crate::counting::{Outside, outside};
use crate::error::{Error, Result};

/// A Rhai value as a neutral one, without functions: they need the interpreter.
pub(crate) fn from_rhai(state: &State, value: &Dynamic) -> Result<Value> {
    convert(value, 0, state, None)
}

/// A Rhai value as a neutral one.
pub(crate) fn argument(
    value: &Dynamic,
    state: &Arc<State>,
    context: &NativeCallContext<'_>,
) -> Result<Value> {
    convert(value, 0, state, Some((state, context)))
}

type Origin<'a> = Option<(&'a Arc<State>, &'a NativeCallContext<'a>)>;

fn convert(value: &Dynamic, depth: usize, state: &State, from: Origin<'_>) -> Result<Value> {
    if depth > DEPTH {
        return Err(Error::argument(format!("a list or map is nested more than {DEPTH} levels deep")));
    }
    let inner = |item: &Dynamic| convert(item, depth + 1, state, from);
    if value.is_unit() {
        return Ok(Value::Nil);
    }
    if let Ok(b) = value.as_bool() {
        return Ok(Value::Bool(b));
    }
    if let Ok(i) = value.as_int() {
        return Ok(Value::Int(i));
    }
    if let Ok(x) = value.as_float() {
        return Ok(Value::Float(x));
    }
    if let Some(held) = value.read_lock::<Held>() {
        return Ok(Value::Object(held.object().clone()));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Value::Str(text.to_string()));
    }
    if let Some(items) = value.read_lock::<Array>() {
        return items.iter().map(inner).collect::<Result<_>>().map(Value::List);
    }
    if let Some(map) = value.read_lock::<rhai::Map>() {
        let entries = map.iter().map(|(name, item)| Ok((name.to_string(), inner(item)?)));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        let names = lock(&state.orders).names(value);
        return Ok(Value::Map(match names {
            Some(names) => order::sort(entries, &names),
            None => entries.into_iter().collect(),
        }));
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        let Some((state, context)) = from else {
            return Err(Error::argument("a function cannot leave the script"));
        };
        return Ok(Value::Function(Arc::new(RhaiFn::new(&function, state, context))));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Value::Str(c.to_string()));
    }
    if let Some(bytes) = value.read_lock::<Blob>() {
        return Ok(Value::List(bytes.iter().map(|b| Value::Int(i64::from(*b))).collect()));
    }
    if let Some(caught) = value.read_lock::<Caught>() {
        return Ok(Value::Str(caught.0.to_string()));
    }
    if let Some(range) = value.read_lock::<std::ops::Range<i64>>() {
        return Ok(Value::List(whole(range.clone())?));
    }
    if let Some(range) = value.read_lock::<std::ops::RangeInclusive<i64>>() {
        return Ok(Value::List(whole(*range.start()..range.end().saturating_add(1))?));
    }
    Err(Error::argument(format!("a {} cannot be given to a primitive", value.type_name())))
}

/// The numbers of a range that is written where a list is wanted.
fn whole(range: std::ops::Range<i64>) -> Result<Vec<Value>> {
    let most = super::sizes::MAX_ARRAY as i64;
    if range.end.saturating_sub(range.start) > most {
        return Err(Error::argument(format!("a range given as a list may hold {most} numbers at most")));
    }
    Ok(range.map(Value::Int).collect())
}

/// A neutral value as a Rhai one.
pub(crate) fn to_rhai(state: &Arc<State>, value: &Value) -> Dynamic {
    match value {
        Value::Nil => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Float(x) => (*x).into(),
        Value::Str(s) => ImmutableString::from(s.as_str()).into(),
        Value::List(items) => items.iter().map(|item| to_rhai(state, item)).collect::<Array>().into(),
        Value::Map(map) => {
            let entries = map.iter().map(|(name, item)| ((*name).into(), to_rhai(state, item)));
            let mut made = Dynamic::from_map(entries.collect::<rhai::Map>());
            if map.is_written()
                && let Some(tag) = lock(&state.orders).tag(map)
            {
                made.set_tag(tag);
            }
            made
        }
        Value::Function(function) => {
            let any: &dyn std::any::Any = &**function;
            if let Some(own) = any.downcast_ref::<RhaiFn>() {
                return own.pointer().clone().into();
            }
            let shared = state.clone();
            let function = Outside::new(function.clone());
            let body = move |context: NativeCallContext<'_>, args: &mut [&mut Dynamic]| {
                let result = outside(|| {
                    let args =
                        args.iter().map(|arg| argument(arg, &shared, &context)).collect::<Result<Vec<_>>>();
                    args.and_then(|args| function.call(&args)).map(Outside::new)
                });
                match result {
                    Ok(value) => Ok(to_rhai(&shared, &value)),
                    Err(e) => Err(error::raise(e)),
                }
            };
            #[expect(deprecated, reason = "it is marked so to say that it may change")]
            let pointer = FnPtr::from_fn("host_function", body);
            pointer.map_or(Dynamic::UNIT, Dynamic::from)
        }
        Value::Object(object) => Dynamic::from(Held::new(object, &state.ctx)),
    }
}
