//! Values as a person reads them: at the prompt, and by `lota.print`.

use crate::param::literal;
use crate::value::Value;

/// Lines and items shown of a long list or map.
const MOST: usize = 40;
const WIDTH: usize = 100;

/// The text of a value: strings as they are, tables written out, objects by their own text.
pub fn show(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        other => inner(other, 0),
    }
}

fn inner(value: &Value, indent: usize) -> String {
    match value {
        Value::Float(x) => format!("{x}"),
        Value::Object(object) => object.show().replace('\n', &format!("\n{}", " ".repeat(indent))),
        Value::List(items) => {
            let shown = items.iter().take(MOST).map(|item| (None, item));
            braces(shown.collect(), items.len(), indent)
        }
        Value::Map(map) => {
            let shown = map.iter().take(MOST).map(|(name, item)| (Some(name), item));
            braces(shown.collect(), map.len(), indent)
        }
        other => literal(other),
    }
}

fn braces(items: Vec<(Option<&str>, &Value)>, len: usize, indent: usize) -> String {
    let mut parts: Vec<String> = items
        .into_iter()
        .map(|(name, item)| match name {
            Some(name) => format!("{} = {}", key(name), inner(item, indent + 2)),
            None => inner(item, indent + 2),
        })
        .collect();
    if len > MOST {
        parts.push(format!("... {} more", len - MOST));
    }
    let width: usize = parts.iter().map(|p| p.chars().count() + 2).sum::<usize>() + indent;
    if width <= WIDTH && !parts.iter().any(|p| p.contains('\n')) {
        return format!("{{{}}}", parts.join(", "));
    }
    let pad = " ".repeat(indent + 2);
    let lines: Vec<String> = parts.iter().map(|p| format!("{pad}{p},")).collect();
    format!("{{\n{}\n{}}}", lines.join("\n"), " ".repeat(indent))
}

fn key(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_string() } else { format!("[{name:?}]") }
}
