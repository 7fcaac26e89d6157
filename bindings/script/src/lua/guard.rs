//! What keeps a script stoppable: a hook that raises a cancellation, and `pcall`, `xpcall` and
//! `coroutine.resume` that do not swallow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use mlua::{Function, HookTriggers, Lua, Table, VmState};

use super::{State, error, source};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;

/// Instructions between two looks at the switch: some tens of microseconds.
const EVERY: u32 = 10_000;
/// The same where a script has limits.
const EVERY_LIMITED: u32 = 512;
/// Entries that a function of `table` may touch in one call where no table that holds them bounds it.
const MOST: i64 = 10_000_000;
/// The same where a script has limits: some tens of milliseconds.
const MOST_LIMITED: i64 = 2_000_000;
/// Metatables that a script with limits may hold at once: each may make a call of a table go to another table, and such a call
/// takes the square of their number. Above the second number calls are looked at more often.
const METATABLES: i64 = 2000;
const FEW_METATABLES: usize = 100;
/// Items of a table that the interpreter sorts without a look.
const SORTED: i64 = 10_000;

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
    let metatables = Arc::<AtomicUsize>::default();
    set_hook(lua, state, &metatables)?;
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
        local coroutine, tidy, ends, plain, poll, counted = ...
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
            if counted and type(mt) == 'table' then counted(mt) end
            return setmetatable(t, mt)
        end
        return guarded_pcall, guarded_xpcall, guarded_setmetatable
    ";
    let loaded = super::load(lua, source, "=lota/guard")?;
    let (pcall, xpcall, setmetatable): (Function, Function, Function) = loaded.call((
        coroutine,
        tidy.clone(),
        ends_script,
        plain,
        &poll,
        counted_metatables(lua, state, metatables)?,
    ))?;
    globals.set("pcall", pcall)?;
    globals.set("xpcall", xpcall)?;
    globals.set("setmetatable", setmetatable)?;
    // They would read files and bytecode past the grants.
    globals.set("dofile", mlua::Value::Nil)?;
    globals.set("loadfile", mlua::Value::Nil)?;
    text_only_load(lua, state, &tidy)?;
    bounded_tables(lua, state)?;
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
fn set_hook(lua: &Lua, state: &Arc<State>, metatables: &Arc<AtomicUsize>) -> mlua::Result<()> {
    if *state.ctx.meter.limits() == Limits::none() {
        let shared = state.clone();
        return lua.set_global_hook(HookTriggers::new().every_nth_instruction(EVERY), move |_, _| {
            shared.ctx.meter.check().map(|()| VmState::Continue).map_err(error::to_lua)
        });
    }
    let look = Look {
        state: state.clone(),
        metatables: metatables.clone(),
        every: AtomicU32::new(EVERY_LIMITED),
        since: AtomicU32::new(0),
    };
    hook_every(lua, &Arc::new(look), EVERY_LIMITED)
}

/// What the hook of a script with limits knows.
struct Look {
    state: Arc<State>,
    metatables: Arc<AtomicUsize>,
    /// Instructions between two calls of the hook.
    every: AtomicU32,
    /// Instructions since the last whole look.
    since: AtomicU32,
}

fn hook_every(lua: &Lua, look: &Arc<Look>, every: u32) -> mlua::Result<()> {
    look.every.store(every, Relaxed);
    let look = look.clone();
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), move |lua, _| {
        let every = look.every.load(Relaxed);
        let since = look.since.fetch_add(every, Relaxed) + every;
        let meter = &look.state.ctx.meter;
        // A look between is one at the switch alone.
        if since < EVERY_LIMITED && !look.state.ctx.host.cancel.is_cancelled() {
            return Ok(VmState::Continue);
        }
        look.since.store(0, Relaxed);
        meter.spend(u64::from(since)).and_then(|()| meter.deep()).map_err(error::to_lua)?;
        if let Some(most) = meter.limits().call_depth
            && lua.inspect_stack(most as usize, |_| ()).is_some()
        {
            return Err(error::to_lua(meter.too_deep(most)));
        }
        let wanted = instructions(lua.used_memory(), look.metatables.load(Relaxed));
        // A coroutine has the distance of the time when it was made.
        if wanted != every || wanted != EVERY_LIMITED {
            hook_every(lua, &look, wanted)?;
        }
        Ok(VmState::Continue)
    })
}

/// Instructions between two looks at the switch, so that they take some tens of milliseconds at most. One on a text takes
/// about as long as the text, which can be as long as the memory in use; one call of what has metatables as many steps
/// as the square of their number.
fn instructions(memory: usize, metatables: usize) -> u32 {
    let by_memory = match memory >> 20 {
        0 => EVERY_LIMITED,
        1..4 => EVERY_LIMITED / 4,
        4..16 => EVERY_LIMITED / 16,
        _ => EVERY_LIMITED / 64,
    };
    if metatables > FEW_METATABLES { by_memory.min(EVERY_LIMITED / 32) } else { by_memory }
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
fn bounded_tables(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let lies = lua.create_function(|_, value: mlua::Value| {
        let mlua::Value::Table(table) = value else { return Ok(false) };
        match table.metatable() {
            Some(meta) => Ok(!meta.raw_get::<mlua::Value>("__len")?.is_nil()),
            None => Ok(false),
        }
    })?;
    let source = r"
        local table, lies, most, sorted, poll = ...
        -- No tail calls: an error inside would name no place, and is told with the script's because it names this chunk.
        local error, getmetatable, type, rawlen, select = error, getmetatable, type, rawlen, select
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
        local unpack = table.unpack
        -- What has no instructions of its own is called from here, where the hook counts.
        local function less(a, b) return a < b end
        local function called(f) return function(a, b) return (f(a, b)) end end
        local function many(t, from, to)
            return poll ~= nil and type(t) == 'table' and getmetatable(t) ~= nil and type(from) == 'number'
                and type(to) == 'number' and to - 0.0 - from > 100
        end
        -- A table of few entries, far apart, can be long as well.
        function table.insert(t, ...)
            honest(t, 'insert')
            if select('#', ...) > 1 and type(t) == 'table' then few((...), #t, 'insert') end
            insert(t, ...)
        end
        function table.remove(t, ...)
            honest(t, 'remove')
            if select('#', ...) > 0 and type(t) == 'table' then few((...), #t, 'remove') end
            return (remove(t, ...))
        end
        function table.sort(t, by)
            honest(t, 'sort')
            if poll ~= nil and type(t) == 'table' then
                if by == nil and (rawlen(t) > sorted or getmetatable(t[1]) ~= nil and type(t[1]) ~= 'string') then
                    by = less
                elseif type(by) == 'function' then
                    by = called(by)
                end
            end
            sort(t, by)
        end
        function table.concat(t, separator, from, to)
            honest(t, 'concat')
            local last = to
            if last == nil and type(t) == 'table' then last = #t end
            few(from or 1, last, 'concat')
            if many(t, from or 1, last) then
                local own = {}
                for i = from or 1, last do own[i] = t[i] end
                t, to = own, last
            end
            if poll then poll() end
            return (concat(t, separator, from, to))
        end
        function table.move(t, from, to, at, other)
            few(from, to, 'move')
            if type(at) == 'number' and (many(t, from, to) or many(other, from, to)) then
                -- As the interpreter's: from behind where the two overlap so.
                local into = other or t
                if not (at > to or at <= from or other ~= nil and other ~= t) then
                    for i = to - from, 0, -1 do into[at + i] = t[from + i] end
                else
                    for i = 0, to - from do into[at + i] = t[from + i] end
                end
                return into
            end
            if poll then poll() end
            return (move(t, from, to, at, other))
        end
        function table.unpack(t, from, to)
            if many(t, from or 1, to) then
                few(from or 1, to, 'unpack')
                local own = {}
                for i = from or 1, to do own[i] = t[i] end
                t = own
            end
            return unpack(t, from, to)
        end
    ";
    let table: Table = lua.globals().get("table")?;
    let most = if limited(state) { MOST_LIMITED } else { MOST };
    let poll = match limited(state) {
        true => {
            let shared = state.clone();
            Some(lua.create_function(move |_, ()| shared.ctx.meter.check().map_err(error::to_lua))?)
        }
        false => None,
    };
    super::load(lua, source, "=lota/guard")?.call((table, lies, most, SORTED, poll))
}

fn limited(state: &State) -> bool {
    *state.ctx.meter.limits() != Limits::none()
}

/// A function that is given each metatable of a script with limits, and refuses too many.
fn counted_metatables(
    lua: &Lua,
    state: &Arc<State>,
    held: Arc<AtomicUsize>,
) -> mlua::Result<Option<Function>> {
    if !limited(state) {
        return Ok(None);
    }
    let shared = state.clone();
    let note = lua.create_function(move |_, count: i64| {
        held.store(usize::try_from(count).unwrap_or(0), Relaxed);
        match count > METATABLES {
            true => Err(error::to_lua(
                shared.ctx.meter.reach(format!("the script holds more than {METATABLES} metatables")),
            )),
            false => Ok(()),
        }
    })?;
    let source = "local setmetatable, collectgarbage, pairs, note, most, few = setmetatable, collectgarbage, pairs, ...\n\
        local known, count = setmetatable({}, {__mode = 'k'}), 0\n\
        return function(mt)\n\
            if known[mt] then return end\n\
            known[mt] = true\n\
            count = count + 1\n\
            if count > most then\n\
                -- Of those that are no longer used the table forgets.\n\
                collectgarbage()\n\
                count = 0\n\
                for _ in pairs(known) do count = count + 1 end\n\
                note(count)\n\
            elseif count > few then note(count) end\n\
        end";
    super::load(lua, source, "=lota/guard")?.call((note, METATABLES, FEW_METATABLES))
}

/// `load` with the mode fixed to text: bytecode can crash the interpreter. A script with limits may not have every text
/// compiled; one that comes in pieces is put together first.
fn text_only_load(lua: &Lua, state: &Arc<State>, tidy: &Function) -> mlua::Result<()> {
    let lawful = match limited(state) {
        true => {
            let shared = state.clone();
            let lawful = lua.create_function(move |lua, text: mlua::LuaString| {
                match source::check(&shared.ctx.meter, &text.as_bytes()) {
                    Ok(()) => Ok(None),
                    Err(e) if e.kind() == ErrorKind::Syntax => lua.create_string(e.message()).map(Some),
                    Err(e) => Err(error::to_lua(e)),
                }
            })?;
            Some(lawful)
        }
        false => None,
    };
    let source = "local load, select, type, error, pcall, concat, tidy, lawful = load, select, type, error, pcall, table.concat, ...\n\
        local function check(f, why)\n\
            if f == nil then return nil, tidy(why) end\n\
            return f\n\
        end\n\
        local function whole(chunk)\n\
            local pieces = {}\n\
            while true do\n\
                local piece = chunk()\n\
                if piece == nil or piece == '' then return concat(pieces) end\n\
                if type(piece) ~= 'string' then error('reader function must return a string', 0) end\n\
                pieces[#pieces + 1] = piece\n\
            end\n\
        end\n\
        return function(chunk, name, mode, ...)\n\
            if lawful then\n\
                if type(chunk) == 'function' then\n\
                    local read, text = pcall(whole, chunk)\n\
                    if not read then return nil, text end\n\
                    chunk, name = text, name or '=(load)'\n\
                end\n\
                local why = type(chunk) == 'string' and lawful(chunk)\n\
                if why then return nil, why end\n\
            end\n\
            if select('#', ...) > 0 then return check(load(chunk, name, 't', (...))) end\n\
            return check(load(chunk, name, 't'))\n\
        end";
    let guarded: Function = super::load(lua, source, "=lota/guard")?.call((tidy, lawful))?;
    lua.globals().set("load", guarded)
}
