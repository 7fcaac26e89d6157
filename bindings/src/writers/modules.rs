//! The modules of the standard library as pages of the reference (Markdown): one page for each top-level name, with what the
//! heads of their files say, their options and their functions. It knows nothing of the registry.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::stdlib;

/// The pages: file name, title, what it is in one line, and text.
pub struct Page {
    /// `modules.adapt.md`.
    pub file: String,
    /// `lota.adapt`.
    pub title: String,
    /// The first sentence of the module's head.
    pub line: String,
    /// The page itself.
    pub text: String,
}

/// A page for each top-level name of the modules in Lua.
pub fn pages() -> Vec<Page> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, _) in stdlib::MODULES.lua {
        let Some(short) = name.strip_prefix("lota.") else { continue };
        groups.entry(short.split('.').next().unwrap_or(short)).or_default().push(short);
    }
    groups.into_iter().map(|(group, members)| page(group, members)).collect()
}

fn page(group: &str, mut members: Vec<&str>) -> Page {
    // The module of the group itself comes first: it says what the others are.
    members.sort_by_key(|name| (*name != group, *name));
    let title = format!("lota.{group}");
    let line = stdlib::source(&title).map(stdlib::summary).unwrap_or_default();
    let mut text = format!("# {title}\n");
    for name in members {
        section(&mut text, group, name);
    }
    Page { file: format!("modules.{group}.md"), title, line, text }
}

fn section(text: &mut String, group: &str, name: &str) {
    let full = format!("lota.{name}");
    let Some(source) = stdlib::source(&full) else { return };
    if name != group {
        let _ = write!(text, "\n## {full}\n");
    }
    let rhai = full.replace('.', "/");
    if stdlib::source_rhai(&rhai).is_some() {
        let _ = write!(
            text,
            "\nIn Rhai too: `import \"{rhai}\"`; `lota doc --rhai {name}` shows how it is written there.\n"
        );
    }
    let head = stdlib::header(source);
    if !head.trim().is_empty() {
        let _ = write!(text, "\n```text\n{}\n```\n", head.trim_end());
    }
    if let Some((area, function)) = name.rsplit_once('.') {
        options(text, area, function);
    }
    for f in stdlib::functions(&full) {
        let _ = write!(text, "\n### {name}.{}\n\n```lua\n{name}.{}({})\n```\n", f.name, f.name, f.arguments);
        if !f.doc.is_empty() {
            let _ = write!(text, "\n{}\n", f.doc);
        }
        options(text, name, &f.name);
    }
}

/// The options of a function, as a table.
fn options(text: &mut String, area: &str, function: &str) {
    let declared = stdlib::options(area, function);
    if !declared.is_empty() {
        text.push_str("\n| option | type | default | |\n|---|---|---|---|\n");
    }
    for stdlib::Declared { name, doc, ty, default, choices } in declared {
        let kind = if choices.is_empty() { ty } else { choices.join(", ") };
        let default = default.map(|d| format!("`{d}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {} | {default} | {} |", cell(&kind), cell(&doc));
    }
}

/// A text that stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
