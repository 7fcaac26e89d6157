//! Values across the border.

use std::sync::Arc;

use mlua::{Lua, Table};

use super::call::LuaFn;
use super::object::{self, LuaObject};
use super::order::{self, Order};
use crate::error::{Error, Result};
use crate::limits::Meter;
use crate::{Map, Scripted, Value};

/// Deeper tables are taken for graphs that contain themselves.
const DEPTH: usize = 64;

/// A userdata that the library did not make, such as a file of `io`: it is shown as Lua shows it, no primitive takes it, and
/// it goes back into the script as itself.
struct Foreign {
    data: mlua::AnyUserData,
    text: String,
}

impl Foreign {
    fn new(data: mlua::AnyUserData) -> Self {
        let text = mlua::Value::UserData(data.clone()).to_string().unwrap_or_else(|_| Self::TYPE.into());
        Self { data, text }
    }
}

impl Scripted for Foreign {
    const TYPE: &'static str = "userdata";

    fn show(&self) -> String {
        self.text.clone()
    }
}

/// What a value is converted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// For work: a table must be a list or a map.
    Use,
    /// To be shown: a list may have holes, and what is no value is its text.
    Show,
}

/// What crosses at once. A table can hold another any number of times, and a text too: in Lua they are one, and neutral
/// values are as many as there are ways to them.
pub(crate) struct Border<'a> {
    meter: Option<&'a Meter>,
    left: u64,
    count: u32,
}

/// What a value takes beside its text, about.
const VALUE: u64 = 48;
/// Values that cross between two looks at the switch.
const SOME: u32 = 4096;
/// Bytes of a value that is only told in a message.
const TOLD: u64 = 1 << 20;

impl<'a> Border<'a> {
    /// For values of a script that this meter bounds.
    pub(crate) fn of(meter: &'a Meter) -> Self {
        Self { meter: Some(meter), left: meter.limits().script_memory.unwrap_or(u64::MAX), count: 0 }
    }

    /// For a message.
    pub(crate) fn told() -> Self {
        Self { meter: None, left: TOLD, count: 0 }
    }

    pub(super) fn take(&mut self, text: usize) -> Result<()> {
        self.count += 1;
        let left = self.left.checked_sub(VALUE + text as u64);
        match (left, self.meter) {
            (Some(left), meter) => {
                self.left = left;
                if self.count.is_multiple_of(SOME) { meter.map_or(Ok(()), Meter::check) } else { Ok(()) }
            }
            (None, Some(meter)) => Err(meter.out_of_memory()),
            (None, None) => Err(Error::runtime("a value is too large to be told")),
        }
    }

    /// A Lua value as a neutral one.
    pub(crate) fn bring(&mut self, value: mlua::Value) -> Result<Value> {
        convert(value, 0, For::Use, self)
    }

    /// A Lua value as one that can be shown.
    pub(crate) fn bring_to_show(&mut self, value: mlua::Value) -> Result<Value> {
        convert(value, 0, For::Show, self)
    }
}

fn convert(value: mlua::Value, depth: usize, aim: For, border: &mut Border<'_>) -> Result<Value> {
    border.take(if let mlua::Value::String(s) = &value { s.as_bytes().len() } else { 0 })?;
    Ok(match value {
        mlua::Value::Nil => Value::Nil,
        mlua::Value::Boolean(b) => Value::Bool(b),
        mlua::Value::Integer(i) => Value::Int(i),
        mlua::Value::Number(x) => Value::Float(x),
        mlua::Value::String(s) => match s.to_str() {
            Ok(text) => Value::Str(text.to_string()),
            Err(_) if aim == For::Show => Value::Str(s.to_string_lossy()),
            Err(_) => return Err(Error::argument("a string is not UTF-8 text")),
        },
        mlua::Value::Table(table) => from_table(&table, depth, aim, border)?,
        mlua::Value::Function(function) => Value::Function(Arc::new(LuaFn::new(function))),
        mlua::Value::UserData(data) => match data.borrow::<LuaObject>() {
            Ok(object) => Value::Object(object.object.clone()),
            Err(_) => Value::object(Foreign::new(data)),
        },
        mlua::Value::Error(error) => Value::Str(super::error::from_lua(&error).to_string()),
        other if aim == For::Show => Value::Str(other.type_name().into()),
        other => {
            return Err(Error::argument(format!("a {} cannot be given to a primitive", other.type_name())));
        }
    })
}

/// Holes that are filled in a list that is shown, for each entry that there is.
const HOLES: usize = 4;

fn from_table(table: &Table, depth: usize, aim: For, border: &mut Border<'_>) -> Result<Value> {
    if depth == DEPTH {
        return Err(Error::argument("a table is nested too deeply; does it contain itself?"));
    }
    let order = Order::of(table, border)?;
    let mut items: Vec<Value> = Vec::new();
    let mut late: Vec<(i64, Value)> = Vec::new();
    let mut named: Vec<(String, Value)> = Vec::new();
    for pair in table.pairs::<mlua::Value, mlua::Value>() {
        let (key, value) = pair.map_err(|e| super::error::from_lua(&e))?;
        match key {
            mlua::Value::Integer(i) if i == items.len() as i64 + 1 => {
                items.push(convert(value, depth + 1, aim, border)?);
            }
            mlua::Value::Integer(i) => late.push((i, convert(value, depth + 1, aim, border)?)),
            mlua::Value::String(name) => {
                border.take(name.as_bytes().len())?;
                named.push((name.to_string_lossy(), convert(value, depth + 1, aim, border)?));
            }
            mlua::Value::Boolean(key) if aim == For::Show => {
                named.push((key.to_string(), convert(value, depth + 1, aim, border)?));
            }
            mlua::Value::Number(key) if aim == For::Show => {
                named.push((key.to_string(), convert(value, depth + 1, aim, border)?));
            }
            other if aim == For::Show => {
                named.push((other.type_name().into(), convert(value, depth + 1, aim, border)?));
            }
            other => {
                let kind = other.type_name();
                return Err(Error::argument(format!(
                    "a table has a key of type {kind}; keys are names or 1..n"
                )));
            }
        }
    }
    late.sort_by_key(|(i, _)| *i);
    // No list: `{[0] = 0.1, [1] = 0.2}` and `{[3] = 0.5, ["*"] = 0.1}` have numbers for names.
    let mut no_list = late.first().is_some_and(|(i, _)| *i < 1) || items.is_empty() && !named.is_empty();
    if aim == For::Show && !no_list {
        let (last, count) = (late.last().map_or(0, |(i, _)| *i as usize), items.len() + late.len());
        no_list = last / (HOLES + 1) > count;
    }
    for (i, value) in late {
        if no_list {
            named.push((i.to_string(), value));
            continue;
        }
        if let Some(order) = &order {
            order.fill(&mut items);
        }
        if aim == For::Show {
            items.resize_with(i as usize - 1, Value::default);
        }
        if i != items.len() as i64 + 1 {
            let missing = items.len() + 1;
            return Err(Error::argument(format!("a list has an entry [{i}] but none at [{missing}]")));
        }
        items.push(value);
    }
    let map = order.as_ref().is_some_and(|order| order.map);
    match &order {
        Some(order) => {
            order.fill(&mut items);
            order.sort(&mut named);
        }
        None => named.sort_by(|(a, _), (b, _)| a.cmp(b)),
    }
    match (items.is_empty(), named.is_empty()) {
        (false, true) => Ok(Value::List(items)),
        (true, true) if !map => Ok(Value::List(items)),
        (true, _) => {
            let named = named.into_iter().collect::<Map>();
            Ok(Value::Map(if map { named.written() } else { named }))
        }
        // `{0.1, "help", choices = {...}}`: the positions become names, so that nothing is lost.
        (false, false) => {
            let counted = items.into_iter().enumerate().map(|(i, item)| ((i + 1).to_string(), item));
            Ok(Value::Map(counted.chain(named).collect::<Map>()))
        }
    }
}

/// A neutral value as a Lua one.
pub(crate) fn to_lua(lua: &Lua, value: Value) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Nil => mlua::Value::Nil,
        Value::Bool(b) => mlua::Value::Boolean(b),
        Value::Int(i) => mlua::Value::Integer(i),
        Value::Float(x) => mlua::Value::Number(x),
        Value::Str(s) => mlua::Value::String(lua.create_string(s)?),
        Value::List(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            order::remember_nulls(lua, &table, &items)?;
            for (i, item) in items.into_iter().enumerate() {
                table.raw_set(i + 1, to_lua(lua, item)?)?;
            }
            mlua::Value::Table(table)
        }
        Value::Map(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            if map.is_written() {
                order::remember(lua, &table, &map)?;
            }
            for (name, item) in map {
                table.raw_set(name, to_lua(lua, item)?)?;
            }
            mlua::Value::Table(table)
        }
        Value::Function(function) => {
            let any: &dyn std::any::Any = &*function;
            if let Some(own) = any.downcast_ref::<LuaFn>() {
                mlua::Value::Function(own.function().clone())
            } else {
                mlua::Value::Function(lua.create_function(move |lua, args: mlua::MultiValue| {
                    let meter = super::state(lua)?.ctx.meter.clone();
                    let mut border = Border::of(&meter);
                    let args = args.into_iter().map(|arg| border.bring(arg)).collect::<Result<Vec<_>>>();
                    let result = args.and_then(|args| function.call(&args));
                    to_lua(lua, result.map_err(|e| super::error::raise(lua, e))?)
                })?)
            }
        }
        Value::Object(object) => match object.downcast_ref::<Foreign>() {
            Some(foreign) => mlua::Value::UserData(foreign.data.clone()),
            None => mlua::Value::UserData(object::push(lua, object)?),
        },
    })
}
