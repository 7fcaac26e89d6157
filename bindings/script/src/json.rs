//! How script values and JSON become each other.

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::value::{Map, Value};

/// How deep JSON may be nested: deeper is a table that contains itself.
const DEEPEST: usize = 100;

/// The JSON of a script value. A function or an object inside is an error that says where.
pub fn to_json(value: &Value) -> Result<Json> {
    convert(value, &mut Vec::new())
}

fn convert(value: &Value, path: &mut Vec<String>) -> Result<Json> {
    if path.len() > DEEPEST {
        let text =
            format!("nested more than {DEEPEST} levels deep at {}: does a table contain itself?", path[0]);
        return Err(Error::argument(text));
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::Float(x) => serde_json::Number::from_f64(*x).map_or(Json::Null, Json::Number),
        Value::Str(s) => Json::String(s.clone()),
        Value::List(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                path.push(format!("item {}", i + 1));
                out.push(convert(item, path)?);
                path.pop();
            }
            Json::Array(out)
        }
        Value::Map(map) => {
            let mut out = serde_json::Map::new();
            for (name, item) in map.iter() {
                path.push(format!("`{name}`"));
                out.insert(name.to_string(), convert(item, path)?);
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

/// The script value of JSON.
pub fn from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => {
            n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(s) => Value::Str(s),
        Json::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        Json::Object(map) => Value::Map(map.into_iter().map(|(k, v)| (k, from_json(v))).collect::<Map>()),
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
    fn what_json_has_no_form_for() {
        assert_eq!(to_json(&Value::Float(f64::NAN)).expect("null"), Json::Null);
        let mut deep = Value::Nil;
        for _ in 0..200 {
            deep = Value::List(vec![deep]);
        }
        assert!(to_json(&deep).expect_err("too deep").message().contains("contain itself"));
    }
}
