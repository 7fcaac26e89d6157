//! `values.*` and `Values`: a number for each chosen entry of a model.
//!
//! Scores, gradients, weights, Fisher information, moments and task vectors are all of this one type.

mod arithmetic;
mod contents;
mod figures;
mod make;

use candle_core::Tensor;
use lota_script::{Error, Primitive, Registry, Result, Value};

use crate::primitives::tensor::{of_value, refuse_weights};

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local s = lota.values.new(m, function(name, w) return name:find('mlp') and w or nil end)\n";

fn example(code: &str) -> String {
    format!("{BEGIN}{code}")
}

fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Values", name, doc)
}

/// The tensor that a callback returned for a parameter, if any.
pub(crate) fn returned(value: Value, what: &str) -> Result<Option<Tensor>> {
    refuse_weights(&value)?;
    match value {
        Value::Nil | Value::Bool(false) => Ok(None),
        value => of_value(value).map(Some).map_err(|m| {
            Error::argument(format!("{what} must return a Tensor or nil, and returned {}", m.given))
        }),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.area("values", "Values: a number for each chosen entry of a model, of which scores are one kind.");
    r.object(
        "Values",
        "A number for each chosen entry of a model: scores, gradients, weights, Fisher information, moments, task vectors.",
    );
    make::register(r);
    contents::register(r);
    arithmetic::register(r);
    figures::register(r);
}
