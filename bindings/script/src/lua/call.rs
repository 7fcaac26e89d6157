//! Calls: Lua into a primitive, and Rust into a Lua function.

use std::cell::Cell;
use std::ptr::null;
use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Table};

use super::convert::Border;
use super::{State, convert, error, object, state};
use crate::error::{Error, Result};
use crate::{Primitive, ScriptFn, Value};

/// The Lua function of a primitive.
pub(crate) fn function(lua: &Lua, primitive: &Arc<Primitive>) -> mlua::Result<Function> {
    let name = primitive.name().to_string();
    let primitive = primitive.clone();
    let state = state(lua)?;
    let function = lua.create_function(move |lua, args: MultiValue| call(lua, &state, &primitive, args))?;
    names(lua)?.raw_set(&function, name)?;
    Ok(function)
}

/// The names of the functions that are primitives. The keys are weak: the table keeps none of them.
fn names(lua: &Lua) -> mlua::Result<Table> {
    const KEY: &str = "lota.primitives";
    if let Some(table) = lua.named_registry_value::<Option<Table>>(KEY)? {
        return Ok(table);
    }
    let table = lua.create_table()?;
    let weak = lua.create_table()?;
    weak.raw_set("__mode", "k")?;
    table.set_metatable(Some(weak))?;
    lua.set_named_registry_value(KEY, &table)?;
    Ok(table)
}

/// The name of the primitive that a function is.
pub(crate) fn primitive_name(lua: &Lua, function: &Function) -> Option<String> {
    names(lua).ok()?.raw_get(function).ok()?
}

/// Calls a primitive with Lua values.
pub(crate) fn call(
    lua: &Lua,
    state: &State,
    primitive: &Primitive,
    args: MultiValue,
) -> mlua::Result<mlua::Value> {
    if primitive.plan().large && state.ctx.memory.is_due_before_more() {
        object::collect(lua, &state.ctx.memory)?;
    }
    match at_work(state, || invoke(state, primitive, args)) {
        Ok(value) => convert::to_lua(lua, value),
        Err(e) => Err(error::raise(lua, e)),
    }
}

thread_local! {
    /// The interpreter of which a primitive works on this thread: only there may its collector be run.
    static AT_WORK: Cell<*const State> = const { Cell::new(null()) };
}

/// Works as a primitive of this interpreter.
fn at_work<R>(state: &State, work: impl FnOnce() -> R) -> R {
    struct Before(*const State);
    impl Drop for Before {
        fn drop(&mut self) {
            AT_WORK.set(self.0);
        }
    }
    let _before = Before(AT_WORK.replace(state));
    work()
}

/// Whether a primitive of this interpreter works on this thread.
pub(crate) fn is_at_work(state: *const State) -> bool {
    AT_WORK.get() == state
}

fn invoke(state: &State, primitive: &Primitive, args: MultiValue) -> Result<Value> {
    // A plain loop: this is what an empty call costs.
    let mut values = Vec::with_capacity(args.len());
    let shows = primitive.plan().shows;
    let mut border = Border::of(&state.ctx.meter);
    for value in args {
        let value = if shows { border.bring_to_show(value) } else { border.bring(value) };
        values.push(value.map_err(|e| e.in_primitive(primitive.name()))?);
    }
    primitive.invoke(&state.ctx, values)
}

/// A function of the script, held by Rust.
pub(crate) struct LuaFn(Function);

impl LuaFn {
    pub(crate) fn new(function: Function) -> Self {
        Self(function)
    }

    pub(crate) fn function(&self) -> &Function {
        &self.0
    }
}

impl ScriptFn for LuaFn {
    fn call(&self, arguments: &[Value]) -> Result<Value> {
        let Some(lua) = self.0.weak_lua().try_upgrade() else {
            return Err(Error::new(crate::ErrorKind::Host, "the script of this function has ended"));
        };
        let call = || -> mlua::Result<MultiValue> {
            let state = state(&lua)?;
            let args = arguments.iter().map(|v| convert::to_lua(&lua, v.clone()));
            let args = args.collect::<mlua::Result<MultiValue>>()?;
            call_guarded(&lua, &state, &self.0, args)
        };
        let results = call().map_err(|e| match state(&lua) {
            Ok(state) => error::of_script(&state, &e),
            Err(_) => error::from_lua(&e),
        })?;
        let meter = state(&lua).map_err(|e| error::from_lua(&e))?.ctx.meter.clone();
        results.into_iter().next().map_or(Ok(Value::Nil), |value| Border::of(&meter).bring(value))
    }

    fn primitive(&self) -> Option<String> {
        primitive_name(&self.0.weak_lua().try_upgrade()?, &self.0)
    }
}

/// Calls a Lua function so that what it throws, a table too, arrives whole and with a traceback.
pub(crate) fn call_guarded(
    lua: &Lua,
    state: &State,
    function: &Function,
    mut args: MultiValue,
) -> mlua::Result<MultiValue> {
    let trampoline = {
        let mut slot = state.trampoline.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*slot {
            Some(trampoline) => trampoline.clone(),
            None => slot.insert(make_trampoline(lua)?).clone(),
        }
    };
    args.push_front(mlua::Value::Function(function.clone()));
    trampoline.call(args)
}

fn make_trampoline(lua: &Lua) -> mlua::Result<Function> {
    let keep = lua.create_function(|lua, value: mlua::Value| {
        let traceback = || lua.traceback(None, 1).map(|t| t.to_string_lossy()).unwrap_or_default();
        let kept = match value {
            mlua::Value::Error(e) => return Ok(mlua::Value::Error(e)),
            mlua::Value::String(s) => {
                let text = s.to_string_lossy();
                let text = match error::without_own_place(&text) {
                    Some(message) => Error::runtime(message).at(error::place(lua)),
                    None => error::parse(&text, crate::ErrorKind::Runtime),
                };
                mlua::Error::external(text.with_traceback(traceback()))
            }
            value => mlua::Error::external(error::Thrown { value, traceback: traceback() }),
        };
        Ok(mlua::Value::Error(Box::new(kept)))
    })?;
    let throw = lua.create_function(|_, value: mlua::Value| -> mlua::Result<()> {
        Err(match value {
            mlua::Value::Error(e) => *e,
            other => mlua::Error::runtime(other.to_string()?),
        })
    })?;
    let raw_xpcall: Function = lua.named_registry_value("lota.xpcall")?;
    let source = "local xpcall, keep, throw = ...\n\
        local function check(ok, ...)\n\
            if ok then return ... end\n\
            return throw((...))\n\
        end\n\
        return function(f, ...) return check(xpcall(f, keep, ...)) end";
    super::load(lua, source, "=lota/call")?.call((raw_xpcall, keep, throw))
}
