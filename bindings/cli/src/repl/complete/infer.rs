//! What an expression stands for, as far as it can be told without running it: names by the session's
//! variables, calls of primitives by the results of their records.

use lota::api::{Op, Primitive};

use super::World;
use crate::repl::syntax::{Kind, Token};

/// What an expression stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// The table that a path of names leads to.
    Table(Vec<String>),
    /// A primitive, by its name in the registry.
    Primitive(String),
    /// A value of a type.
    Value(String),
}

/// What the expression at the end of `tokens` stands for.
pub fn thing(world: &dyn World, source: &str, tokens: &[Token]) -> Option<Thing> {
    let syntax = world.syntax();
    let last = tokens.last()?;
    let text = last.text(source);
    let before = &tokens[..tokens.len() - 1];
    match last.kind {
        Kind::Text(true) => match callee(source, before) {
            true => result(world, &thing(world, source, before)?),
            false => Some(Thing::Value("string".into())),
        },
        Kind::Name => {
            let Some((separator, owner)) = before.split_last() else { return variable(world, text) };
            let separator = separator.text(source);
            if ![syntax.path, syntax.field, syntax.method].contains(&separator) {
                return variable(world, text);
            }
            member(world, &thing(world, source, owner)?, text)
        }
        Kind::Symbol if matches!(text, ")" | "]" | "}") => {
            let open = opening(source, tokens)?;
            let owner = &tokens[..open];
            match tokens[open].text(source) {
                "(" if callee(source, owner) => result(world, &thing(world, source, owner)?),
                "(" => thing(world, source, &tokens[open + 1..tokens.len() - 1]),
                "[" => element(world, &thing(world, source, owner)?),
                // `f{...}` of Lua.
                _ if callee(source, owner) => result(world, &thing(world, source, owner)?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether tokens end in something that can be called.
fn callee(source: &str, tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|t| match t.kind {
        Kind::Name => true,
        Kind::Symbol => matches!(t.text(source), ")" | "]"),
        _ => false,
    })
}

/// The bracket that the last token closes.
fn opening(source: &str, tokens: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().rev().filter(|(_, t)| t.kind == Kind::Symbol) {
        match token.text(source) {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" | "#{" | "?[" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

fn variable(world: &dyn World, name: &str) -> Option<Thing> {
    named(world, &[], name)
}

fn named(world: &dyn World, path: &[&str], name: &str) -> Option<Thing> {
    let found = world.names(path).into_iter().find(|n| n.name == name)?;
    Some(match found.primitive {
        Some(primitive) => match world.registry().get(&primitive) {
            Some(p) if p.is_constant() => value(p)?,
            _ => Thing::Primitive(primitive),
        },
        None if found.ty == "table" => {
            Thing::Table(path.iter().map(ToString::to_string).chain([name.to_string()]).collect())
        }
        None => Thing::Value(found.ty),
    })
}

fn member(world: &dyn World, owner: &Thing, name: &str) -> Option<Thing> {
    match owner {
        Thing::Table(path) => named(world, &path.iter().map(String::as_str).collect::<Vec<_>>(), name),
        Thing::Value(ty) => {
            let full = format!("{ty}:{name}");
            world.registry().get(&full).map(|_| Thing::Primitive(full))
        }
        Thing::Primitive(_) => None,
    }
}

fn result(world: &dyn World, called: &Thing) -> Option<Thing> {
    match called {
        Thing::Primitive(name) => value(world.registry().get(name)?),
        _ => None,
    }
}

fn value(p: &Primitive) -> Option<Thing> {
    let ty = p.result().0.split('|').next().unwrap_or_default();
    (ty != "nil").then(|| Thing::Value(ty.to_string()))
}

/// `x[i]`.
fn element(world: &dyn World, owner: &Thing) -> Option<Thing> {
    let Thing::Value(ty) = owner else { return None };
    if let Some(item) = ty.strip_prefix("list of ") {
        return Some(Thing::Value(item.to_string()));
    }
    let index = world.registry().methods(ty).find(|p| p.operator_tag() == Some(Op::Index))?;
    value(index)
}
