//! What Tab offers: a function of the text before the cursor, the session's names and the registry.

mod infer;
mod place;
mod quoted;

use std::collections::BTreeSet;

use lota::Name;
use lota::api::{self, Registry};
use lota::stdlib;

use self::place::Place;
use super::command;
use super::syntax::{Kind, Syntax, Token, tokens};

pub use infer::{Thing, thing};

/// What completion may look at.
pub trait World {
    /// The language.
    fn syntax(&self) -> &'static Syntax;
    /// The primitives.
    fn registry(&self) -> &Registry;
    /// The names of variables; with a path, those inside the table it leads to.
    fn names(&self, path: &[&str]) -> Vec<Name>;
    /// The modules that are built in.
    fn modules(&self) -> Vec<String>;
    /// What a folder holds, and whether it is a folder itself; `""` is the present one.
    fn files(&self, folder: &str) -> Vec<(String, bool)>;
}

/// Where what is offered begins, and the texts that could stand from there to the cursor.
pub type Offer = (usize, Vec<String>);

/// What could stand at the end of `before`.
pub fn complete(world: &dyn World, before: &str) -> Offer {
    let trimmed = before.trim_start();
    let skipped = before.len() - trimmed.len();
    if let Some(name) = trimmed.strip_prefix('?') {
        return (before.len() - name.len(), pages(world, name));
    }
    if let Some(rest) = command::after_colon(trimmed) {
        let (start, found) = of_command(world, rest);
        return (skipped + 1 + start, found);
    }
    code(world, before)
}

fn of_command(world: &dyn World, rest: &str) -> Offer {
    let Some((name, argument)) = rest.split_once(char::is_whitespace) else {
        let names = command::COMMANDS.iter().map(|c| c.name);
        return (0, starting(names, rest));
    };
    let trimmed = argument.trim_start();
    let at = rest.len() - trimmed.len();
    let (start, found) = match command::find(name).map(|c| c.argument) {
        Some(command::Argument::Code) => code(world, trimmed),
        Some(command::Argument::Page) => (0, pages(world, trimmed)),
        Some(command::Argument::File) => quoted::files(world, trimmed),
        Some(command::Argument::Setting) => (0, starting(super::settings::NAMES, trimmed)),
        Some(command::Argument::None) | None => (trimmed.len(), Vec::new()),
    };
    (at + start, found)
}

/// Names that have a page.
fn pages(world: &dyn World, prefix: &str) -> Vec<String> {
    let registry = world.registry();
    let prefix = prefix.strip_prefix("lota.").unwrap_or(prefix);
    let names = registry.iter().map(|p| p.name());
    let mut found: BTreeSet<String> = starting(names, prefix).into_iter().collect();
    found.extend(starting(registry.areas().map(|(name, _)| name), prefix));
    found.extend(starting(registry.types().map(|(name, _)| name), prefix));
    found.extend(starting(api::doc::module_names(), prefix));
    found.into_iter().collect()
}

fn code(world: &dyn World, before: &str) -> Offer {
    let syntax = world.syntax();
    let all = tokens(syntax, before);
    match all.last() {
        Some(t) if matches!(t.kind, Kind::Text(false)) => return quoted::complete(world, before, &all),
        // A line of comment ends with the line.
        Some(t) if t.is_comment() && t.end == before.len() => return (before.len(), Vec::new()),
        _ => {}
    }
    let mut code: Vec<Token> = all.into_iter().filter(|t| !t.is_comment()).collect();
    let word = code.pop_if(|t| t.is_word() && t.end == before.len());
    let (start, prefix) = match &word {
        Some(t) => (t.start, t.text(before)),
        None => (before.len(), ""),
    };
    let found = match place::of(syntax, before, &code) {
        Place::Member { owner, method } => members(world, before, &code[..owner], method, prefix),
        Place::Option { callee, given } => {
            let mut found = options(world, before, &code[..callee], &given, prefix);
            // Lua's braces hold values too.
            if found.is_empty() && !prefix.is_empty() {
                found = words(world, prefix);
            }
            found
        }
        Place::Word if prefix.is_empty() => Vec::new(),
        Place::Word => words(world, prefix),
    };
    (start, found)
}

fn words(world: &dyn World, prefix: &str) -> Vec<String> {
    let syntax = world.syntax();
    let mut found: BTreeSet<String> = BTreeSet::new();
    found.extend(starting(world.names(&[]).iter().map(|n| n.name.as_str()), prefix));
    found.extend(starting(syntax.keywords.iter().chain(syntax.constants).copied(), prefix));
    found.into_iter().collect()
}

fn members(world: &dyn World, before: &str, owner: &[Token], method: bool, prefix: &str) -> Vec<String> {
    let registry = world.registry();
    let both = world.syntax().method == world.syntax().field;
    let mut found: BTreeSet<String> = BTreeSet::new();
    match thing(world, before, owner) {
        Some(Thing::Table(path)) if !method || both => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            found.extend(starting(world.names(&path).iter().map(|n| n.name.as_str()), prefix));
        }
        Some(Thing::Value(ty)) if method && registry.methods(&ty).next().is_some() => {
            found.extend(starting(registry.methods(&ty).map(|p| p.short_name()), prefix));
        }
        Some(Thing::Value(ty)) if ty == "string" && method => {
            if let Some(table) = world.syntax().strings {
                found.extend(starting(world.names(&[table]).iter().map(|n| n.name.as_str()), prefix));
            }
        }
        // What it is, is not known: any method could be meant.
        None if method && !prefix.is_empty() => {
            found.extend(starting(
                registry.iter().filter(|p| p.owner().is_some()).map(|p| p.short_name()),
                prefix,
            ));
        }
        _ => {}
    }
    found.into_iter().collect()
}

/// The options of what is called, but for those that are given.
fn options(world: &dyn World, before: &str, callee: &[Token], given: &[&str], prefix: &str) -> Vec<String> {
    let primitive = match thing(world, before, callee) {
        Some(Thing::Primitive(name)) => world.registry().get(&name),
        _ => None,
    };
    let options: Vec<String> = match (primitive, callee) {
        (Some(p), _) => {
            let options = p.params().iter().filter(|q| q.place == api::Place::Option);
            options.map(|q| q.name.to_string()).collect()
        }
        // A module of the standard library goes by its own name, as a rule.
        (None, [.., area, _, function]) => {
            let declared = stdlib::options(area.text(before), function.text(before));
            declared.into_iter().map(|o| o.name).collect()
        }
        (None, _) => Vec::new(),
    };
    let set = world.syntax().set;
    let left = options.iter().map(String::as_str).filter(|name| !given.contains(name));
    starting(left, prefix).into_iter().map(|name| name + set).collect()
}

/// What could follow at the end of `before` besides names: the arguments of a primitive whose bracket
/// was just opened.
pub fn signature(world: &dyn World, before: &str) -> Option<String> {
    let found = tokens(world.syntax(), before);
    let (open, callee) = found.split_last()?;
    if open.text(before) != "(" || open.end != before.len() {
        return None;
    }
    let Thing::Primitive(name) = thing(world, before, callee)? else { return None };
    let signature = world.registry().get(&name)?.signature_in(world.syntax().language);
    signature.split_once('(').map(|(_, arguments)| arguments.to_string())
}

fn starting<'a>(names: impl IntoIterator<Item = &'a str>, prefix: &str) -> Vec<String> {
    // What begins with an underscore is offered only where one was typed.
    let shown = |n: &&str| n.starts_with(prefix) && (!n.starts_with('_') || prefix.starts_with('_'));
    let mut found: Vec<String> = names.into_iter().filter(shown).map(str::to_string).collect();
    found.sort();
    found.dedup();
    found
}
