//! JSON for templates: objects keep the order of their keys, and `tojson` writes what Python's
//! `json.dumps` writes.

use std::fmt::Write;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, Value as JinjaValue, ValueKind};
use minijinja::{Error as JinjaError, ErrorKind};
use serde_json::Value;

use super::bounds::LONGEST;

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

/// Bytes that are written, at most: of what is indented most are spaces.
const MOST: usize = 4 * LONGEST;

/// The options of `json.dumps`.
#[derive(Clone, Debug, Default)]
pub(super) struct Style {
    /// Spaces by which each level is indented; without it all is one line.
    pub indent: Option<usize>,
    /// Whether what is not ASCII is escaped.
    pub ascii: bool,
    /// Whether keys are sorted.
    pub sorted: bool,
    /// What stands between items, and between key and value.
    pub separators: Option<(String, String)>,
}

/// What `json.dumps(value, …)` writes.
pub(super) fn python_json(value: &JinjaValue, style: &Style) -> Result<String, JinjaError> {
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    Ok(out)
}

fn refused(what: impl std::fmt::Display) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, format!("tojson: {what}"))
}

impl Style {
    fn write(&self, out: &mut String, value: &JinjaValue, depth: usize) -> Result<(), JinjaError> {
        if depth > 100 {
            return Err(refused("nested too deeply"));
        }
        if out.len() > MOST {
            return Err(refused("the text is too long"));
        }
        match value.kind() {
            ValueKind::Map => {
                let mut list = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    list.push((Some(key.to_string()), item));
                }
                if self.sorted {
                    list.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.items(out, ['{', '}'], &list, depth)
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let list: Vec<_> = value.try_iter()?.map(|v| (None, v)).collect();
                self.items(out, ['[', ']'], &list, depth)
            }
            ValueKind::Undefined => Err(refused("the value is undefined")),
            ValueKind::Number if !value.is_integer() => {
                let number = f64::try_from(value.clone())?;
                out.push_str(&super::python::float(number));
                Ok(())
            }
            _ => self.text(out, &serde_json::to_string(value).map_err(refused)?),
        }
    }

    /// Written JSON, with what is not ASCII escaped if need be.
    fn text(&self, out: &mut String, json: &str) -> Result<(), JinjaError> {
        if !self.ascii {
            out.push_str(json);
            return Ok(());
        }
        for c in json.chars() {
            if c.is_ascii() {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").map_err(refused)?;
            }
        }
        Ok(())
    }

    /// The items of an object (with keys) or list (without).
    fn items(
        &self,
        out: &mut String,
        [open, close]: [char; 2],
        list: &[(Option<String>, JinjaValue)],
        depth: usize,
    ) -> Result<(), JinjaError> {
        let between = match &self.separators {
            Some((between, _)) => between,
            None if self.indent.is_some() => ",",
            None => ", ",
        };
        let newline = |out: &mut String, depth: usize| {
            if let Some(width) = self.indent {
                // Writing to a string cannot fail.
                let _ = write!(out, "\n{:1$}", "", width.min(40) * depth);
            }
        };
        out.push(open);
        for (i, (key, item)) in list.iter().enumerate() {
            if i > 0 {
                out.push_str(between);
            }
            newline(out, depth + 1);
            if let Some(key) = key {
                self.text(out, &serde_json::to_string(key).map_err(refused)?)?;
                out.push_str(self.separators.as_ref().map_or(": ", |(_, colon)| colon));
            }
            self.write(out, item, depth + 1)?;
        }
        if !list.is_empty() {
            newline(out, depth);
        }
        out.push(close);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = to_jinja(&json!({"b": [1, 2.5, "<é>'"], "a": {}, "c": {"x": null}}));
        assert_eq!(
            python_json(&value, &Style::default()).expect("writes"),
            r#"{"b": [1, 2.5, "<é>'"], "a": {}, "c": {"x": null}}"#
        );
        assert_eq!(
            python_json(&value, &Style { indent: Some(2), ..Style::default() }).expect("writes"),
            "{\n  \"b\": [\n    1,\n    2.5,\n    \"<é>'\"\n  ],\n  \"a\": {},\n  \"c\": {\n    \"x\": null\n  }\n}"
        );
    }
}
