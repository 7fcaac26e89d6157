//! The variables of a session: what they are, what memory they hold, and what completion sees of them.

use indicatif::BinaryBytes;
use lota::Result;
use lota::api::{Registry, Value};
use lota::stdlib;
use lota::{Language, Name};

use super::complete::World;
use super::pretty::line;
use super::session::Session;
use super::syntax::Syntax;

/// Columns of a variable's value.
const LEAST: usize = 20;

impl Session {
    /// A line for each variable.
    pub(super) fn who(&self) -> Result<String> {
        let own = self.engine.names(&[]).into_iter().filter(|n| !self.given.contains(&n.name));
        let own: Vec<Name> = own.filter(|n| !self.syntax.is_result(&n.name)).collect();
        let names = own.iter().map(|n| n.name.chars().count()).max().unwrap_or(0);
        let types = own.iter().map(|n| n.ty.chars().count()).max().unwrap_or(0);
        let room = self.settings.width.saturating_sub(names + types + 4).max(LEAST);
        let mut out = String::new();
        for Name { name, ty, .. } in &own {
            let text = match self.value(name)? {
                Value::Function(_) => String::new(),
                value => line(&value, &self.style(), room),
            };
            out += format!("{name:<names$}  {ty:<types$}  {text}").trim_end();
            out.push('\n');
        }
        if own.is_empty() {
            out += "no variables yet\n";
        }
        Ok(out)
    }

    /// The memory in use, and the variables that hold some, the largest first.
    pub(super) fn mem(&self) -> Result<String> {
        self.engine.eval(self.syntax.collect)?;
        let memory = &self.engine.ctx().memory;
        let (live, peak) = (BinaryBytes(memory.live()), BinaryBytes(memory.peak()));
        let mut out = format!("{live} in use, {peak} at most\n");
        let mut held: Vec<(u64, String)> = Vec::new();
        for name in self.engine.names(&[]).into_iter().filter(|n| !self.given.contains(&n.name)) {
            held.push((bytes(&self.value(&name.name)?), name.name));
        }
        held.retain(|(bytes, _)| *bytes > 0);
        held.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let width = held.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
        for (bytes, name) in held {
            out += &format!("  {name:<width$}  {}\n", BinaryBytes(bytes));
        }
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<Value> {
        Ok(self.engine.eval(name)?.into_iter().next().unwrap_or_default())
    }
}

/// The large memory that a value keeps alive. What is shared is counted each time.
fn bytes(value: &Value) -> u64 {
    match value {
        Value::Object(object) => object.bytes(),
        Value::List(items) => items.iter().map(bytes).sum(),
        Value::Map(map) => map.iter().map(|(_, item)| bytes(item)).sum(),
        _ => 0,
    }
}

impl World for Session {
    fn syntax(&self) -> &'static Syntax {
        self.syntax
    }

    fn registry(&self) -> &Registry {
        self.engine.registry()
    }

    fn names(&self, path: &[&str]) -> Vec<Name> {
        match path {
            ["lota", area @ ..] => of_registry(self.registry(), &area.join(".")),
            [] => {
                let mut names = self.engine.names(&[]);
                if !names.iter().any(|n| n.name == "lota") {
                    names.push(Name { name: "lota".into(), ty: "table".into(), primitive: None });
                }
                names
            }
            path => self.engine.names(path),
        }
    }

    fn modules(&self) -> Vec<String> {
        let modules = match self.syntax.language {
            Language::Lua => stdlib::MODULES.lua,
            Language::Rhai => stdlib::MODULES.rhai,
        };
        let built_in = modules.iter().map(|(name, _)| name.replace('.', self.syntax.module_separator));
        built_in.chain(["lota".to_string()]).collect()
    }

    fn files(&self, folder: &str) -> Vec<(String, bool)> {
        let folder = std::path::Path::new(if folder.is_empty() { "." } else { folder });
        let Ok(allowed) = self.engine.ctx().files.grant(folder) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(allowed.path()) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path().is_dir())))
            .collect()
    }
}

/// The names of an area: its primitives, and the areas inside it.
fn of_registry(registry: &Registry, area: &str) -> Vec<Name> {
    let prefix = if area.is_empty() { String::new() } else { format!("{area}.") };
    let mut names: Vec<Name> = Vec::new();
    for p in registry.iter() {
        let Some(rest) = p.area().and_then(|_| p.name().strip_prefix(&prefix)) else { continue };
        let name = match rest.split_once('.') {
            None => Name { name: rest.into(), ty: "function".into(), primitive: Some(p.name().into()) },
            Some((inner, _)) => Name { name: inner.into(), ty: "table".into(), primitive: None },
        };
        if !names.iter().any(|n| n.name == name.name) {
            names.push(name);
        }
    }
    names
}
