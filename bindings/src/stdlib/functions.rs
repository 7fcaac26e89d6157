//! The functions of a module of the standard library, with the comments above them.

use super::{first_sentence, source, source_rhai};

/// A function that a module gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, without that of the module.
    pub name: String,
    /// What it takes, as its page writes it.
    pub arguments: String,
    /// The comment above it.
    pub doc: String,
}

impl Function {
    /// The first sentence about it.
    pub fn summary(&self) -> String {
        first_sentence(&self.doc)
    }
}

/// The functions that a module defines as fields of its table, in the order of its page, with what they do. A module that
/// *is* a function has none, and one whose head says what its functions do has none that need a page.
pub fn functions(module: &str) -> Vec<Function> {
    all(module).into_iter().filter(|f| !f.doc.is_empty()).collect()
}

/// A function that a module gives: its own, or that of another module under a name of its own.
pub fn function(module: &str, name: &str) -> Option<Function> {
    all(module).into_iter().find(|f| f.name == name).or_else(|| passed_on(module, name))
}

fn all(module: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in source(module).unwrap_or_default().lines() {
        if let Some(text) = line.strip_prefix("--") {
            comment.push_str(text.trim_start_matches('-').trim());
            comment.push('\n');
            continue;
        }
        let assigned = || line.split_once(" = function(").map(|(path, rest)| format!("{path}({rest}"));
        let defined = line.strip_prefix("function ").map(str::to_string).or_else(assigned);
        if let Some((name, arguments)) = defined.as_deref().and_then(definition) {
            let doc = comment.trim().to_string();
            found.push(Function { name: name.to_string(), arguments: arguments.to_string(), doc });
        }
        comment.clear();
    }
    found
}

/// The functions that a module of Rhai (`lota/report`) gives, in the order of its page: one of several arities once for
/// each. What it keeps to itself is called by the module's name first, `report_rows`.
pub fn functions_rhai(module: &str) -> Vec<Function> {
    let own = format!("{}_", module.rsplit('/').next().unwrap_or(module));
    let mut found: Vec<Function> = Vec::new();
    let mut comment = String::new();
    for line in source_rhai(module).unwrap_or_default().lines() {
        if let Some(text) = line.strip_prefix("//").filter(|text| !text.starts_with('!')) {
            comment.push_str(text.trim_start_matches('/').trim());
            comment.push('\n');
            continue;
        }
        let defined = line.strip_prefix("fn ").and_then(|text| text.split_once('('));
        if let Some((name, rest)) = defined.filter(|(name, _)| !name.starts_with(&own)) {
            let arguments = rest.split(')').next().unwrap_or_default();
            let doc = comment.trim().to_string();
            found.push(Function { name: name.to_string(), arguments: arguments.to_string(), doc });
        }
        comment.clear();
    }
    found
}

/// The function that a module gives under a name of its own, though another module defines it: `lota.cl` gives `table`,
/// that of `lota.cl.report`. A module that *is* a function has a page of its own.
pub fn passed_on(module: &str, name: &str) -> Option<Function> {
    let start = format!("  {name} = require(\"");
    let line = source(module)?.lines().find_map(|line| line.strip_prefix(&start))?;
    let (from, field) = line.split_once("\").")?;
    functions(from).into_iter().find(|f| f.name == field.trim_end_matches(','))
}

/// The names of the functions that a module passes on.
pub fn names_passed_on(module: &str) -> Vec<&'static str> {
    let names = source(module).unwrap_or_default().lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("  ")?.split_once(" = ")?;
        rest.starts_with("require(\"").then_some(name)
    });
    names.filter(|name| passed_on(module, name).is_some()).collect()
}

/// `table.name(a, b)` as name and arguments. What is no field of a table, or one of a local table inside a function, is the
/// module's own affair.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (path, rest) = text.split_once('(')?;
    let (table, name) = path.split_once('.')?;
    if !table.chars().chain(name.chars()).all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let (arguments, _) = rest.split_once(')')?;
    Some((name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_with_their_comments() {
        let found = functions("lota.report");
        let curves = found.iter().find(|f| f.name == "curves").expect("it is there");
        assert_eq!(curves.arguments, "path, series, given");
        assert!(curves.doc.starts_with("Loss curves as an SVG file."), "{}", curves.doc);
        assert!(found.iter().all(|f| !f.doc.is_empty() && !f.doc.contains("Reports: means")));
        assert!(functions("lota.adapt.lota").is_empty() && functions("lota.no_such").is_empty());
    }

    #[test]
    fn functions_of_rhai_are_those_that_a_script_may_call() {
        let found = functions_rhai("lota/report");
        let spread: Vec<&str> =
            found.iter().filter(|f| f.name == "spread").map(|f| f.arguments.as_str()).collect();
        assert_eq!(spread, ["values, style", "values"]);
        assert!(found.iter().all(|f| !f.name.starts_with("report_")));
        let column = found.iter().find(|f| f.name == "column").expect("it is there");
        assert!(column.doc.starts_with("One field of those records"), "{}", column.doc);
    }

    #[test]
    fn functions_that_a_module_passes_on_are_those_of_the_other() {
        let table = passed_on("lota.cl", "table").expect("that of cl.report");
        assert_eq!(Some(&table), functions("lota.cl.report").iter().find(|f| f.name == "table"));
        assert_eq!(names_passed_on("lota.cl"), ["heatmap", "table"]);
        assert_eq!(passed_on("lota.cl", "metrics"), None, "it is a module");
        assert_eq!(Some(table), function("lota.cl", "table"));
        let full = function("lota.cl.methods", "full").expect("a method");
        assert_eq!(full.arguments, "model, task, settings");
    }
}
