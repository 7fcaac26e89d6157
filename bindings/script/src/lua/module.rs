//! `require`: the table of primitives, the built-in modules, and files beside the script.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use mlua::{Lua, Table};

use super::{State, call, error, state};
use crate::error::{Error, Result};
use crate::language::Language;
use crate::{modules, nearest};

/// Instructions that a look for a module counts as.
const LOOK: u64 = 5000;

pub(crate) fn install(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let state = state.clone();
    let require = lua.create_function(move |lua, name: mlua::Value| {
        let mlua::Value::String(name) = name else {
            let text = format!("require: needs the name of a module, got {}", name.type_name());
            return Err(error::raise(lua, Error::argument(text)));
        };
        require(lua, &state, &name.to_string_lossy())
    })?;
    lua.globals().set("require", require)
}

fn require(lua: &Lua, state: &Arc<State>, name: &str) -> mlua::Result<mlua::Value> {
    let held = state.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    match held {
        Some(mlua::Value::Nil) => {
            let text = format!("require: module '{name}' requires itself, directly or through others");
            return Err(error::raise(lua, Error::runtime(text)));
        }
        Some(value) => return Ok(value),
        None => {}
    }
    let keep = |value: mlua::Value| {
        state.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), value);
    };
    if name == "lota" {
        let table = mlua::Value::Table(primitives(lua, state)?);
        keep(table.clone());
        return Ok(table);
    }
    // Looking for a file takes longer than an instruction.
    state.ctx.meter.spend(LOOK).map_err(error::to_lua)?;
    let (source, chunk_name) = find(state, name).map_err(|e| error::raise(lua, e))?;
    let chunk = super::load(lua, &source, &chunk_name)?;
    keep(mlua::Value::Nil);
    match chunk.call::<mlua::Value>(name) {
        Ok(value) => {
            let value = if value.is_nil() { mlua::Value::Boolean(true) } else { value };
            keep(value.clone());
            Ok(value)
        }
        Err(e) => {
            state.loaded.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            Err(e)
        }
    }
}

/// The source of a module and the name of its chunk.
fn find(state: &State, name: &str) -> Result<(String, String)> {
    if let Some(source) = modules::source(state.modules.lua, name) {
        return Ok((source.to_string(), format!("={}.lua", name.replace('.', "/"))));
    }
    let sound = name
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-'));
    if !sound {
        let text = format!("require: '{name}' is not the name of a module; write folder.file without .lua");
        return Err(Error::argument(text));
    }
    let folder = state.folder.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut looked = Vec::new();
    if !name.starts_with("lota.") {
        let folder = folder.unwrap_or_else(|| PathBuf::from("."));
        let stem = folder.join(name.replace('.', "/"));
        for path in [stem.with_extension("lua"), stem.join("init.lua")] {
            let file = state.ctx.files.grant(&path)?;
            if !file.exists() {
                looked.push(path.display().to_string());
                continue;
            }
            let source = file.read_to_string().map_err(|e| Error::runtime(format!("require: {e}")))?;
            return Ok((source, format!("@{}", path.display())));
        }
    }
    let known = state.modules.lua.iter().map(|(name, _)| *name).chain(["lota"]);
    let hint = match (nearest(name, known), looked.is_empty()) {
        (Some(near), _) => format!("; did you mean '{near}'?"),
        (None, true) => {
            let known: Vec<&str> = state.modules.lua.iter().map(|(name, _)| *name).collect();
            format!("; built in are {}", known.join(", "))
        }
        (None, false) => format!("; looked for {}", looked.join(" and ")),
    };
    Err(Error::argument(format!("require: no module '{name}'{hint}")))
}

/// The table `require "lota"` returns: functions, and a table for each area.
fn primitives(lua: &Lua, state: &Arc<State>) -> mlua::Result<Table> {
    let top = lua.create_table()?;
    strict(lua, &top, "lota")?;
    for primitive in state.registry.iter() {
        let Some(area) = primitive.area() else { continue };
        let mut table = top.clone();
        let mut path = String::from("lota");
        for part in area.split('.').filter(|p| !p.is_empty()) {
            path = format!("{path}.{part}");
            let next: mlua::Value = table.raw_get(part)?;
            table = match next {
                mlua::Value::Table(next) => next,
                _ => {
                    let next = lua.create_table()?;
                    strict(lua, &next, &path)?;
                    table.raw_set(part, &next)?;
                    next
                }
            };
        }
        let value = if primitive.is_constant() {
            call::call(lua, state, primitive, mlua::MultiValue::new())?
        } else {
            mlua::Value::Function(call::function(lua, primitive)?)
        };
        table.raw_set(primitive.short_name(), value)?;
    }
    Ok(top)
}

/// Reading a name a table does not have is an error that names the nearest one.
fn strict(lua: &Lua, table: &Table, path: &str) -> mlua::Result<()> {
    let path = path.to_string();
    let meta = lua.create_table()?;
    meta.set(
        "__index",
        lua.create_function(move |lua, (table, key): (Table, mlua::Value)| {
            let key = key.to_string()?;
            let mut known = Vec::new();
            for pair in table.pairs::<String, mlua::Value>() {
                known.push(pair?.0);
            }
            known.sort();
            // Names from elsewhere are of the top table alone.
            let top = path == "lota";
            if let Some(instead) = state(lua)?.registry.instead("", &key, Language::Lua).filter(|_| top) {
                return Err(error::raise(lua, Error::argument(format!("{path} has no '{key}'; {instead}"))));
            }
            let hint = match nearest(&key, known.iter().map(String::as_str)) {
                Some(near) => format!("; did you mean '{near}'?"),
                None => format!("; known are {}", known.join(", ")),
            };
            Err::<mlua::Value, _>(error::raise(lua, Error::argument(format!("{path} has no '{key}'{hint}"))))
        })?,
    )?;
    table.set_metatable(Some(meta))
}
