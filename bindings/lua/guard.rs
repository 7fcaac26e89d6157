//! What keeps a script stoppable: a hook that raises a cancellation, and `pcall`, `xpcall` and
//! `coroutine.resume` that do not swallow it.

use std::sync::Arc;

use mlua::{Function, HookTriggers, Lua, Table, VmState};

use super::{State, error};
use crate::error::Error;

/// Instructions between two looks at the switch: some tens of microseconds.
const EVERY: u32 = 10_000;

/// An error passes a guard of the script untouched if it ends the script.
fn ends(state: &State, value: &mlua::Value) -> Option<mlua::Error> {
    if let mlua::Value::Error(e) = value
        && error::inner::<Error>(e).is_some_and(|own| !own.is_failure())
    {
        return Some((**e).clone());
    }
    state.ctx.host.cancel.is_cancelled().then(|| error::to_lua(Error::cancelled()))
}

/// What a script sees of an error it caught: the value it threw, or the text with its line.
fn caught(lua: &Lua, value: mlua::Value) -> mlua::Result<mlua::Value> {
    match value {
        mlua::Value::Error(e) => match error::inner::<error::Thrown>(&e) {
            Some(thrown) => Ok(thrown.value.clone()),
            None => Ok(mlua::Value::String(lua.create_string(error::from_lua(&e).to_string())?)),
        },
        other => Ok(other),
    }
}

pub(crate) fn install(lua: &Lua, state: &Arc<State>, open: bool) -> mlua::Result<()> {
    let cancel = state.ctx.host.cancel.clone();
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(EVERY), move |_, _| {
        if cancel.is_cancelled() { Err(error::to_lua(Error::cancelled())) } else { Ok(VmState::Continue) }
    })?;

    let shared = state.clone();
    let tidy = lua.create_function(move |lua, value: mlua::Value| match ends(&shared, &value) {
        Some(end) => Err(end),
        None => caught(lua, value),
    })?;
    let shared = state.clone();
    let ends_script =
        lua.create_function(move |_, value: mlua::Value| Ok(ends(&shared, &value).is_some()))?;
    let plain = lua.create_function(caught)?;

    let globals = lua.globals();
    let coroutine: Table = globals.get("coroutine")?;
    let raw_xpcall: Function = globals.get("xpcall")?;
    lua.set_named_registry_value("lota.xpcall", raw_xpcall)?;
    let source = r"
        local coroutine, tidy, ends, plain = ...
        local pcall, xpcall, resume, close = pcall, xpcall, coroutine.resume, coroutine.close
        local setmetatable, rawget, error, type = setmetatable, rawget, error, type
        local function check(ok, ...)
            if ok then return ok, ... end
            return false, tidy((...))
        end
        -- A handler's result is the script's own value: only an end of the script is looked for.
        local function check_handled(ok, ...)
            if not ok and ends((...)) then tidy((...)) end
            return ok, ...
        end
        local function guarded_pcall(f, ...) return check(pcall(f, ...)) end
        local function guarded_xpcall(f, handler, ...)
            return check_handled(xpcall(f, function(e)
                if ends(e) then return e end
                return handler(plain(e))
            end, ...))
        end
        function coroutine.resume(co, ...) return check(resume(co, ...)) end
        function coroutine.close(co) return check(close(co)) end
        -- The hook does not run inside a finalizer, so an endless one could not be stopped.
        local function guarded_setmetatable(t, mt)
            if type(mt) == 'table' and rawget(mt, '__gc') ~= nil then
                error('__gc is not available in scripts; use __close', 2)
            end
            return setmetatable(t, mt)
        end
        return guarded_pcall, guarded_xpcall, guarded_setmetatable
    ";
    let loaded = super::load(lua, source, "=lota/guard")?;
    let (pcall, xpcall, setmetatable): (Function, Function, Function) =
        loaded.call((coroutine, tidy, ends_script, plain))?;
    globals.set("pcall", pcall)?;
    globals.set("xpcall", xpcall)?;
    globals.set("setmetatable", setmetatable)?;
    // They would read files and bytecode past the grants.
    globals.set("dofile", mlua::Value::Nil)?;
    globals.set("loadfile", mlua::Value::Nil)?;
    text_only_load(lua)?;
    if open {
        let os: Table = globals.get("os")?;
        os.set(
            "exit",
            lua.create_function(|_, code: mlua::Value| -> mlua::Result<()> {
                let code = match code {
                    mlua::Value::Nil | mlua::Value::Boolean(true) => 0,
                    mlua::Value::Integer(code) => i32::try_from(code).unwrap_or(1),
                    _ => 1,
                };
                Err(error::to_lua(Error::exit(code)))
            })?,
        )?;
    }
    Ok(())
}

/// `load` with the mode fixed to text: bytecode can crash the interpreter.
fn text_only_load(lua: &Lua) -> mlua::Result<()> {
    let source = "local load = load\n\
        return function(chunk, name, mode, ...)\n\
            if select('#', ...) > 0 then return load(chunk, name, 't', (...)) end\n\
            return load(chunk, name, 't')\n\
        end";
    let guarded: Function = super::load(lua, source, "=lota/guard")?.call(())?;
    lua.globals().set("load", guarded)
}
