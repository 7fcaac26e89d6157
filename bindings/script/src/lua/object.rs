//! Objects as Lua userdata: methods, operators and the count of the memory they keep.

use mlua::{AnyUserData, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods};

use super::{State, call, error, state};
use crate::error::Error;
use crate::language::Language;
use crate::{Charge, Memory, Object, Op, nearest};

/// A handle held by a script, with the charge for what it keeps alive.
pub(crate) struct LuaObject {
    pub(crate) object: Object,
    _charge: Charge,
}

/// Makes the userdata of an object, and runs the collector first if much has gathered.
pub(crate) fn push(lua: &Lua, object: Object) -> mlua::Result<AnyUserData> {
    let state = state(lua)?;
    let memory = &state.ctx.memory;
    let charge = memory.charge(object.bytes() + state.ctx.meter.handle());
    let meter = &state.ctx.meter;
    if memory.is_due() || meter.limits().tensor_memory.is_some_and(|most| memory.live() > most) {
        collect(lua, memory)?;
        meter.tensors(memory.live()).map_err(error::to_lua)?;
    }
    lua.create_userdata(LuaObject { object, _charge: charge })
}

/// Runs the collector for the sake of what the script's objects keep.
pub(crate) fn collect(lua: &Lua, memory: &Memory) -> mlua::Result<()> {
    let before = memory.live();
    lua.gc_collect()?;
    memory.collected(before);
    Ok(())
}

fn object_of(value: &mlua::Value) -> Option<Object> {
    match value {
        mlua::Value::UserData(data) => data.borrow::<LuaObject>().ok().map(|o| o.object.clone()),
        _ => None,
    }
}

/// The table of the methods of a type, made at its first use.
fn methods(lua: &Lua, state: &State, ty: &'static str) -> mlua::Result<Table> {
    let held = state.methods.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(ty).cloned();
    if let Some(table) = held {
        return Ok(table);
    }
    let table = lua.create_table()?;
    for primitive in state.registry.methods(ty) {
        table.raw_set(primitive.short_name(), call::function(lua, primitive)?)?;
    }
    state.methods.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(ty, table.clone());
    Ok(table)
}

fn index(lua: &Lua, (this, key): (mlua::Value, mlua::Value)) -> mlua::Result<mlua::Value> {
    let state = state(lua)?;
    let Some(object) = object_of(&this) else { return Ok(mlua::Value::Nil) };
    let ty = object.type_name();
    if let mlua::Value::String(name) = &key {
        let found: mlua::Value = methods(lua, &state, ty)?.raw_get(name)?;
        if !found.is_nil() {
            return Ok(found);
        }
        let name = name.to_string_lossy();
        if let Some(instead) = state.registry.instead(ty, &name, Language::Lua) {
            return Err(error::raise(
                lua,
                Error::argument(format!("{ty} has no method '{name}'; {instead}")),
            ));
        }
        let known: Vec<&str> = state.registry.methods(ty).map(|p| p.short_name()).collect();
        let hint = match nearest(&name, known.iter().copied()) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!("; its methods are {}", known.join(", ")),
        };
        return Err(error::raise(lua, Error::argument(format!("{ty} has no method '{name}'{hint}"))));
    }
    operate(lua, &state, Op::Index, this, Some(key))
}

fn operate(
    lua: &Lua,
    state: &State,
    op: Op,
    left: mlua::Value,
    right: Option<mlua::Value>,
) -> mlua::Result<mlua::Value> {
    let types = [object_of(&left), right.as_ref().and_then(object_of)];
    for object in types.iter().flatten() {
        if let Some(primitive) = state.operators.get(&(object.type_name().to_string(), op)) {
            let mut args = MultiValue::new();
            args.push_back(left);
            args.extend(right);
            return call::call(lua, state, primitive, args);
        }
    }
    let ty = types.iter().flatten().next().map_or("this value", Object::type_name);
    Err(lacking(lua, state, ty, op.symbol()))
}

/// The error for an operator that a type does not have.
fn lacking(lua: &Lua, state: &State, ty: &str, symbol: &str) -> mlua::Error {
    let instead = match symbol {
        "<" | ">" => "lt",
        "<=" | ">=" => "le",
        _ => "",
    };
    let has = |name: &str| state.registry.methods(ty).any(|p| p.short_name() == name);
    let hint = if symbol == "//" && has("div") && has("floor") {
        "; write (a / b):floor()".to_string()
    } else if has(instead) {
        // A comparison in Lua is one true or false, never one for each element.
        format!("; a:{instead}(b) compares element by element")
    } else {
        String::new()
    };
    error::raise(lua, Error::argument(format!("{ty} has no operator '{symbol}'{hint}")))
}

impl UserData for LuaObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Index, index);
        for (meta, op) in [
            (MetaMethod::Add, Op::Add),
            (MetaMethod::Sub, Op::Sub),
            (MetaMethod::Mul, Op::Mul),
            (MetaMethod::Div, Op::Div),
            (MetaMethod::Mod, Op::Mod),
            (MetaMethod::Pow, Op::Pow),
            (MetaMethod::BAnd, Op::And),
            (MetaMethod::BOr, Op::Or),
            (MetaMethod::BXor, Op::Xor),
            (MetaMethod::Lt, Op::Lt),
            (MetaMethod::Le, Op::Le),
        ] {
            methods.add_meta_function(meta, move |lua, (a, b): (mlua::Value, mlua::Value)| {
                operate(lua, &*state(lua)?, op, a, Some(b))
            });
        }
        for (meta, op) in
            [(MetaMethod::Unm, Op::Neg), (MetaMethod::BNot, Op::Not), (MetaMethod::Len, Op::Len)]
        {
            methods
                .add_meta_function(meta, move |lua, a: mlua::Value| operate(lua, &*state(lua)?, op, a, None));
        }
        for (meta, symbol) in [(MetaMethod::IDiv, "//"), (MetaMethod::Shl, "<<"), (MetaMethod::Shr, ">>")] {
            methods.add_meta_function(
                meta,
                move |lua, (a, b): (mlua::Value, mlua::Value)| -> mlua::Result<()> {
                    let object = object_of(&a).or_else(|| object_of(&b));
                    let ty = object.map_or("this value", |o| o.type_name());
                    Err(lacking(lua, &*state(lua)?, ty, symbol))
                },
            );
        }
        methods.add_meta_function(MetaMethod::Eq, |lua, (a, b): (mlua::Value, mlua::Value)| {
            let state = state(lua)?;
            let (Some(x), Some(y)) = (object_of(&a), object_of(&b)) else {
                return Ok(mlua::Value::Boolean(false));
            };
            let known = state.operators.contains_key(&(x.type_name().to_string(), Op::Eq));
            if x.same(&y) || !known || x.type_name() != y.type_name() {
                return Ok(mlua::Value::Boolean(x.same(&y)));
            }
            operate(lua, &state, Op::Eq, a, Some(b))
        });
        methods.add_meta_function(MetaMethod::Call, |lua, mut args: MultiValue| {
            let state = state(lua)?;
            let this = args.pop_front().unwrap_or(mlua::Value::Nil);
            let ty = object_of(&this).map_or("this value", |o| o.type_name());
            match state.operators.get(&(ty.to_string(), Op::Call)) {
                Some(primitive) => {
                    args.push_front(this);
                    call::call(lua, &state, primitive, args)
                }
                None => Err(error::raise(lua, Error::argument(format!("{ty} cannot be called")))),
            }
        });
        methods.add_meta_function(MetaMethod::Concat, |_, (a, b): (mlua::Value, mlua::Value)| {
            Ok(format!("{}{}", a.to_string()?, b.to_string()?))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.object.show()));
        methods.add_meta_function(
            MetaMethod::NewIndex,
            |lua, (this, key, _): (mlua::Value, mlua::Value, mlua::Value)| -> mlua::Result<()> {
                let ty = object_of(&this).map_or("this value", |o| o.type_name());
                let text = format!("a {ty} has no field to set ({})", key.to_string()?);
                Err(error::raise(lua, Error::argument(text)))
            },
        );
    }
}
