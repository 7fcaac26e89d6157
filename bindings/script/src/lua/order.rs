//! The order of the names of a map that somebody wrote, and nulls, which a Lua table forgets: its metatable remembers them.
//!
//! Maps with the same names share one metatable, which is kept as long as one of them lives. It sets nothing that changes how
//! the table behaves; a script that gives the table another metatable, or copies it, gets the order of the alphabet.

use std::collections::{HashMap, HashSet};

use mlua::{Lua, Table};

use super::convert::Border;
use crate::error::Result;
use crate::{Map, Value};

/// Where a metatable has the names, in order.
const NAMES: &str = "lota.names";
/// Where it has the names, or the positions from 1, of what was null.
const NULLS: &str = "lota.nulls";
/// Where the interpreter has the metatables, by names.
const KNOWN: &str = "lota.orders";

/// Makes the place for metatables.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let (known, weak) = (lua.create_table()?, lua.create_table()?);
    weak.raw_set("__mode", "v")?;
    known.set_metatable(Some(weak))?;
    lua.set_named_registry_value(KNOWN, known)
}

/// Lets the table of a map remember its order.
pub(super) fn remember(lua: &Lua, table: &Table, map: &Map) -> mlua::Result<()> {
    let mut shape = String::new();
    for (name, value) in map.iter() {
        shape += if value.is_nil() { "0" } else { "1" };
        shape += &name.len().to_string();
        shape += ":";
        shape += name;
    }
    let known: Table = lua.named_registry_value(KNOWN)?;
    let meta = match known.raw_get::<Option<Table>>(shape.as_str())? {
        Some(meta) => meta,
        None => {
            let names = lua.create_sequence_from(map.iter().map(|(name, _)| name))?;
            let nulls = map.iter().filter(|(_, value)| value.is_nil()).map(|(name, _)| name);
            let meta = lua.create_table()?;
            meta.raw_set(NAMES, names)?;
            meta.raw_set(NULLS, lua.create_sequence_from(nulls)?)?;
            known.raw_set(shape, &meta)?;
            meta
        }
    };
    table.set_metatable(Some(meta))
}

/// Lets the table of a list remember where it had nulls, if anywhere.
pub(super) fn remember_nulls(lua: &Lua, table: &Table, items: &[Value]) -> mlua::Result<()> {
    if !items.iter().any(Value::is_nil) {
        return Ok(());
    }
    let nulls = (1..).zip(items).filter(|(_, item)| item.is_nil()).map(|(i, _): (i64, _)| i);
    let meta = lua.create_table()?;
    meta.raw_set(NULLS, lua.create_sequence_from(nulls)?)?;
    table.set_metatable(Some(meta))
}

/// What a table remembers.
#[derive(Default)]
pub(super) struct Order {
    /// Whether it was a map.
    pub map: bool,
    /// The place of each name.
    places: HashMap<String, usize>,
    /// Names that were null.
    nulls: Vec<String>,
    /// Positions that were null, from 1.
    holes: HashSet<i64>,
}

impl Order {
    /// What this table remembers; `None` for one that a script made. A script can write here too, so `border` bounds it.
    pub fn of(table: &Table, border: &mut Border<'_>) -> Result<Option<Self>> {
        let Some(meta) = table.metatable() else { return Ok(None) };
        let listed = |key: &str| meta.raw_get::<Option<Table>>(key).unwrap_or_default();
        let (names, nulls) = (listed(NAMES), listed(NULLS));
        let mut order = Self { map: names.is_some(), ..Self::default() };
        if names.is_none() && nulls.is_none() {
            return Ok(None);
        }
        let mut texts = |list: Option<Table>, visit: &mut dyn FnMut(mlua::Value)| -> Result<()> {
            for item in list.iter().flat_map(Table::sequence_values::<mlua::Value>) {
                let item = item.map_err(|e| super::error::from_lua(&e))?;
                border.take(if let mlua::Value::String(s) = &item { s.as_bytes().len() } else { 0 })?;
                visit(item);
            }
            Ok(())
        };
        texts(names, &mut |name| {
            if let mlua::Value::String(name) = name {
                order.places.insert(name.to_string_lossy(), order.places.len());
            }
        })?;
        texts(nulls, &mut |null| match null {
            mlua::Value::Integer(i) => drop(order.holes.insert(i)),
            mlua::Value::String(name) => order.nulls.push(name.to_string_lossy()),
            _ => {}
        })?;
        Ok(Some(order))
    }

    /// Appends nulls to a list as long as there were some at its end.
    pub fn fill(&self, items: &mut Vec<Value>) {
        while self.holes.contains(&(items.len() as i64 + 1)) {
            items.push(Value::Nil);
        }
    }

    /// Puts the entries of a map in order, with the nulls that nothing has taken the place of. Names that are new come last, in
    /// the order of the alphabet.
    pub fn sort(&self, named: &mut Vec<(String, Value)>) {
        let there: HashSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let lacking: Vec<String> =
            self.nulls.iter().filter(|n| !there.contains(n.as_str())).cloned().collect();
        named.extend(lacking.into_iter().map(|name| (name, Value::Nil)));
        let place = |name: &String| self.places.get(name).copied().unwrap_or(usize::MAX);
        named.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    }
}
