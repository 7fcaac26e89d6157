//! What Tab offers inside quotes: files, and modules where a module is asked for.

use super::{Offer, World, starting};
use crate::repl::syntax::Token;

/// Completes the string that `before` ends in.
pub(super) fn complete(world: &dyn World, before: &str, tokens: &[Token]) -> Offer {
    let syntax = world.syntax();
    let Some((string, code)) = tokens.split_last() else { return (before.len(), Vec::new()) };
    let inside = string.start + string.opening;
    let prefix = &before[inside..];
    let mut words = code.iter().rev().filter(|t| !t.is_comment()).map(|t| t.text(before));
    let word = match words.next() {
        Some("(") => words.next(),
        other => other,
    };
    if word.is_some_and(|w| syntax.modules.contains(&w)) {
        return (inside, modules(world, prefix));
    }
    let (start, found) = files(world, prefix);
    (inside + start, found)
}

fn modules(world: &dyn World, prefix: &str) -> Vec<String> {
    let syntax = world.syntax();
    let mut found = starting(world.modules().iter().map(String::as_str), prefix);
    let folder = prefix.rsplit_once(syntax.module_separator).map_or("", |(folder, _)| folder);
    let within =
        if folder.is_empty() { String::new() } else { format!("{folder}{}", syntax.module_separator) };
    for (name, is_folder) in world.files(&folder.replace(syntax.module_separator, "/")) {
        let module = match name.strip_suffix(&format!(".{}", syntax.extension)) {
            Some(stem) if !is_folder => format!("{within}{stem}"),
            None if is_folder && !name.starts_with('.') => {
                format!("{within}{name}{}", syntax.module_separator)
            }
            _ => continue,
        };
        if module.starts_with(prefix) {
            found.push(module);
        }
    }
    found
}

/// Completes the last part of a path.
pub(super) fn files(world: &dyn World, path: &str) -> Offer {
    let (folder, prefix) = match path.rfind('/') {
        Some(at) => (&path[..=at], &path[at + 1..]),
        None => ("", path),
    };
    let mut found: Vec<String> = world
        .files(folder)
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix) && (!name.starts_with('.') || prefix.starts_with('.')))
        .map(|(name, is_folder)| if is_folder { name + "/" } else { name })
        .collect();
    found.sort();
    (path.len() - prefix.len(), found)
}
