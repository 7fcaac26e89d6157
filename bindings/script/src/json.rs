//! How script values and JSON become each other.

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::value::{Map, Value};

/// How deep JSON may be nested: deeper is a table that contains itself.
const DEEPEST: usize = 100;

/// What stands in a record for numbers that JSON has no form for.
const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEGATIVE_INFINITY: &str = "-Infinity";

/// The JSON of a script value; NaN and infinities become null. A function or an object inside is an error that says where.
pub fn to_json(value: &Value) -> Result<Json> {
    convert(value, |_| Json::Null, &mut Vec::new())
}

/// The same for what is kept to be read again: NaN and infinities become the words `NaN`, `Infinity` and `-Infinity`.
pub fn to_record(value: &Value) -> Result<Json> {
    let word = |x: f64| match x {
        _ if x.is_nan() => Json::from(NAN),
        _ if x > 0.0 => Json::from(INFINITY),
        _ => Json::from(NEGATIVE_INFINITY),
    };
    convert(value, word, &mut Vec::new())
}

/// `other` is what a number without a form in JSON becomes.
fn convert(value: &Value, other: fn(f64) -> Json, path: &mut Vec<String>) -> Result<Json> {
    if path.len() > DEEPEST {
        let text =
            format!("nested more than {DEEPEST} levels deep at {}: does a table contain itself?", path[0]);
        return Err(Error::argument(text));
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(x) => serde_json::Number::from_f64(*x).map_or_else(|| other(*x), Json::Number),
        Value::Str(s) => Json::String(s.clone()),
        Value::List(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                path.push(format!("item {}", i + 1));
                out.push(convert(item, other, path)?);
                path.pop();
            }
            Json::Array(out)
        }
        Value::Map(map) => {
            let mut out = serde_json::Map::new();
            for (name, item) in map.iter() {
                path.push(format!("`{name}`"));
                out.insert(name.to_string(), convert(item, other, path)?);
                path.pop();
            }
            Json::Object(out)
        }
        Value::Function(_) | Value::Object(_) => {
            let place = if path.is_empty() { String::new() } else { format!(" at {}", path.join(", ")) };
            let what = value.type_name();
            let hint = if what == "Tensor" { "; give its t:totable()" } else { "" };
            return Err(Error::argument(format!("a {what}{place} has no form in JSON{hint}")));
        }
    })
}

/// The script value of JSON. Its objects keep the order of their names, and its nulls.
pub fn from_json(json: Json) -> Value {
    read(json, Value::Str)
}

/// The script value of what [`to_record`] made.
pub fn from_record(json: Json) -> Value {
    read(json, |text| match text.as_str() {
        NAN => Value::Float(f64::NAN),
        INFINITY => Value::Float(f64::INFINITY),
        NEGATIVE_INFINITY => Value::Float(f64::NEG_INFINITY),
        _ => Value::Str(text),
    })
}

fn read(json: Json, text: fn(String) -> Value) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => {
            n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(s) => text(s),
        Json::Array(items) => Value::List(items.into_iter().map(|item| read(item, text)).collect()),
        Json::Object(map) => {
            Value::Map(map.into_iter().map(|(k, v)| (k, read(v, text))).collect::<Map>().written())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_way_there_and_back() {
        let text = r#"{"a":[1,2.5,"x",true,[]],"b":{"c":-7}}"#;
        let value = from_json(serde_json::from_str(text).expect("JSON"));
        assert_eq!(to_json(&value).expect("plain").to_string(), text);
    }

    #[test]
    fn a_record_keeps_every_number() {
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1.5];
        let json = to_record(&Value::List(numbers.map(Value::Float).to_vec())).expect("plain");
        assert_eq!(json.to_string(), r#"["NaN","Infinity","-Infinity",-0.0,1.5]"#);
        let Value::List(back) = from_record(json) else { panic!("a list") };
        for (is, was) in back.iter().zip(numbers) {
            assert!(matches!(is, Value::Float(x) if x.to_bits() == was.to_bits()), "{is:?}");
        }
        assert!(matches!(from_json(Json::from(NAN)), Value::Str(_)));
    }

    #[test]
    fn what_json_has_no_form_for() {
        assert_eq!(to_json(&Value::Float(f64::NAN)).expect("null"), Json::Null);
        let mut deep = Value::Nil;
        for _ in 0..200 {
            deep = Value::List(vec![deep]);
        }
        assert!(to_json(&deep).expect_err("too deep").message().contains("contain itself"));
    }
}
