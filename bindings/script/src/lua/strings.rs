//! `string.find`, `match`, `gmatch`, `gsub` and `rep` as Lua's, but stoppable (see [`super::pattern`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use memchr::memmem;
use mlua::{Function, Lua, MultiValue, Table, Value};

use super::pattern::{Capture, Matcher, is_plain};
use super::{State, call, error};
use crate::error::{Error, Result};

/// Bytes of a string that `rep` makes, at most: as in the interpreter.
const LONGEST: usize = i32::MAX as usize;
/// A position that no match has.
const NOWHERE: usize = usize::MAX;

pub(super) fn install(lua: &Lua, state: &Arc<State>) -> mlua::Result<()> {
    let string: Table = lua.globals().get("string")?;
    for (name, find) in [("find", true), ("match", false)] {
        let state = state.clone();
        string.set(
            name,
            lua.create_function(move |lua, args: MultiValue| find_or_match(lua, &state, args, find))?,
        )?;
    }
    let shared = state.clone();
    string.set("gmatch", lua.create_function(move |lua, args: MultiValue| gmatch(lua, &shared, args))?)?;
    let shared = state.clone();
    string.set("gsub", lua.create_function(move |lua, args: MultiValue| gsub(lua, &shared, args))?)?;
    // Bytecode can crash the interpreter that reads it.
    string.set("dump", Value::Nil)?;
    let shared = state.clone();
    string.set("rep", lua.create_function(move |lua, args: MultiValue| rep(lua, &shared, args))?)
}

/// What a function was given.
struct Given<'a> {
    lua: &'a Lua,
    name: &'static str,
    values: MultiValue,
}

impl Given<'_> {
    fn value(&self, at: usize) -> Value {
        self.values.get(at).cloned().unwrap_or(Value::Nil)
    }

    fn wrong(&self, at: usize, expected: &str) -> mlua::Error {
        let given = self.values.get(at).map_or("no value", Value::type_name);
        let text = format!("bad argument #{} to '{}' ({expected} expected, got {given})", at + 1, self.name);
        error::raise(self.lua, Error::runtime(text))
    }

    fn text(&self, at: usize) -> mlua::Result<mlua::LuaString> {
        match self.value(at) {
            Value::String(text) => Ok(text),
            number @ (Value::Integer(_) | Value::Number(_)) => {
                self.lua.coerce_string(number)?.ok_or_else(|| self.wrong(at, "string"))
            }
            _ => Err(self.wrong(at, "string")),
        }
    }

    fn whole(&self, at: usize) -> mlua::Result<Option<i64>> {
        match self.value(at) {
            Value::Nil => Ok(None),
            value => match self.lua.coerce_integer(value)? {
                Some(whole) => Ok(Some(whole)),
                None => Err(self.wrong(at, "integer")),
            },
        }
    }

    /// Where the search begins, counted from 0; past the end of the text where there is nothing to find.
    fn begin(&self, at: usize, len: usize) -> mlua::Result<usize> {
        Ok(match self.whole(at)?.unwrap_or(1) {
            0 => 0,
            n if n > 0 => usize::try_from(n - 1).unwrap_or(NOWHERE),
            n => len.saturating_sub(usize::try_from(n.unsigned_abs()).unwrap_or(NOWHERE)),
        })
    }
}

/// Steps of the matcher are cheaper than instructions.
fn look(state: &State) -> impl Fn(u64) -> Result<()> + '_ {
    |steps| state.ctx.meter.spend(steps / 8)
}

fn push(lua: &Lua, text: &[u8], capture: Capture) -> mlua::Result<Value> {
    Ok(match capture {
        Capture::Bytes(from, to) => Value::String(lua.create_string(&text[from..to])?),
        Capture::Position(at) => Value::Integer(at as i64 + 1),
    })
}

fn push_all(lua: &Lua, text: &[u8], captures: Vec<Capture>) -> mlua::Result<MultiValue> {
    captures.into_iter().map(|c| push(lua, text, c)).collect()
}

fn unanchored(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    }
}

fn find_or_match(lua: &Lua, state: &State, values: MultiValue, find: bool) -> mlua::Result<MultiValue> {
    let given = Given { lua, name: if find { "find" } else { "match" }, values };
    let (text, pattern) = (given.text(0)?, given.text(1)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (text, pattern) = (&text[..], &pattern[..]);
    let nothing = || MultiValue::from_iter([Value::Nil]);
    let begin = given.begin(2, text.len())?;
    if begin > text.len() {
        return Ok(nothing());
    }
    let plain = matches!(given.values.get(3), Some(v) if !matches!(v, Value::Nil | Value::Boolean(false)));
    if find && (plain || is_plain(pattern)) {
        return Ok(match memmem::find(&text[begin..], pattern) {
            Some(at) => {
                let at = (begin + at) as i64;
                MultiValue::from_iter([Value::Integer(at + 1), Value::Integer(at + pattern.len() as i64)])
            }
            None => nothing(),
        });
    }
    let (anchored, pattern) = unanchored(pattern);
    let look = look(state);
    let mut matcher = Matcher::new(text, pattern, &look);
    let last = if anchored { begin } else { text.len() };
    for from in begin..=last {
        let Some(to) = matcher.at(from).map_err(|e| error::raise(lua, e))? else { continue };
        let captured = if find { matcher.captured_only() } else { matcher.captured(from, to) };
        let mut results = push_all(lua, text, captured.map_err(|e| error::raise(lua, e))?)?;
        if find {
            results.push_front(Value::Integer(to as i64));
            results.push_front(Value::Integer(from as i64 + 1));
        }
        return Ok(results);
    }
    Ok(nothing())
}

fn gmatch(lua: &Lua, state: &Arc<State>, values: MultiValue) -> mlua::Result<Function> {
    let given = Given { lua, name: "gmatch", values };
    let (text, pattern) = (given.text(0)?, given.text(1)?);
    let at = AtomicUsize::new(given.begin(2, text.as_bytes().len())?);
    let ended_at = AtomicUsize::new(NOWHERE);
    let state = state.clone();
    lua.create_function(move |lua, ()| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let (text, pattern) = (&text[..], &pattern[..]);
        let look = look(&state);
        let mut matcher = Matcher::new(text, pattern, &look);
        let mut from = at.load(Relaxed);
        while from <= text.len() {
            let found = matcher.at(from).map_err(|e| error::raise(lua, e))?;
            if let Some(to) = found.filter(|to| *to != ended_at.load(Relaxed)) {
                at.store(to, Relaxed);
                ended_at.store(to, Relaxed);
                let captured = matcher.captured(from, to).map_err(|e| error::raise(lua, e))?;
                return push_all(lua, text, captured);
            }
            from += 1;
        }
        at.store(NOWHERE, Relaxed);
        Ok(MultiValue::from_iter([Value::Nil]))
    })
}

/// The interpreter's own would repeat nothing without end, and is not asked what its memory may be.
fn rep(lua: &Lua, state: &State, values: MultiValue) -> mlua::Result<mlua::LuaString> {
    let given = Given { lua, name: "rep", values };
    let text = given.text(0)?;
    let times = given.whole(1)?.ok_or_else(|| given.wrong(1, "number"))?;
    let separator = match given.value(2) {
        Value::Nil => None,
        _ => Some(given.text(2)?),
    };
    let separator = separator.as_ref().map(|s| s.as_bytes());
    let (text, separator) = (text.as_bytes(), separator.as_deref().unwrap_or_default());
    let times = usize::try_from(times).unwrap_or(0);
    if times == 0 || (text.is_empty() && separator.is_empty()) {
        return lua.create_string("");
    }
    let bytes = (text.len() + separator.len()).checked_mul(times).filter(|n| *n <= LONGEST);
    let bytes = bytes.ok_or_else(|| error::raise(lua, Error::runtime("resulting string too large")))?;
    let meter = &state.ctx.meter;
    if meter.limits().script_memory.is_some_and(|most| bytes as u64 > most) {
        return Err(error::to_lua(meter.out_of_memory()));
    }
    meter.spend(bytes as u64 / 1024).map_err(error::to_lua)?;
    let mut out = Vec::with_capacity(bytes);
    for i in 0..times {
        if i > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(&text);
    }
    lua.create_string(out)
}

/// What stands in for a match.
enum Replacement {
    Text(mlua::LuaString),
    Table(Table),
    Function(Function),
}

fn gsub(lua: &Lua, state: &State, values: MultiValue) -> mlua::Result<(mlua::LuaString, i64)> {
    let given = Given { lua, name: "gsub", values };
    let (subject, pattern) = (given.text(0)?, given.text(1)?);
    let replacement = match given.value(2) {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => Replacement::Text(given.text(2)?),
        Value::Table(table) => Replacement::Table(table),
        Value::Function(function) => Replacement::Function(function),
        _ => return Err(given.wrong(2, "string/function/table")),
    };
    let (text, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let text = &text[..];
    let most = given.whole(3)?.unwrap_or(text.len() as i64 + 1);
    let (anchored, pattern) = unanchored(&pattern);
    let look = look(state);
    let mut matcher = Matcher::new(text, pattern, &look);
    let mut out: Vec<u8> = Vec::new();
    let (mut at, mut ended_at, mut count, mut changed) = (0, NOWHERE, 0, false);
    while count < most {
        let found = matcher.at(at).map_err(|e| error::raise(lua, e))?;
        if let Some(to) = found.filter(|to| *to != ended_at) {
            count += 1;
            changed |= replace(lua, state, &matcher, (text, at, to), &replacement, &mut out)?;
            (at, ended_at) = (to, to);
            // The result lies outside the interpreter's memory until it is done.
            if state.ctx.meter.limits().script_memory.is_some_and(|most| out.len() as u64 > most) {
                return Err(error::to_lua(state.ctx.meter.out_of_memory()));
            }
        } else if at < text.len() {
            out.push(text[at]);
            at += 1;
        } else {
            break;
        }
        if anchored {
            break;
        }
    }
    if !changed {
        return Ok((subject.clone(), count));
    }
    out.extend_from_slice(&text[at..]);
    Ok((lua.create_string(out)?, count))
}

/// Adds what stands in for the match `from..to`; says whether that is something else.
fn replace(
    lua: &Lua,
    state: &State,
    matcher: &Matcher<'_>,
    (text, from, to): (&[u8], usize, usize),
    replacement: &Replacement,
    out: &mut Vec<u8>,
) -> mlua::Result<bool> {
    let raise = |e| error::raise(lua, e);
    let value = match replacement {
        Replacement::Text(new) => {
            return fill(matcher, (text, from, to), &new.as_bytes(), out).map(|()| true).map_err(raise);
        }
        Replacement::Table(table) => {
            let key = push(lua, text, matcher.capture(0, from, to).map_err(raise)?)?;
            table.get::<Value>(key)?
        }
        Replacement::Function(function) => {
            let captured = push_all(lua, text, matcher.captured(from, to).map_err(raise)?)?;
            call::call_guarded(lua, state, function, captured)?.into_iter().next().unwrap_or(Value::Nil)
        }
    };
    match value {
        Value::Nil | Value::Boolean(false) => {
            out.extend_from_slice(&text[from..to]);
            Ok(false)
        }
        Value::String(new) => {
            out.extend_from_slice(&new.as_bytes());
            Ok(true)
        }
        number @ (Value::Integer(_) | Value::Number(_)) => {
            if let Some(new) = lua.coerce_string(number)? {
                out.extend_from_slice(&new.as_bytes());
            }
            Ok(true)
        }
        other => Err(raise(Error::runtime(format!("invalid replacement value (a {})", other.type_name())))),
    }
}

/// A replacement text with `%0` to `%9` filled in.
fn fill(
    matcher: &Matcher<'_>,
    (text, from, to): (&[u8], usize, usize),
    new: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut bytes = new.iter();
    while let Some(&c) = bytes.next() {
        if c != b'%' {
            out.push(c);
            continue;
        }
        match bytes.next() {
            Some(b'%') => out.push(b'%'),
            Some(b'0') => out.extend_from_slice(&text[from..to]),
            Some(digit @ b'1'..=b'9') => match matcher.capture(usize::from(digit - b'1'), from, to)? {
                Capture::Bytes(from, to) => out.extend_from_slice(&text[from..to]),
                Capture::Position(at) => out.extend_from_slice((at + 1).to_string().as_bytes()),
            },
            _ => return Err(Error::runtime("invalid use of '%' in replacement string")),
        }
    }
    Ok(())
}
