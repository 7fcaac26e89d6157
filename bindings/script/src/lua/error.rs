//! Errors across the border: Lua's into ours and ours into Lua's, without losing either.

use std::fmt;
use std::sync::Arc;

use mlua::Lua;

use super::State;
use crate::error::{Error, ErrorKind};
use crate::{Language, show, slips};

/// A value that is no string, thrown with `error(value)`.
pub(crate) struct Thrown {
    pub(crate) value: mlua::Value,
    pub(crate) traceback: String,
}

impl fmt::Display for Thrown {
    /// The text of a table is its own (`__tostring`), its `message`, or what is in it; its address tells nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = || self.value.to_string().unwrap_or_else(|_| self.value.type_name().into());
        let text = match &self.value {
            mlua::Value::Nil => "error() was called without a value".into(),
            mlua::Value::Table(table) if table.metatable().is_none() => {
                match (
                    table.raw_get::<String>("message"),
                    super::convert::Border::told().bring(self.value.clone()),
                ) {
                    (Ok(message), _) => message,
                    (Err(_), Ok(value)) => show(&value),
                    (Err(_), Err(_)) => plain(),
                }
            }
            _ => plain(),
        };
        f.write_str(&text)
    }
}

impl fmt::Debug for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thrown({self})")
    }
}

impl std::error::Error for Thrown {}

/// Our error as a Lua error. One that came from Lua goes back as itself.
pub(crate) fn to_lua(error: Error) -> mlua::Error {
    match error.cause::<mlua::Error>() {
        Some(original) => original.clone(),
        None => mlua::Error::external(error),
    }
}

/// Our error as a Lua error, with the script's line.
pub(crate) fn raise(lua: &Lua, error: Error) -> mlua::Error {
    if error.cause::<mlua::Error>().is_some() || !error.is_failure() {
        return to_lua(error);
    }
    let traceback = lua.traceback(None, 0).map(|t| t.to_string_lossy()).unwrap_or_default();
    to_lua(error.at(place(lua)).with_traceback(traceback))
}

/// Chunks of the frontend itself, which no message names.
const OWN_CHUNKS: [&str; 2] = ["=lota/guard", "=lota/call"];

/// The message alone, where a function of the guard was what failed and named its own line.
pub(crate) fn without_own_place(text: &str) -> Option<&str> {
    let (place, message) = split_place(text)?;
    OWN_CHUNKS
        .iter()
        .any(|own| place.rsplit_once(':').is_some_and(|(name, _)| name == &own[1..]))
        .then_some(message)
}

/// `file:line` of the innermost frame of the script; a frame of the standard library that lies
/// further in is told too.
pub(crate) fn place(lua: &Lua) -> Option<String> {
    let mut inside: Option<String> = None;
    for level in 0..64 {
        let frame = lua.inspect_stack(level, |d| {
            let source = d.source().source?;
            let line = d.current_line()?;
            Some((source.to_string(), line))
        })?;
        let Some((source, line)) = frame else { continue };
        let at = format!("{}:{line}", source.trim_start_matches(['@', '=']));
        if OWN_CHUNKS.contains(&&*source) {
            continue;
        }
        if source.starts_with("=lota/") {
            inside.get_or_insert(at);
        } else {
            return Some(match inside {
                Some(inner) => format!("{at} (in {inner})"),
                None => at,
            });
        }
    }
    inside
}

/// The innermost cause of a Lua error.
pub(crate) fn root(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => root(cause),
        mlua::Error::BadArgument { cause, .. } => root(cause),
        mlua::Error::WithContext { cause, .. } => root(cause),
        other => other,
    }
}

/// What lies at the bottom of a Lua error, if it is a `T`.
pub(crate) fn inner<T: std::error::Error + 'static>(error: &mlua::Error) -> Option<&T> {
    match root(error) {
        mlua::Error::ExternalError(external) => external.downcast_ref(),
        _ => None,
    }
}

/// A Lua error as ours. The original is kept inside.
pub(crate) fn from_lua(error: &mlua::Error) -> Error {
    let ours = match root(error) {
        mlua::Error::ExternalError(external) => from_external(external),
        mlua::Error::SyntaxError { message, incomplete_input } => {
            parse(message, ErrorKind::Syntax).incomplete(*incomplete_input)
        }
        mlua::Error::RuntimeError(message) => parse(message, ErrorKind::Runtime),
        mlua::Error::MemoryError(_) => {
            Error::new(ErrorKind::Limit, "the script needs more memory than there is for it")
        }
        other => Error::runtime(other.to_string()),
    };
    let ours = match error {
        mlua::Error::CallbackError { traceback, .. } => ours.with_traceback(traceback.trim_start()),
        _ => ours,
    };
    if ours.is_failure() { ours.caused_by(error.clone()) } else { ours }
}

/// What to write instead, where a script uses the library without asking for it, or a name of Python's.
fn instead(message: &str) -> Option<&'static str> {
    let (attempt, name) = message.strip_suffix("')")?.rsplit_once("a nil value (global '")?;
    match name {
        _ if !attempt.starts_with("attempt to ") => None,
        "lota" => Some("a script begins with `local lota = require \"lota\"`"),
        name => slips::of_name(Language::Lua, name),
    }
}

/// A text that does not parse: the message, with what to write in place of a habit of another language that shows in its line.
pub(crate) fn with_slip(error: mlua::Error, source: &str) -> mlua::Error {
    let mlua::Error::SyntaxError { message, incomplete_input } = error else { return error };
    let line = split_place(&message).and_then(|(place, _)| place.rsplit_once(':')?.1.parse().ok());
    let hint = line.and_then(|line| slips::in_source(Language::Lua, source, line));
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    mlua::Error::SyntaxError { message: format!("{message}{hint}"), incomplete_input }
}

/// What the interpreter says where it has no memory left to say it better.
pub(crate) const NO_MEMORY: &str = "not enough memory";

/// An error of a script as ours: its memory, used up, is a limit that was reached.
pub(crate) fn of_script(state: &State, error: &mlua::Error) -> Error {
    let ours = from_lua(error);
    if matches!(root(error), mlua::Error::MemoryError(_)) || ours.message() == NO_MEMORY {
        return state.ctx.meter.out_of_memory();
    }
    ours
}

fn from_external(external: &Arc<dyn std::error::Error + Send + Sync>) -> Error {
    if let Some(own) = external.downcast_ref::<Error>() {
        return own.clone();
    }
    match external.downcast_ref::<Thrown>() {
        Some(thrown) => Error::runtime(thrown.to_string()).with_traceback(thrown.traceback.clone()),
        None => Error::runtime(external.to_string()),
    }
}

/// Splits `file:line: message` and a traceback after it.
pub(crate) fn parse(text: &str, kind: ErrorKind) -> Error {
    let (text, traceback) = match text.split_once("\nstack traceback:") {
        Some((text, traceback)) => (text, Some(traceback.trim_start_matches('\n').to_string())),
        None => (text, None),
    };
    let new = |message: &str| {
        let hint = instead(message).map(|text| format!(": {text}")).unwrap_or_default();
        Error::new(kind, format!("{message}{hint}"))
    };
    let error = match split_place(text) {
        Some((place, message)) => new(message).at(Some(place.to_string())),
        None => new(text),
    };
    match traceback {
        Some(traceback) => error.with_traceback(traceback),
        None => error,
    }
}

fn split_place(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(colon) = text[from..].find(':') {
        let at = from + colon;
        let tail = &text[at + 1..];
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && tail[digits..].starts_with(": ") {
            let split = at + 1 + digits;
            return text[..split].find('\n').is_none().then(|| (&text[..split], &text[split + 2..]));
        }
        from = at + 1;
    }
    None
}
