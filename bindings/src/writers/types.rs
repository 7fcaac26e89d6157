//! Definitions for the Lua language server (`---@meta`), from the registry.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lota_script::{Op, Param, Place, Primitive, Registry};

/// The definitions file.
pub fn luals(registry: &Registry) -> String {
    let mut out = String::from("---@meta lota\n-- Written by `lota types`.\n\n");
    for (ty, doc) in registry.types() {
        let _ = writeln!(out, "---{doc}\n---@class {ty}");
        for p in registry.methods(ty) {
            operator(&mut out, p);
        }
        // Functions may be operators of what they return, as lota.mask.union is `|`.
        for p in registry.iter().filter(|p| p.owner().is_none() && p.result().0 == ty) {
            if let Some(name) = p.operator_tag().and_then(operator_name) {
                let other = if name == "bnot" { String::new() } else { format!("({ty})") };
                let _ = writeln!(out, "---@operator {name}{other}: {ty}");
            }
        }
        let _ = writeln!(out, "local {ty} = {{}}\n");
        for p in registry.methods(ty) {
            function(&mut out, p, &format!("{ty}:{}", p.short_name()));
        }
    }
    out.push_str("---@class lota\nlocal lota = {}\n\n");
    let mut areas: BTreeMap<&str, &str> = registry.areas().collect();
    for p in registry.iter() {
        if let Some(area) = p.area().filter(|a| !a.is_empty()) {
            areas.entry(area).or_insert("");
        }
    }
    for (area, doc) in areas {
        let _ = writeln!(out, "---{doc}\nlota.{area} = {{}}\n");
    }
    for p in registry.iter().filter(|p| p.owner().is_none()) {
        if p.is_constant() {
            let _ = writeln!(out, "---{}\n---@type {}\nlota.{} = nil\n", p.doc(), ty(p.result().0), p.name());
        } else {
            function(&mut out, p, &format!("lota.{}", p.name()));
        }
    }
    out.push_str("return lota\n");
    out
}

/// What the language server calls an operator, if it knows it.
fn operator_name(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::Add => "add",
        Op::Sub => "sub",
        Op::Mul => "mul",
        Op::Div => "div",
        Op::Mod => "mod",
        Op::Pow => "pow",
        Op::And => "band",
        Op::Or => "bor",
        Op::Xor => "bxor",
        Op::Neg => "unm",
        Op::Not => "bnot",
        Op::Len => "len",
        _ => return None,
    })
}

fn operator(out: &mut String, p: &Primitive) {
    let Some(name) = p.operator_tag().and_then(operator_name) else { return };
    let result = ty(p.result().0);
    let other = p.params().iter().find(|q| q.place == Place::Positional && q.name != "self");
    match other {
        Some(other) => {
            let _ = writeln!(out, "---@operator {name}({}): {result}", ty(&other.ty));
        }
        None => {
            let _ = writeln!(out, "---@operator {name}: {result}");
        }
    }
}

fn function(out: &mut String, p: &Primitive, name: &str) {
    let options: Vec<&Param> = p.params().iter().filter(|q| q.place == Place::Option).collect();
    let has_options = !options.is_empty() || p.open_doc().is_some();
    let class = format!("lota.{}.Options", p.name().replace(':', "."));
    if has_options {
        let _ = writeln!(out, "---@class {class}");
        for q in &options {
            let mark = if q.required { "" } else { "?" };
            let _ = writeln!(out, "---@field {}{mark} {} {}", q.name, ty(&q.ty), q.doc);
        }
        if p.open_doc().is_some() {
            let _ = writeln!(out, "---@field [string] any");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "---{}", p.doc());
    let mut names = Vec::new();
    for q in p.params().iter().filter(|q| q.name != "self" || p.owner().is_none()) {
        match q.place {
            Place::Positional => {
                let mark = if q.required { "" } else { "?" };
                let _ = writeln!(out, "---@param {}{mark} {} {}", q.name, ty(&q.ty), q.doc);
                names.push(q.name.to_string());
            }
            Place::Rest => {
                let _ = writeln!(out, "---@param ... {} {}", ty(&q.ty), q.doc);
            }
            Place::Option => {}
        }
    }
    if has_options {
        let mark = if options.iter().any(|q| q.required) { "" } else { "?" };
        let _ = writeln!(out, "---@param options{mark} {class}");
        names.push("options".into());
    }
    if p.params().iter().any(|q| q.place == Place::Rest) {
        names.push("...".into());
    }
    let (result, doc) = p.result();
    if result != "nil" {
        let _ = writeln!(out, "---@return {} # {doc}", ty(result));
    }
    let _ = writeln!(out, "function {name}({}) end\n", names.join(", "));
}

/// A type of the registry in the language server's words.
fn ty(words: &str) -> String {
    words
        .split('|')
        .map(|word| {
            let word = word.trim();
            match word.strip_prefix("list of ") {
                Some(item) => format!("{}[]", ty(item)),
                None => match word {
                    "index" | "dim" => "integer".into(),
                    "list" | "map" => "table".into(),
                    plain if plain.chars().all(|c| c.is_alphanumeric() || c == '_') => plain.into(),
                    _ => "any".into(),
                },
            }
        })
        .collect::<Vec<_>>()
        .join("|")
}
