//! What keeps a script stoppable: a hook that raises a cancellation, and `pcall`, `xpcall` and
//! `coroutine.resume` that do not swallow it.

use std::sync::Arc;

use mlua::{Function, HookTriggers, Lua, Table, VmState};

use super::{State, error};
use crate::error::Error;
use crate::limits::Limits;

/// Instructions between two looks at the switch: some tens of microseconds.
const EVERY: u32 = 10_000;
/// The same where a script has limits: one instruction of its may take a millisecond, on strings of megabytes.
const EVERY_LIMITED: u32 = 500;
/// Entries that a function of `table` may touch in one call where no table that holds them bounds it.
const MOST: i64 = 10_000_000;

/// An error passes a guard of the script untouched if it ends the script.
fn ends(state: &State, value: &mlua::Value) -> Option<mlua::Error> {
    let meter = &state.ctx.meter;
    match value {
        mlua::Value::Error(e) => {
            if error::inner::<Error>(e).is_some_and(|own| !own.is_failure()) {
                return Some((**e).clone());
            }
            if matches!(error::root(e), mlua::Error::MemoryError(_)) {
                return Some(error::to_lua(meter.out_of_memory()));
            }
        }
        mlua::Value::String(s) if s.as_bytes() == error::NO_MEMORY.as_bytes() => {
            return Some(error::to_lua(meter.out_of_memory()));
        }
        _ => {}
    }
    meter.check().err().map(error::to_lua)
}

/// What a script sees of an error it caught: the value it threw, or the text with its line.
fn caught(lua: &Lua, value: mlua::Value) -> mlua::Result<mlua::Value> {
    match value {
        mlua::Value::Error(e) => match error::inner::<error::Thrown>(&e) {
            Some(thrown) => Ok(thrown.value.clone()),
            None => Ok(mlua::Value::String(lua.create_string(error::from_lua(&e).to_string())?)),
        },
        mlua::Value::String(s) => match error::without_own_place(&s.to_string_lossy()) {
            Some(message) => Ok(mlua::Value::String(lua.create_string(message)?)),
            None => Ok(mlua::Value::String(s)),
        },
        other => Ok(other),
    }
}

pub(crate) fn install(lua: &Lua, state: &Arc<State>, open: bool) -> mlua::Result<()> {
    set_hook(lua, state)?;
    let shared = state.clone();
    let poll = lua.create_function(move |_, ()| shared.ctx.meter.spend(20).map_err(error::to_lua))?;
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
        local coroutine, tidy, ends, plain, poll = ...
        local pcall, xpcall, resume, close, wrap = pcall, xpcall, coroutine.resume, coroutine.close, coroutine.wrap
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
        -- Each coroutine counts its instructions for itself, so many short ones would never be looked at.
        function coroutine.resume(co, ...)
            poll()
            return check(resume(co, ...))
        end
        function coroutine.wrap(f)
            local go = wrap(f)
            return function(...)
                poll()
                return go(...)
            end
        end
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
        loaded.call((coroutine, tidy.clone(), ends_script, plain, &poll))?;
    globals.set("pcall", pcall)?;
    globals.set("xpcall", xpcall)?;
    globals.set("setmetatable", setmetatable)?;
    // They would read files and bytecode past the grants.
    globals.set("dofile", mlua::Value::Nil)?;
    globals.set("loadfile", mlua::Value::Nil)?;
    text_only_load(lua, &tidy)?;
    bounded_tables(lua)?;
    collector(lua, state)?;
    if !open {
        closed(lua, state)?;
    }
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

/// The look at the switch, at the instructions and at the depth of the calls.
fn set_hook(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let shared = state.clone();
    let limits = state.ctx.meter.limits();
    let every = if *limits == Limits::none() { EVERY } else { EVERY_LIMITED };
    let depth = limits.call_depth;
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), move |lua, _| {
        let meter = &shared.ctx.meter;
        meter.spend(u64::from(every)).map_err(error::to_lua)?;
        if let Some(most) = depth
            && lua.inspect_stack(most as usize, |_| ()).is_some()
        {
            return Err(error::to_lua(meter.too_deep(most)));
        }
        Ok(VmState::Continue)
    })
}

/// Tells the host when a script has asked for a whole collection: what is free now may go back to the system.
fn collector(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let shared = state.clone();
    let freed = lua.create_function(move |_, ()| {
        shared.ctx.memory.freed();
        Ok(())
    })?;
    let source = "local collectgarbage, freed = collectgarbage, ...\n\
        return function(what, ...)\n\
            if what ~= nil and what ~= 'collect' then return collectgarbage(what, ...) end\n\
            local done = collectgarbage()\n\
            freed()\n\
            return done\n\
        end";
    let collect: Function = super::load(lua, source, "=lota/guard")?.call(freed)?;
    lua.globals().set("collectgarbage", collect)
}

/// What only a program of the user's own may have: output past the engine's, and a say in the collector.
fn closed(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    // A collection takes as long as there is to look at, and no hook counts it.
    let shared = state.clone();
    let poll = lua.create_function(move |lua, ()| {
        shared.ctx.meter.spend(lua.used_memory() as u64 / 16).map_err(error::to_lua)
    })?;
    let source = "local collectgarbage, error, poll = collectgarbage, error, ...\n\
        return function(what, ...)\n\
            if what ~= 'count' then poll() end\n\
            if what == nil or what == 'collect' or what == 'count' or what == 'step' then\n\
                return collectgarbage(what, ...)\n\
            end\n\
            error(\"collectgarbage: scripts may only 'collect', 'step' and 'count'\", 2)\n\
        end";
    let collect: Function = super::load(lua, source, "=lota/guard")?.call(poll)?;
    lua.globals().set("collectgarbage", collect)?;
    lua.globals().set("warn", mlua::Value::Nil)
}

/// The functions of `table` run in C, where no hook looks at the switch: a table that claims more entries than
/// it has, or a range over nothing, must not keep them there.
fn bounded_tables(lua: &Lua) -> mlua::Result<()> {
    let lies = lua.create_function(|_, value: mlua::Value| {
        let mlua::Value::Table(table) = value else { return Ok(false) };
        match table.metatable() {
            Some(meta) => Ok(!meta.raw_get::<mlua::Value>("__len")?.is_nil()),
            None => Ok(false),
        }
    })?;
    let source = r"
        local table, lies, most = ...
        -- No tail calls: an error inside would name no place, and is told with the script's because it names this chunk.
        local error, getmetatable, type = error, getmetatable, type
        local function honest(t, name)
            if getmetatable(t) ~= nil and lies(t) then
                error('table.' .. name .. ': not for a table with its own __len', 3)
            end
        end
        local function few(from, to, name)
            if type(from) == 'number' and type(to) == 'number' and to - 0.0 - from > most then
                error('table.' .. name .. ': more than ' .. most .. ' entries at once', 3)
            end
        end
        local insert, remove, sort, concat, move = table.insert, table.remove, table.sort, table.concat, table.move
        function table.insert(t, ...)
            honest(t, 'insert')
            insert(t, ...)
        end
        function table.remove(t, ...)
            honest(t, 'remove')
            return (remove(t, ...))
        end
        function table.sort(t, less)
            honest(t, 'sort')
            sort(t, less)
        end
        function table.concat(t, separator, from, to)
            honest(t, 'concat')
            if to ~= nil then few(from or 1, to, 'concat') end
            return (concat(t, separator, from, to))
        end
        function table.move(t, from, to, ...)
            few(from, to, 'move')
            return (move(t, from, to, ...))
        end
    ";
    let table: Table = lua.globals().get("table")?;
    super::load(lua, source, "=lota/guard")?.call((table, lies, MOST))
}

/// `load` with the mode fixed to text: bytecode can crash the interpreter.
fn text_only_load(lua: &Lua, tidy: &Function) -> mlua::Result<()> {
    let source = "local load, select, tidy = load, select, ...\n\
        local function check(f, why)\n\
            if f == nil then return nil, tidy(why) end\n\
            return f\n\
        end\n\
        return function(chunk, name, mode, ...)\n\
            if select('#', ...) > 0 then return check(load(chunk, name, 't', (...))) end\n\
            return check(load(chunk, name, 't'))\n\
        end";
    let guarded: Function = super::load(lua, source, "=lota/guard")?.call(tidy)?;
    lua.globals().set("load", guarded)
}
