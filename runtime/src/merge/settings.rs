//! Parameters of a merge as they are written (a number, a list of numbers from the first layer to the last, or a list of
//! either with filters on tensor names), and their values for one tensor.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Flag,
    /// A number, or nothing.
    OptionalNumber,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// What a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The merge: one value for all inputs.
    Shared,
    /// Each input, including the base.
    Input,
    /// Each input except the base.
    Other,
}

/// A parameter of a method.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it may be.
    pub kind: Kind,
    /// What it belongs to.
    pub scope: Scope,
    /// The default; `None`: it must be given.
    pub default: Option<Scalar>,
    /// The least and the most that a number may be.
    pub range: (f64, f64),
    /// One line.
    pub doc: &'static str,
}

/// Every number that merges can compute with, which is what an f32 holds.
pub(super) const ANY: (f64, f64) = (-f32::MAX as f64, f32::MAX as f64);

/// A parameter's value for one tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Not given, where that is allowed.
    Nothing,
    /// A number.
    Number(f64),
    /// A truth value.
    Flag(bool),
    /// A word.
    Word(&'static str),
}

/// The settings of one place: names with what is written for them.
pub type Settings = Map<String, Value>;

/// The parameters of a method for one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// Those of the merge.
    pub shared: BTreeMap<Cow<'static, str>, Scalar>,
    /// Those of each input.
    pub inputs: Vec<BTreeMap<Cow<'static, str>, Scalar>>,
}

impl Resolved {
    /// A number of the merge; 0 if the method has no such parameter.
    pub fn number(&self, name: &str) -> f64 {
        number(self.shared.get(name))
    }

    /// A truth value of the merge.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.shared.get(name), Some(Scalar::Flag(true)))
    }

    /// A word of the merge.
    pub fn word(&self, name: &str) -> &'static str {
        match self.shared.get(name) {
            Some(Scalar::Word(word)) => word,
            _ => "",
        }
    }

    /// A number of one input.
    pub fn of(&self, input: usize, name: &str) -> f64 {
        number(self.inputs.get(input).and_then(|i| i.get(name)))
    }

    /// A number of one input that may be nothing.
    pub fn maybe(&self, input: usize, name: &str) -> Option<f64> {
        match self.inputs.get(input).and_then(|i| i.get(name)) {
            Some(Scalar::Number(x)) => Some(*x),
            _ => None,
        }
    }
}

fn number(scalar: Option<&Scalar>) -> f64 {
    match scalar {
        Some(Scalar::Number(x)) => *x,
        _ => 0.0,
    }
}

/// The value of a parameter for a tensor. `places` are the settings that may give it, most specific first. `at` is the
/// position of the layer in its slice, from 0 for the first to 1 for the last; `whose` is for messages.
pub fn resolve(param: &Param, places: &[&Settings], tensor: &str, at: f64, whose: &str) -> Result<Scalar> {
    for place in places {
        if let Some(setting) = place.get(param.name.as_ref())
            && let Some(value) = evaluate(param, setting, tensor, at)?
        {
            return Ok(value);
        }
    }
    param.default.ok_or_else(|| {
        let of = if whose.is_empty() { String::new() } else { format!(" of {whose}") };
        Error::argument(format!(
            "parameter {:?}{of} is not set for {tensor}, and has no default: {}",
            param.name, param.doc
        ))
    })
}

/// The value of a setting for a tensor; `None` if none of its filters matches the tensor's name.
fn evaluate(param: &Param, setting: &Value, tensor: &str, at: f64) -> Result<Option<Scalar>> {
    match setting {
        Value::Array(items) if items.is_empty() => Ok(None),
        Value::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            gradient(param, items, at).map(Some)
        }
        Value::Array(items) => {
            for item in items {
                let Value::Object(item) = item else {
                    return Err(refused(
                        param,
                        "a list holds either values or {filter, value} entries, not both",
                    ));
                };
                if let Some(value) = conditional(param, item, tensor)? {
                    return evaluate(param, value, tensor, at);
                }
            }
            Ok(None)
        }
        Value::Object(item) => match conditional(param, item, tensor)? {
            Some(value) => evaluate(param, value, tensor, at),
            None => Ok(None),
        },
        scalar => one(param, scalar).map(Some),
    }
}

/// The value of a `{filter, value}` entry, if its filter is part of the tensor's name.
fn conditional<'v>(param: &Param, item: &'v Map<String, Value>, tensor: &str) -> Result<Option<&'v Value>> {
    if let Some(name) = item.keys().find(|k| !matches!(k.as_str(), "filter" | "value")) {
        return Err(refused(param, &format!("an entry has {name:?} where only filter and value may stand")));
    }
    let value = item.get("value").ok_or_else(|| refused(param, "an entry with a filter has no value"))?;
    match item.get("filter") {
        None | Some(Value::Null) => Ok(Some(value)),
        Some(Value::String(filter)) => Ok((filter == "*" || tensor.contains(filter)).then_some(value)),
        Some(other) => Err(refused(param, &format!("the filter {other} is not text"))),
    }
}

/// A list of values over the layers: numbers are interpolated, other values hold until the next one.
fn gradient(param: &Param, items: &[Value], at: f64) -> Result<Scalar> {
    let values = items.iter().map(|item| one(param, item)).collect::<Result<Vec<_>>>()?;
    let scaled = at * (values.len() - 1) as f64;
    let first = (scaled as usize).min(values.len() - 1);
    let numbers: Option<Vec<f64>> =
        values.iter().map(|v| if let Scalar::Number(x) = v { Some(*x) } else { None }).collect();
    let Some(numbers) = numbers else { return Ok(values[first]) };
    let next = (first + 1).min(numbers.len() - 1);
    let share = scaled - first as f64;
    let mixed = (1.0 - share) * numbers[first] + share * numbers[next];
    one(param, &Value::from(mixed))
}

/// A single value. Numbers may be text (YAML reads `1e-5` as text), and true and false may be written with the words of
/// YAML 1.1.
fn one(param: &Param, value: &Value) -> Result<Scalar> {
    let wrong = |what: &str| refused(param, &format!("{value} is not {what}"));
    let number = || match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse::<f64>().ok(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        _ => None,
    };
    match param.kind {
        Kind::OptionalNumber if value.is_null() => Ok(Scalar::Nothing),
        Kind::Number | Kind::OptionalNumber => match number() {
            Some(x) if x.is_finite() => in_range(param, x),
            _ => Err(wrong("a number")),
        },
        Kind::Integer => match number() {
            Some(x) if x.fract() == 0.0 => in_range(param, x),
            _ => Err(wrong("a whole number")),
        },
        Kind::Flag => match value {
            Value::Bool(b) => Ok(Scalar::Flag(*b)),
            Value::Number(n) if n.as_f64() == Some(0.0) => Ok(Scalar::Flag(false)),
            Value::Number(n) if n.as_f64() == Some(1.0) => Ok(Scalar::Flag(true)),
            Value::String(s) => truth(s).map(Scalar::Flag).ok_or_else(|| wrong("true or false")),
            _ => Err(wrong("true or false")),
        },
        Kind::Word(words) => match value.as_str().and_then(|s| words.iter().find(|w| **w == s)) {
            Some(word) => Ok(Scalar::Word(word)),
            None => Err(wrong(&format!("one of {}", words.join(", ")))),
        },
    }
}

/// A number that is within the parameter's range.
fn in_range(param: &Param, x: f64) -> Result<Scalar> {
    let (least, most) = param.range;
    if (least..=most).contains(&x) {
        return Ok(Scalar::Number(x));
    }
    Err(refused(
        param,
        &match (least > ANY.0, most < ANY.1) {
            (true, true) => format!("must be from {least} to {most}, not {x}"),
            (true, false) if x < least => format!("must be at least {least}, not {x}"),
            (false, true) if x > most => format!("must be at most {most}, not {x}"),
            _ => format!("{x:e} is more than float32 holds, as which merges are computed"),
        },
    ))
}

/// A truth value as text: the words that YAML 1.1 has for it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn refused(param: &Param, what: &str) -> Error {
    Error::argument(format!("parameter {:?}: {what}", param.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn param(kind: Kind) -> Param {
        Param {
            name: "weight".into(),
            kind,
            scope: Scope::Shared,
            default: None,
            range: ANY,
            doc: "how much",
        }
    }

    fn value(kind: Kind, written: Value, tensor: &str, at: f64) -> Result<Option<Scalar>> {
        evaluate(&param(kind), &written, tensor, at)
    }

    #[test]
    fn numbers_gradients_and_filters() {
        let number = |written, tensor: &str, at| match value(Kind::Number, written, tensor, at) {
            Ok(Some(Scalar::Number(x))) => Some(x),
            Ok(None) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(number(json!(0.5), "x", 0.3), Some(0.5));
        assert_eq!(number(json!("1e-5"), "x", 0.3), Some(1e-5));
        assert_eq!(number(json!([0.0, 1.0, 3.0]), "x", 0.75), Some(2.0));
        assert_eq!(number(json!([0.0, 1.0, 3.0]), "x", 1.0), Some(3.0));
        let filters = json!([{"filter": "mlp", "value": [1, 2]}, {"filter": "attn", "value": 7}]);
        assert_eq!(number(filters.clone(), "layers.0.mlp.up", 0.5), Some(1.5));
        assert_eq!(number(filters.clone(), "layers.0.self_attn.q", 0.5), Some(7.0));
        assert_eq!(number(filters, "norm", 0.5), None);
        assert_eq!(number(json!({"filter": "*", "value": 3}), "norm", 0.5), Some(3.0));
        assert_eq!(number(json!([]), "norm", 0.5), None);
    }

    #[test]
    fn flags_hold_from_their_place_on() {
        let flag = |at| value(Kind::Flag, json!([true, "no"]), "x", at).expect("valid");
        assert_eq!((flag(0.9), flag(1.0)), (Some(Scalar::Flag(true)), Some(Scalar::Flag(false))));
    }

    #[test]
    fn what_is_refused_says_why() {
        let text = |kind, written| value(kind, written, "x", 0.0).expect_err("refused").to_string();
        assert_eq!(text(Kind::Number, json!("half")), "parameter \"weight\": \"half\" is not a number");
        assert_eq!(text(Kind::Integer, json!(1.5)), "parameter \"weight\": 1.5 is not a whole number");
        assert_eq!(
            text(Kind::Number, json!([1, {"value": 2}])),
            "parameter \"weight\": a list holds either values or {filter, value} entries, not both"
        );
        assert_eq!(
            text(Kind::Number, json!({"fliter": "a", "value": 2})),
            "parameter \"weight\": an entry has \"fliter\" where only filter and value may stand"
        );
        assert_eq!(
            text(Kind::Number, json!(1e300)),
            "parameter \"weight\": 1e300 is more than float32 holds, as which merges are computed"
        );
        assert!(text(Kind::Number, json!("-1e39")).contains("-1e39 is more than float32 holds"));
        let within = |range, written| {
            let param = Param { range, ..param(Kind::Number) };
            evaluate(&param, &written, "x", 0.0).expect_err("out of range").to_string()
        };
        assert_eq!(within((0.0, 1.0), json!(2)), "parameter \"weight\": must be from 0 to 1, not 2");
        assert_eq!(within((0.0, 1.0), json!([0.5, -1])), "parameter \"weight\": must be from 0 to 1, not -1");
        assert_eq!(within((0.0, ANY.1), json!(-0.5)), "parameter \"weight\": must be at least 0, not -0.5");
        let unset = resolve(&param(Kind::Number), &[], "norm", 0.0, "ft1").expect_err("unset").to_string();
        assert_eq!(unset, "parameter \"weight\" of ft1 is not set for norm, and has no default: how much");
    }

    #[test]
    fn nearer_settings_go_first_and_fall_through_where_no_filter_fits() {
        let near = json!({"weight": [{"filter": "mlp", "value": 1}]});
        let far = json!({"weight": 2});
        let places = [near.as_object().expect("map"), far.as_object().expect("map")];
        let get = |tensor: &str| resolve(&param(Kind::Number), &places, tensor, 0.0, "").expect("set");
        assert_eq!(get("mlp.up"), Scalar::Number(1.0));
        assert_eq!(get("norm"), Scalar::Number(2.0));
    }
}
