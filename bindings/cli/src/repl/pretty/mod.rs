//! Values as the prompt shows them: tables of figures in columns, tensors in rows, masks and models
//! with what they hold.

mod columns;
mod objects;
mod tensor;

use lota::api::{Object, Value, show};
use objects::summary;

use super::settings::Settings;
use super::syntax::Syntax;

/// How values are written.
pub struct Style<'a> {
    /// The language.
    pub syntax: &'a Syntax,
    /// The room there is.
    pub settings: &'a Settings,
    /// The number of the first position.
    pub base: i64,
}

/// The text of a value, without a line end.
pub fn pretty(value: &Value, style: &Style<'_>) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::List(items) => columns::table(items, style).unwrap_or_else(|| nested(value, style, 0)),
        Value::Object(object) => whole(object, style),
        other => nested(other, style, 0),
    }
}

/// The text of a value in one line of `room` columns.
pub fn line(value: &Value, style: &Style<'_>, room: usize) -> String {
    let text = match value {
        Value::Str(text) => format!("{text:?}"),
        other => nested(other, style, 0),
    };
    let flat: String = text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(room) {
        Some(_) => flat.chars().take(room.saturating_sub(3)).chain("...".chars()).collect(),
        None => flat,
    }
}

fn whole(object: &Object, style: &Style<'_>) -> String {
    tensor::show(object, style).or_else(|| objects::show(object)).unwrap_or_else(|| object.show())
}

fn nested(value: &Value, style: &Style<'_>, indent: usize) -> String {
    let syntax = style.syntax;
    match value {
        Value::Nil => syntax.nil.to_string(),
        Value::Str(text) => format!("{text:?}"),
        Value::Function(function) => match function.primitive() {
            Some(name) => format!("function {name}"),
            None => "function".into(),
        },
        // In a table an object is one line; a tensor too.
        Value::Object(object) => summary(object),
        Value::List(items) => {
            let shown = items.iter().take(style.settings.items).map(|v| nested(v, style, indent + 2));
            braces(shown.collect(), items.len(), syntax.list, style, indent)
        }
        Value::Map(map) => {
            let shown = map.iter().take(style.settings.items);
            let shown =
                shown.map(|(k, v)| format!("{}{}{}", key(k), syntax.set, nested(v, style, indent + 2)));
            braces(shown.collect(), map.len(), (syntax.options, "}"), style, indent)
        }
        other => show(other),
    }
}

/// Items between brackets: on one line, else short ones filling lines, else a line each.
fn braces(
    mut parts: Vec<String>,
    len: usize,
    brackets: (&str, &str),
    style: &Style<'_>,
    indent: usize,
) -> String {
    if len > parts.len() {
        parts.push(format!("... {} more", len - parts.len()));
    }
    let (syntax, (open, close)) = (style.syntax, brackets);
    let width = |text: &String| text.chars().count() + 2;
    let room = style.settings.width.saturating_sub(indent);
    let flat = !parts.iter().any(|p| p.contains('\n'));
    if flat && parts.iter().map(width).sum::<usize>() + open.len() <= room {
        return format!("{open}{}{close}", parts.join(", "));
    }
    let pad = " ".repeat(indent + 2);
    let mut lines: Vec<String> = Vec::new();
    let fills = flat && parts.iter().all(|p| p.chars().count() <= 24 && !p.contains(syntax.set));
    for part in parts {
        match lines.last_mut() {
            Some(line) if fills && width(line) + width(&part) <= style.settings.width => {
                *line += &format!(" {part},")
            }
            _ => lines.push(format!("{pad}{part},")),
        }
    }
    format!("{open}\n{}\n{}{close}", lines.join("\n"), " ".repeat(indent))
}

fn key(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_string() } else { format!("[{name:?}]") }
}
