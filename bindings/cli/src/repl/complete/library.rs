//! The options of functions of the standard library, read from its pages: it has no records.
//!
//! A page keeps what it takes in a table named `defaults`, which may build on that of another page it requires; a page of
//! several functions hands each its own table in `options.read("area.function", { … })`.

use std::collections::BTreeSet;

use lota::stdlib;

use crate::repl::syntax::{Kind, LUA, Token, tokens};

/// Pages that build on each other.
const DEPTH: usize = 4;

/// The options of a function by the last two names of its path: `adapt` and `lota`.
pub(super) fn options(area: &str, function: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let home = format!("lota.{area}");
    if let Some(page) = page(&home, function) {
        collect(&page, &home, &format!("{area}.{function}"), DEPTH, &mut found);
    }
    found
}

/// The module that a function of an area is in.
fn page(home: &str, function: &str) -> Option<String> {
    let own = format!("{home}.{function}");
    if stdlib::source(&own).is_some() {
        return Some(own);
    }
    let source = stdlib::source(home)?;
    let code = code(source);
    let text = |i: usize| code.get(i).map_or("", |t| t.text(source));
    let named =
        (0..code.len()).find(|&i| text(i) == function && text(i + 1) == "=" && text(i + 2) == "require");
    let module = named.and_then(|i| code[i + 3..].iter().find(|t| matches!(t.kind, Kind::Text(_))));
    module.map(|t| unquoted(t.text(source)).to_string()).or_else(|| {
        let defined =
            (0..code.len()).any(|i| text(i) == "function" && text(i + 2) == "." && text(i + 3) == function);
        defined.then(|| home.to_string())
    })
}

fn code(source: &str) -> Vec<Token> {
    tokens(&LUA, source).into_iter().filter(|t| !t.is_comment()).collect()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// Adds what a page declares for a function, and what the pages of its area that it requires declare.
fn collect(page: &str, home: &str, function: &str, depth: usize, found: &mut BTreeSet<&'static str>) {
    let (Some(source), Some(depth)) = (stdlib::source(page), depth.checked_sub(1)) else { return };
    let code = code(source);
    let text = |i: usize| code.get(i).map_or("", |t| t.text(source));
    for i in 0..code.len() {
        let declared = text(i) == "defaults" && text(i + 1) == "=";
        let handed = text(i) == "read" && unquoted(text(i + 2)) == function && text(i + 4) == "{";
        if declared || handed {
            found.extend(names(source, &code[i..]));
        }
        if text(i) == "require" {
            let module = code[i + 1..].iter().find(|t| matches!(t.kind, Kind::Text(_)));
            let module = module.map_or("", |t| unquoted(t.text(source)));
            if module.starts_with(home) && module != page {
                collect(module, home, function, depth, found);
            }
        }
    }
}

/// The names in the first table of some code, those in tables inside it left out.
fn names(source: &'static str, code: &[Token]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut depth = 0usize;
    let open = code.iter().position(|t| t.text(source) == "{").unwrap_or(code.len());
    for (i, token) in code.iter().enumerate().skip(open) {
        match token.text(source) {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "=" if depth == 1 && code[i - 1].kind == Kind::Name => found.push(code[i - 1].text(source)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(area: &str, function: &str, some: &[&str], none: &[&str]) {
        let found = options(area, function);
        for name in some {
            assert!(found.contains(name), "{area}.{function} takes {name}, not only {found:?}");
        }
        for name in none {
            assert!(!found.contains(name), "{area}.{function} does not take {name}");
        }
    }

    #[test]
    fn pages_say_what_their_functions_take() {
        known(
            "adapt",
            "lota",
            &["density", "calibration_steps", "score", "steps", "lr"],
            &["after", "defaults"],
        );
        known("adapt", "lotto", &["after", "avoid", "density", "steps"], &[]);
        known("adapt", "fft", &["steps", "lr", "seed"], &["density"]);
        known("adapt", "random", &["density", "steps"], &["calibration_steps"]);
        known("scores", "delta", &["params"], &["seed"]);
        known("scores", "random", &["params", "seed"], &["limit"]);
        known("scores", "fisher", &["params", "limit", "checkpoint"], &[]);
        known("tasks", "open", &["train", "seed", "max_tokens", "held_out"], &[]);
        known("report", "curves", &["title", "smooth", "log"], &[]);
        known("report", "overlap", &["title"], &["smooth"]);
        assert!(options("adapt", "no_such").is_empty() && options("mask", "union").is_empty());
    }
}
