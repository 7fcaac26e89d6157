//! The functions of a module of the standard library, with the comments above them.

use super::source;

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

/// The functions that a module defines as fields of its table, in the order of its page. A module that *is* a function
/// has none.
pub fn functions(module: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in source(module).unwrap_or_default().lines() {
        if let Some(text) = line.strip_prefix("--") {
            comment.push_str(text.trim_start_matches('-').trim());
            comment.push('\n');
            continue;
        }
        if let Some((name, arguments)) = line.strip_prefix("function ").and_then(definition) {
            let doc = comment.trim().to_string();
            found.push(Function { name: name.to_string(), arguments: arguments.to_string(), doc });
        }
        comment.clear();
    }
    found
}

/// `table.name(a, b)` as name and arguments. What is no field of a table is the module's own affair.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (path, rest) = text.split_once('(')?;
    let (_, name) = path.split_once('.')?;
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
}
