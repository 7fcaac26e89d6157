//! The options of functions of the standard library, as their pages declare them for `lota.options`.
//!
//! A page keeps what it takes in a table named `defaults`, which may build on that of another page it requires; a page of
//! several functions hands each its own table in `options.read("area.function", { ... })`. A page that builds on one of another
//! area names that page's `defaults`; what it does not hand on is in a table named `withheld`.

use super::lex::{Token, tokens};
use super::source;

/// Pages that build on each other.
const DEPTH: usize = 4;

/// An option of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// The type of its values; empty where anything may stand.
    pub ty: String,
    /// Its default, as the page writes it.
    pub default: Option<String>,
    /// The values that it may have, where they are few.
    pub choices: Vec<String>,
}

/// The options of a function by the last two names of its path, `adapt` and `lota`: its own, then those of the pages that
/// it builds on.
pub fn options(area: &str, function: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    let home = format!("lota.{area}");
    if let Some(page) = page(&home, function) {
        collect(&page, &home, &format!("{area}.{function}"), DEPTH, &mut found);
        let withheld = withheld(&page);
        found.retain(|option| !withheld.contains(&option.name.as_str()));
    }
    found
}

/// The names in the table `withheld` of a page.
fn withheld(page: &str) -> Vec<&'static str> {
    let code = source(page).map(tokens).unwrap_or_default();
    let begin = code.windows(3).position(|t| [t[0].text, t[1].text, t[2].text] == ["withheld", "=", "{"]);
    let names = begin.map(|at| fields(&code[at + 2..])).unwrap_or_default();
    names.into_iter().filter_map(|(_, value)| value.first().and_then(|t| t.quoted)).collect()
}

/// The module that a function of an area is in.
fn page(home: &str, function: &str) -> Option<String> {
    let own = format!("{home}.{function}");
    if source(&own).is_some() {
        return Some(own);
    }
    let code = tokens(source(home)?);
    let text = |i: usize| code.get(i).map_or("", |t| t.text);
    let named =
        (0..code.len()).find(|&i| text(i) == function && text(i + 1) == "=" && text(i + 2) == "require");
    named.and_then(|i| code[i + 3..].iter().find_map(|t| t.quoted)).map(str::to_string).or_else(|| {
        let defined =
            (0..code.len()).any(|i| text(i) == "function" && text(i + 2) == "." && text(i + 3) == function);
        defined.then(|| home.to_string())
    })
}

/// Adds what a page declares for a function, and what the pages of its area that it requires declare.
fn collect(page: &str, home: &str, function: &str, depth: usize, found: &mut Vec<Declared>) {
    let (Some(source), Some(depth)) = (source(page), depth.checked_sub(1)) else { return };
    let code = tokens(source);
    let text = |i: usize| code.get(i).map_or("", |t| t.text);
    let quoted = |i: usize| code.get(i).and_then(|t| t.quoted);
    let short = function.rsplit('.').next().unwrap_or_default();
    let names_defaults = |name: &str| {
        (0..code.len()).any(|i| text(i) == name && text(i + 1) == "." && text(i + 2) == "defaults")
    };
    let mut bases = Vec::new();
    // The function of the page that the code belongs to: a table inside one is that function's alone.
    let mut inside = None;
    for i in 0..code.len() {
        if text(i) == "function" && text(i + 1) != "(" {
            inside = (text(i + 2) == ".").then(|| text(i + 3));
        }
        let declared = text(i) == "defaults" && text(i + 1) == "=" && inside.is_none_or(|name| name == short);
        let handed = text(i) == "read" && quoted(i + 2) == Some(function) && text(i + 4) == "{";
        if declared || handed {
            let open = code[i..].iter().position(|t| t.text == "{").map_or(code.len(), |at| i + at);
            for (name, value) in fields(&code[open..]) {
                if let Some(name) = name.filter(|name| found.iter().all(|known| known.name != *name)) {
                    found.push(declaration(name, value));
                }
            }
        }
        if text(i) == "require"
            && let Some(module) = code[i + 1..].iter().find_map(|t| t.quoted)
            && (module.starts_with(home) || (i >= 2 && names_defaults(text(i - 2))))
            && module != page
        {
            bases.push(module);
        }
    }
    for module in bases {
        collect(module, home, function, depth, found);
    }
}

/// The fields of the table that some code begins with: their names, those that have one, and the tokens of their values.
fn fields<'c, 'a>(code: &'c [Token<'a>]) -> Vec<(Option<&'a str>, &'c [Token<'a>])> {
    let mut out = Vec::new();
    let (mut depth, mut from) = (0usize, 1);
    for (i, token) in code.iter().enumerate() {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if (depth == 1 && matches!(token.text, "," | ";")) || depth == 0 {
            let field = &code[from.min(i)..i];
            match field {
                [name, equals, value @ ..] if equals.text == "=" => out.push((Some(name.text), value)),
                [] => {}
                value => out.push((None, value)),
            }
            from = i + 1;
        }
        if depth == 0 {
            break;
        }
    }
    out
}

fn declaration(name: &str, value: &[Token<'_>]) -> Declared {
    let table = value.first().is_some_and(|t| t.text == "{");
    let entry = if table { fields(value) } else { vec![(None, value)] };
    let mut plain = entry.iter().filter(|(name, _)| name.is_none()).map(|(_, value)| *value);
    let named = |wanted: &str| entry.iter().find(|(name, _)| *name == Some(wanted)).map(|(_, value)| *value);
    let first = plain.next().unwrap_or_default();
    let default = joined(first);
    let default = Some(default).filter(|d| !matches!(d.as_str(), "" | "nil" | "options.optional"));
    let doc = plain.next().unwrap_or_default().iter().filter_map(|t| t.quoted).collect();
    let ty = match named("type") {
        Some(ty) => ty.iter().filter_map(|t| t.quoted).collect(),
        None => default.as_deref().map_or("", type_of).to_string(),
    };
    let also = named("also").unwrap_or_default().iter().filter_map(|t| t.quoted);
    let ty = [ty.as_str()].into_iter().chain(also).collect::<Vec<_>>().join("|");
    let choices = named("choices").unwrap_or_default().iter().filter_map(|t| t.quoted);
    Declared { name: name.to_string(), doc, ty, default, choices: choices.map(str::to_string).collect() }
}

/// The type of a value that is written out. A default that is a text says little: names, lists and functions may stand
/// for it.
fn type_of(text: &str) -> &'static str {
    match text {
        "true" | "false" => "boolean",
        number if number.parse::<i64>().is_ok() => "integer",
        number if number.parse::<f64>().is_ok() => "number",
        _ => "",
    }
}

fn joined(code: &[Token<'_>]) -> String {
    code.iter().map(|t| t.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(area: &str, function: &str, some: &[&str], none: &[&str]) {
        let found = options(area, function);
        let has = |name: &str| found.iter().any(|o| o.name == name);
        for name in some {
            assert!(has(name), "{area}.{function} takes {name}, not only {found:?}");
        }
        for name in none {
            assert!(!has(name), "{area}.{function} does not take {name}");
        }
    }

    #[test]
    fn pages_say_what_their_functions_take() {
        known(
            "adapt",
            "lota",
            &["density", "calibration_steps", "score", "steps", "lr"],
            &["after", "defaults", "least"],
        );
        known("adapt", "lotto", &["after", "avoid", "density", "steps"], &[]);
        known("adapt", "fft", &["steps", "lr", "seed"], &["density"]);
        known("adapt", "random", &["density", "steps"], &["calibration_steps"]);
        known("cl", "sequence", &["method", "density", "steps", "lr", "seed"], &["orders"]);
        known(
            "cl",
            "study",
            &["orders", "density", "own", "steps", "lr"],
            &["method", "known", "record", "seed"],
        );
        known("scores", "delta", &["params"], &["seed"]);
        known("scores", "random", &["params", "seed"], &["limit"]);
        known("scores", "fisher", &["params", "limit", "checkpoint"], &[]);
        known("scores", "gem", &["params", "limit", "eps"], &["small"]);
        known("scores", "wanda", &["params", "limit"], &["rank"]);
        known("adapt", "ssu", &["source", "protect", "lr"], &["threshold"]);
        known("adapt", "migu", &["threshold", "lr"], &["protect"]);
        known("merge", "regmean", &["alpha", "ridge", "any_weights"], &["floor"]);
        known("scores", "gallop", &["params", "limit", "small"], &["eps"]);
        known("adapt", "ewc", &["earlier", "strength", "fisher_rows", "lr"], &["density"]);
        known("tasks", "open", &["train", "seed", "max_tokens", "held_out"], &[]);
        known("report", "curves", &["title", "smooth", "log"], &[]);
        known("report", "overlap", &["title"], &["smooth"]);
        assert!(options("adapt", "no_such").is_empty() && options("mask", "union").is_empty());
    }

    #[test]
    fn an_option_is_told_with_its_type_default_and_meaning() {
        let found = options("adapt", "lota");
        let density = Declared {
            name: "density".into(),
            doc: "fraction of the `params` entries in the mask; or for each layer or parameter, as \
                  lota.mask.from_scores takes it"
                .into(),
            ty: "number|table|function".into(),
            default: Some("0.1".into()),
            choices: Vec::new(),
        };
        assert_eq!(found.first(), Some(&density));
        let of = |name: &str| found.iter().find(|o| o.name == name).expect("declared");
        assert_eq!(of("scope").choices, ["global", "parameter", "layer", "row"]);
        assert_eq!((of("lr").ty.as_str(), of("lr").default.as_deref()), ("number", Some("1e-5")));
        assert_eq!((of("on_step").ty.as_str(), &of("on_step").default), ("function", &None));
        assert_eq!(of("params").default.as_deref(), Some("\"adaptable\""));
    }

    #[test]
    fn every_option_of_the_methods_is_described() {
        for function in [
            "lota",
            "lotto",
            "fft",
            "random",
            "ewc",
            "spiel",
            "dpo",
            "distill",
            "iterative",
            "sam",
            "ssu",
            "migu",
        ] {
            for option in options("adapt", function) {
                assert!(option.doc.len() > 5, "adapt.{function}: {option:?}");
            }
        }
    }
}
