//! The registry as pages of a reference (Markdown) and as data (JSON).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use lota_script::{Error, ErrorKind, Language, Op, Place, Primitive, Registry, Result, Value, literal};
use serde_json::{Value as Json, json};

use super::doc;

/// Where counting starts, on the first page.
const COUNTING: &str = "Counting starts where it does in the language: at 1 in Lua and at 0 in Rhai. That is so for \
    dimensions (`x:sum(1)`), for positions in them (`x[1]`, `narrow`, `select`, rows and columns of masks) and for items of \
    lists; -1 is the last in both languages. Three things count from 0 in both, since they are names or numbers that are \
    stored: token ids, the layers of a model (as in the names of its parameters), and positions that are numbers in a tensor \
    (what `argmax` gives, what `gather` takes).";

/// What the listings need, on every page.
const LISTINGS: &str = "Listings run as they are at the prompt and in `lota eval`; a file in Lua begins with \
    `local lota = require \"lota\"`.";

/// The pages: file name and text, one for each area with the types that belong to it, and an index.
pub fn pages(registry: &Registry, examples: Examples) -> Result<Vec<(String, String)>> {
    let homes = homes(registry);
    let mut pages = Vec::new();
    let mut index = String::from(
        "# Reference\n\nEvery primitive, in Lua and in Rhai. Written by `lota doc --markdown` from the records in `bindings/src/primitives`;\n\
         do not edit these pages.\n\n| page | what | types |\n|---|---|---|\n",
    );
    for (area, line) in [("", "The top table.")].into_iter().chain(registry.areas()) {
        let title = if area.is_empty() { "lota".to_string() } else { format!("lota.{area}") };
        let types: Vec<(&str, &str)> =
            registry.types().filter(|(ty, _)| homes.get(ty).is_some_and(|home| home == area)).collect();
        let names: Vec<String> = types.iter().map(|(ty, _)| format!("`{ty}`")).collect();
        let _ = writeln!(index, "| [{title}]({title}.md) | {line} | {} |", names.join(", "));
        let mut page = format!("# {title}\n\n{line}\n\n{LISTINGS}\n");
        if area.is_empty() {
            let _ = write!(page, "\n{COUNTING}\n");
        }
        for p in registry.iter().filter(|p| p.area() == Some(area)) {
            section(&mut page, examples, p)?;
        }
        for (ty, line) in types {
            let _ = write!(page, "\n# {ty}\n\n{line}\n");
            for p in registry.methods(ty) {
                section(&mut page, examples, p)?;
            }
        }
        pages.push((format!("{title}.md"), page));
    }
    index.push_str("\nModules, written in Lua and built in. A script gets one by `require 'lota.adapt'`.\n\n| page | what |\n|---|---|\n");
    for super::modules::Page { file, title, line, text } in super::modules::pages() {
        let _ = writeln!(index, "| [{title}]({file}) | {line} |");
        pages.push((file, text));
    }
    contents(&mut index, registry);
    pages.push(("README.md".into(), index));
    Ok(pages)
}

/// A table of every primitive by its short name, and of the modules.
fn contents(index: &mut String, registry: &Registry) {
    index.push_str("\n## Everything a script can call\n\n| | what | primitives |\n|---|---|---|\n");
    let mut row = |title: &str, line: &str, names: Vec<String>| {
        let _ = writeln!(index, "| `{title}` | {line} | {} |", names.join(", "));
    };
    let short = |p: &Arc<Primitive>| format!("`{}`", p.short_name());
    for (area, line) in [("", "The top table.")].into_iter().chain(registry.areas()) {
        let title = if area.is_empty() { "lota".to_string() } else { format!("lota.{area}") };
        row(&title, line, registry.iter().filter(|p| p.area() == Some(area)).map(short).collect());
    }
    for (ty, line) in registry.types() {
        row(ty, line, registry.methods(ty).map(short).collect());
    }
    let modules = doc::module_names().map(|name| format!("`{name}`")).collect();
    row("Modules", "Built in; `require 'lota.adapt'` returns one, `lota doc adapt` shows its page.", modules);
}

/// The area whose page describes a type: that of its name, else of what makes it.
fn homes(registry: &Registry) -> BTreeMap<&'static str, String> {
    let mut homes: BTreeMap<&'static str, String> = BTreeMap::new();
    for (ty, _) in registry.types() {
        let lower = ty.to_lowercase();
        let by_name = registry.areas().find(|(area, _)| *area == lower).map(|(area, _)| area.to_string());
        let made = registry.iter().find(|p| p.area().is_some() && p.result().0 == ty);
        let home = by_name.or_else(|| made.and_then(|p| p.area()).map(str::to_string));
        if let Some(home) = home {
            homes.insert(ty, home);
        }
    }
    // What a method makes lies with its object.
    for (ty, _) in registry.types() {
        if !homes.contains_key(ty) {
            let owner = registry.iter().find(|p| p.owner().is_some() && p.result().0 == ty);
            let home = owner.and_then(|p| p.owner()).and_then(|owner| homes.get(owner)).cloned();
            homes.insert(ty, home.unwrap_or_default());
        }
    }
    homes
}

/// Gives the example of a primitive in Rhai: [`examples::rhai`](super::examples::rhai), or a fresh translation.
pub type Examples<'a> = &'a dyn Fn(&Primitive) -> Option<String>;

fn rhai_example(examples: Examples, p: &Primitive) -> Result<String> {
    examples(p).ok_or_else(|| {
        let text = format!("the example of {} is in Lua alone; give it an .example_rhai", p.name());
        Error::new(ErrorKind::Host, text)
    })
}

fn section(page: &mut String, examples: Examples, p: &Primitive) -> Result<()> {
    let _ = write!(page, "\n## {}\n\n{}\n", p.short_name(), p.doc());
    let prefix = |language| match (p.owner(), language) {
        (Some(_), _) => "",
        (None, Language::Rhai) => "lota::",
        (None, _) => "lota.",
    };
    let _ = write!(page, "\n```lua\n{}{}\n```\n", prefix(Language::Lua), p.signature());
    let rhai = p.signature_in(Language::Rhai);
    let _ = write!(page, "\n```rust\n// Rhai\n{}{rhai}\n```\n", prefix(Language::Rhai));
    if !p.long_doc().is_empty() {
        let _ = write!(page, "\n{}\n", p.long_doc().split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let shown: Vec<_> = p.params().iter().filter(|q| q.name != "self").collect();
    if !shown.is_empty() {
        page.push_str("\n| | type | default | |\n|---|---|---|---|\n");
        for q in shown {
            let name = if q.place == Place::Rest { "..." } else { &q.name };
            let default = match &q.default {
                _ if q.required => "required".to_string(),
                Value::Nil => String::new(),
                _ if q.place == Place::Rest => String::new(),
                value => format!("`{}`", literal(value)),
            };
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(page, "| `{name}` | {} | {} | {} |", cell(&q.ty), cell(&default), cell(&q.doc));
        }
    }
    if let Some(text) = p.open_doc() {
        let _ = write!(page, "\nOptions of other names: {text}\n");
    }
    let (ty, text) = p.result();
    if ty != "nil" || !text.is_empty() {
        let _ = write!(page, "\nReturns {ty}{}{text}\n", if text.is_empty() { "" } else { ": " });
    }
    let operators = [Language::Lua, Language::Rhai].map(|language| doc::operator(p, language));
    if let [Some(lua), rhai] = operators {
        let rhai = rhai.map_or_else(|| "none in Rhai".to_string(), |form| format!("`{form}` in Rhai"));
        let _ = write!(page, "\nOperator: `{lua}` in Lua, {rhai}.\n");
    }
    let _ = write!(
        page,
        "\n```lua\n{}\n```\n\n```rust\n// Rhai\n{}\n```\n",
        p.example_source(),
        rhai_example(examples, p)?
    );
    Ok(())
}

/// Every primitive as data.
pub fn json(registry: &Registry, examples: Examples) -> Result<Json> {
    let mut primitives = Vec::new();
    for p in registry.iter() {
        let params: Vec<Json> = p
            .params()
            .iter()
            .map(|q| {
                let place = match q.place {
                    Place::Positional => "positional",
                    Place::Rest => "rest",
                    Place::Option => "option",
                };
                json!({
                    "name": q.name, "type": q.ty, "place": place, "required": q.required,
                    "default": plain(&q.default), "doc": q.doc,
                })
            })
            .collect();
        let operator = p.operator_tag().filter(|op| !matches!(op, Op::Call | Op::Index));
        primitives.push(json!({
            "name": p.name(),
            "doc": p.doc(),
            "details": p.long_doc(),
            "owner": p.owner(),
            "area": p.area(),
            "constant": p.is_constant(),
            "params": params,
            "open": p.open_doc(),
            "result": { "type": p.result().0, "doc": p.result().1 },
            "operator": operator.map(Op::symbol),
            "signature": { "lua": p.signature(), "rhai": p.signature_in(Language::Rhai) },
            "example": { "lua": p.example_source(), "rhai": rhai_example(examples, p)? },
        }));
    }
    let lines = |list: Vec<(&str, &str)>| {
        list.into_iter().map(|(name, doc)| json!({ "name": name, "doc": doc })).collect::<Vec<_>>()
    };
    Ok(json!({
        "version": crate::VERSION,
        "areas": lines(registry.areas().collect()),
        "types": lines(registry.types().collect()),
        "primitives": primitives,
    }))
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Float(x) => json!(x),
        Value::Str(s) => json!(s),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(map) => map.iter().map(|(name, item)| (name.to_string(), plain(item))).collect(),
        _ => Json::Null,
    }
}
