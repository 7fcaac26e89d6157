//! JSON for templates: objects keep the order of their keys, and `tojson` writes what Python's
//! `json.dumps` writes.

use std::fmt::Write;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, Value as JinjaValue, ValueKind};
use minijinja::{Error as JinjaError, ErrorKind};
use serde_json::Value;

/// A JSON object in the order it was written.
#[derive(Debug)]
struct Ordered(Vec<(Arc<str>, JinjaValue)>);

impl Object for Ordered {
    fn get_value(self: &Arc<Self>, key: &JinjaValue) -> Option<JinjaValue> {
        let key = key.as_str()?;
        self.0.iter().find(|(k, _)| &**k == key).map(|(_, v)| v.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|this| Box::new(this.0.iter().map(|(k, _)| JinjaValue::from(k.clone()))))
    }
}

/// A JSON value as a template sees it.
pub(super) fn to_jinja(value: &Value) -> JinjaValue {
    match value {
        Value::Array(list) => list.iter().map(to_jinja).collect::<Vec<_>>().into(),
        Value::Object(map) => JinjaValue::from_object(Ordered(
            map.iter().map(|(k, v)| (k.as_str().into(), to_jinja(v))).collect(),
        )),
        simple => JinjaValue::from_serialize(simple),
    }
}

/// What `json.dumps(value, ensure_ascii=False, indent=indent)` writes.
pub(super) fn python_json(value: &JinjaValue, indent: Option<usize>) -> Result<String, JinjaError> {
    let mut out = String::new();
    write(&mut out, value, indent, 0)?;
    Ok(out)
}

fn write(
    out: &mut String,
    value: &JinjaValue,
    indent: Option<usize>,
    depth: usize,
) -> Result<(), JinjaError> {
    let refused = |what: String| JinjaError::new(ErrorKind::InvalidOperation, what);
    if depth > 100 {
        return Err(refused("tojson: nested too deeply".to_string()));
    }
    match value.kind() {
        ValueKind::Map => {
            let mut list = Vec::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                list.push((Some(key), item));
            }
            items(out, ['{', '}'], &list, indent, depth)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let list: Vec<_> = value.try_iter()?.map(|v| (None, v)).collect();
            items(out, ['[', ']'], &list, indent, depth)
        }
        ValueKind::Undefined => Err(refused("tojson: the value is undefined".to_string())),
        _ => {
            let json = serde_json::to_string(value).map_err(|e| refused(format!("tojson: {e}")))?;
            out.push_str(&json);
            Ok(())
        }
    }
}

/// The items of an object (with keys) or list (without).
fn items(
    out: &mut String,
    [open, close]: [char; 2],
    list: &[(Option<JinjaValue>, JinjaValue)],
    indent: Option<usize>,
    depth: usize,
) -> Result<(), JinjaError> {
    let newline = |out: &mut String, depth: usize| {
        if let Some(width) = indent {
            // Writing to a string cannot fail.
            let _ = write!(out, "\n{:1$}", "", width * depth);
        }
    };
    out.push(open);
    for (i, (key, item)) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        newline(out, depth + 1);
        if let Some(key) = key {
            write(out, &JinjaValue::from(key.to_string()), None, depth + 1)?;
            out.push_str(": ");
        }
        write(out, item, indent, depth + 1)?;
    }
    if !list.is_empty() {
        newline(out, depth);
    }
    out.push(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = to_jinja(&json!({"b": [1, 2.5, "<é>'"], "a": {}, "c": {"x": null}}));
        assert_eq!(
            python_json(&value, None).expect("writes"),
            r#"{"b": [1, 2.5, "<é>'"], "a": {}, "c": {"x": null}}"#
        );
        assert_eq!(
            python_json(&value, Some(2)).expect("writes"),
            "{\n  \"b\": [\n    1,\n    2.5,\n    \"<é>'\"\n  ],\n  \"a\": {},\n  \"c\": {\n    \"x\": null\n  }\n}"
        );
    }
}
