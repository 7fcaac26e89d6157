//! Errors across the border: Rhai's into ours and ours into Rhai's, without losing either.

use std::fmt;

use rhai::{Dynamic, EvalAltResult, LexError, ParseError, ParseErrorType, Position};

use super::State;
use super::errors::Caught;
use super::object::TYPE;
use crate::counting::{Inside, Outside, outside};
use crate::error::{Error, ErrorKind};
use crate::{Language, Registry, did_you_mean, slips};

/// A value thrown with `throw`, on its way through Rust.
struct Thrown(Inside<Dynamic>);

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self.0)
    }
}

impl fmt::Debug for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thrown({self})")
    }
}

impl std::error::Error for Thrown {}

/// Our error as a Rhai error. A `catch` of the script gets it, unless it ends the script.
pub(crate) fn raise(error: Error) -> Box<EvalAltResult> {
    let weight = error.weight();
    let error = Outside::weighing(error, weight);
    if let Some(thrown) = error.cause::<Thrown>() {
        return EvalAltResult::ErrorRuntime(Dynamic::clone(&thrown.0), Position::NONE).into();
    }
    let ends = !error.is_failure() || error.kind() == ErrorKind::Limit;
    let value = Dynamic::from(Caught(error));
    if ends {
        EvalAltResult::ErrorTerminated(value, Position::NONE).into()
    } else {
        EvalAltResult::ErrorRuntime(value, Position::NONE).into()
    }
}

/// Like `raise`, for an error that is made while a script runs: its memory counts as the host's.
pub(crate) fn raise_with(make: impl FnOnce() -> Error) -> Box<EvalAltResult> {
    raise(outside(make))
}

/// Whether a call failed because no function of this name takes so many arguments.
pub(crate) fn is_missing(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _)
        if signature.split(" (").next() == Some(name))
}

/// A parse error of a text as ours, with what to write in place of a habit of another language that shows in its line.
pub(crate) fn syntax(error: &ParseError, name: &str, source: &str) -> Error {
    let line = error.position().line();
    let hint = line.and_then(|line| slips::in_source(Language::Rhai, source, line));
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    let text = format!("{}{hint}", error.err_type());
    Error::new(ErrorKind::Syntax, text).at(Some(place(name, error.position())))
}

/// Whether more input could make a text parse: the parser stopped at its end, which moves with two empty lines more,
/// or inside a string that may have several lines.
pub(crate) fn is_incomplete(engine: &rhai::Engine, text: &str, error: &ParseError) -> bool {
    let unterminated = matches!(error.err_type(), ParseErrorType::BadInput(LexError::UnterminatedString));
    if unterminated && text.matches('`').count() % 2 == 1 {
        return true;
    }
    let longer = engine.compile(format!("{text}\n\n"));
    !unterminated && longer.is_err_and(|later| later.position() != error.position())
}

fn place(name: &str, position: Position) -> String {
    match position.line() {
        Some(line) => format!("{name}:{line}"),
        None => name.to_string(),
    }
}

/// A Rhai error as ours. `source` is the name of the script that ran. Called inside: Rhai's error is the script's memory.
pub(crate) fn from_rhai(state: &State, mut error: Box<EvalAltResult>, source: &str) -> Error {
    outside(|| {
        let mut frames = Vec::new();
        let (error, at) = unwrap(&mut error, source.to_string(), &mut frames);
        let ours = innermost(state, error).at(Some(own_place(state, at, &frames)));
        if frames.is_empty() { ours } else { ours.with_traceback(frames.join("\n")) }
    })
}

/// Where a script reads of an error that a built-in module threw: at its own call, as in Lua. The traceback has the module.
fn own_place(state: &State, at: String, frames: &[String]) -> String {
    let of_module = |place: &str| {
        let rest = |name: &str| place.strip_prefix(name).and_then(|rest| rest.strip_prefix(".rhai:"));
        state.modules.rhai.iter().any(|(name, _)| rest(name).is_some())
    };
    if !of_module(&at) {
        return at;
    }
    let called = frames.iter().find(|frame| !of_module(frame)).and_then(|frame| frame.split_once(": "));
    called.map_or(at, |(place, _)| place.to_string())
}

/// The innermost error and its place; the calls around it go into `frames`, innermost first.
fn unwrap<'a>(
    error: &'a mut EvalAltResult,
    source: String,
    frames: &mut Vec<String>,
) -> (&'a mut EvalAltResult, String) {
    match error {
        EvalAltResult::ErrorInFunctionCall(name, inside, inner, position) => {
            let inside = if inside.is_empty() { source.clone() } else { inside.clone() };
            let found = unwrap(inner, inside, frames);
            if frames.is_empty() {
                frames.push(found.1.clone());
            }
            frames.push(format!("{}: calling '{name}'", place(&source, *position)));
            found
        }
        EvalAltResult::ErrorInModule(name, inner, position) => {
            let file = format!("{name}.rhai");
            let found = unwrap(inner, file, frames);
            frames.push(format!("{}: importing '{name}'", place(&source, *position)));
            found
        }
        other => {
            let at = place(&source, other.position());
            (other, at)
        }
    }
}

fn innermost(state: &State, error: &mut EvalAltResult) -> Error {
    use EvalAltResult as E;
    let registry = &state.registry;
    match error {
        E::ErrorRuntime(value, _) => match value.read_lock::<Caught>() {
            Some(caught) => Error::clone(&caught.0),
            None => {
                Error::runtime(text_of(value)).caused_by(Thrown(Inside::new(&state.tally, || value.clone())))
            }
        },
        E::ErrorTerminated(value, _) => {
            value.read_lock::<Caught>().map_or_else(Error::cancelled, |c| Error::clone(&c.0))
        }
        E::ErrorParsing(kind, _) => Error::new(ErrorKind::Syntax, kind.to_string()),
        E::ErrorTooManyOperations(_)
        | E::ErrorTooManyVariables(_)
        | E::ErrorTooManyModules(_)
        | E::ErrorDataTooLarge(..) => {
            let _ = error.take_position();
            Error::new(ErrorKind::Limit, error.to_string())
        }
        E::ErrorStackOverflow(_) => {
            Error::new(ErrorKind::Limit, "calls are nested too deeply (endless recursion?)")
        }
        E::ErrorFunctionNotFound(signature, _) => missing_function(registry, signature),
        E::ErrorModuleNotFound(name, _) => missing_module(registry, name),
        E::ErrorDataRace(what, _) if what.contains(" of function ") => Error::argument(format!(
            "{what} uses the object whose method is called: give the closure a second name for it, as in let same = x;"
        )),
        E::ErrorVariableNotFound(name, _) if name == "lota" || name.starts_with("lota::") => Error::argument(
            format!("{name} is a module here; write lota::mask::union(a, b), not lota.mask.union(a, b)"),
        ),
        E::ErrorIndexingType(what, _) if what.starts_with(TYPE) && what.contains(" = ") => Error::argument(
            "a value of lota cannot be changed by index; make another one (where, cat, add, ...) in its place",
        ),
        E::ErrorVariableNotFound(name, _) => {
            let hint = slips::of_name(Language::Rhai, name).map(|text| format!(": {text}"));
            Error::runtime(format!("there is no variable '{name}'{}", hint.unwrap_or_default()))
        }
        _ => {
            let _ = error.take_position();
            Error::runtime(error.to_string())
        }
    }
}

/// The text of a value that was thrown: its `message` if it has one.
fn text_of(value: &Dynamic) -> String {
    let message = value.read_lock::<rhai::Map>().and_then(|map| map.get("message").map(ToString::to_string));
    message.unwrap_or_else(|| value.to_string())
}

fn missing_module(registry: &Registry, name: &str) -> Error {
    let area = name.strip_prefix("lota::").unwrap_or(name).replace("::", ".");
    let hint = did_you_mean(&area, registry.areas().map(|(area, _)| area)).unwrap_or_default();
    Error::argument(format!("there is no module '{name}'{hint}"))
}

fn missing_function(registry: &Registry, signature: &str) -> Error {
    let (name, given) = signature.split_once(" (").unwrap_or((signature, ")"));
    if let Some(path) = name.strip_prefix("lota::") {
        let path = path.replace("::", ".");
        if let Some(p) = registry.get(&path) {
            let usage = p.signature_in(crate::Language::Rhai);
            return Error::argument(format!("{name}: too many arguments; usage: {usage}"));
        }
        if let Some(instead) = registry.instead("", &path, crate::Language::Rhai) {
            return Error::argument(format!("there is no function '{name}'; {instead}"));
        }
        let known = registry.iter().filter(|p| p.owner().is_none()).map(|p| p.name());
        let hint = did_you_mean(&path, known)
            .map(|h| h.replace('.', "::").replacen('\'', "'lota::", 1))
            .unwrap_or_default();
        return Error::argument(format!("there is no function '{name}'{hint}"));
    }
    if name.starts_with("anon$") {
        return Error::argument(format!("a closure was called with ({given}, which it does not take"));
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return Error::argument(format!("no operator '{name}' for ({given}"));
    }
    let function = registry.iter().find(|p| p.owner().is_none() && p.short_name() == name);
    let types = registry.types().map(|(ty, _)| ty);
    let instead = types.filter_map(|ty| Some((ty, registry.instead(ty, name, crate::Language::Rhai)?)));
    let instead: Vec<String> = instead.map(|(ty, text)| format!("; of a {ty}: {text}")).collect();
    let hint = match function {
        _ if !given.starts_with(TYPE) => None,
        _ if !instead.is_empty() => Some(instead.concat()),
        Some(function) => {
            let usage = function.signature_in(crate::Language::Rhai);
            Some(format!("; it is no method: write lota::{usage}"))
        }
        None => did_you_mean(name, registry.iter().filter(|p| p.owner().is_some()).map(|p| p.short_name())),
    };
    Error::argument(format!("there is no function '{name}' for ({given}{}", hint.unwrap_or_default()))
}
