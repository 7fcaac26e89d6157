//! The C interface: `lota.h` beside this file says what each function does.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use lota::api::{Files, Value, from_json, panic_text, to_json};
#[cfg(unix)]
use lota::isolation::{Isolation, Process};
use lota::runtime::host::Cancel;
use lota::{Engine, Error, ErrorKind, Language, Limits, Result};
use serde_json::{Map, Value as Json};

/// Limits on the memory of Rhai scripts need it.
#[global_allocator]
static ALLOCATOR: lota::Counting = lota::Counting::system();

/// An engine and what its last call gave. `cancel` lies outside the cell, so that it can be reached during a call.
#[expect(non_camel_case_types, reason = "it is the name in C")]
pub struct lota_engine {
    cancel: Cancel,
    inner: RefCell<Inner>,
}

struct Inner {
    engine: Engine,
    result: Option<CString>,
    error: Option<CString>,
}

thread_local! {
    /// Why the last engine of this thread could not be made.
    static NOT_MADE: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// A text for C. A zero byte inside would end it early.
fn text(s: &str) -> CString {
    CString::new(s.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// A text of the caller; none if it is null.
///
/// # Safety
/// `s` is null or ends with a zero byte, and lives as long as the result is used.
unsafe fn given<'a>(s: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if s.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller of this function promises a text that ends with a zero byte.
    let bytes = unsafe { CStr::from_ptr(s) };
    bytes.to_str().map(Some).map_err(|_| Error::argument(format!("{what} is not UTF-8 text")))
}

/// Runs `work` so that no panic reaches C.
fn shielded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::new(ErrorKind::Host, format!("a fault of lota itself: {}", panic_text(&*panic))))
    })
}

fn limits(given: &Map<String, Json>) -> Result<Limits> {
    let mut limits = Limits::untrusted();
    for (name, value) in given {
        let wrong = || Error::argument(format!("limit '{name}' must be a number above 0, or null"));
        let number = match value {
            Json::Null => None,
            value => Some(value.as_f64().filter(|x| *x > 0.0).ok_or_else(wrong)?),
        };
        let whole = number.map(|x| x as u64);
        let small = number.map(|x| x.min(f64::from(u32::MAX)) as u32);
        match name.as_str() {
            "script_memory" => limits.script_memory = whole,
            "tensor_memory" => limits.tensor_memory = whole,
            "seconds" => {
                limits.time = number.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX))
            }
            "instructions" => limits.instructions = whole,
            "output" => limits.output = whole,
            "call_depth" => limits.call_depth = small,
            "open_files" => limits.open_files = small,
            _ => return Err(Error::argument(format!("unknown limit '{name}'"))),
        }
    }
    Ok(limits)
}

/// Where the engine lives: a word, or the settings of its process.
#[cfg(unix)]
fn isolation(given: &Json) -> Result<Isolation> {
    let wrong = || {
        Error::argument(
            "option 'isolation' must be \"thread\", \"process\" or an object with the settings of a process",
        )
    };
    let none = Map::new();
    let settings = match given {
        Json::String(word) if word == "thread" => return Ok(Isolation::Thread),
        Json::String(word) if word == "process" => &none,
        Json::Object(settings) => settings,
        _ => return Err(wrong()),
    };
    let mut process = Process::new();
    for (name, value) in settings {
        let number = || {
            let wrong = || Error::argument(format!("isolation '{name}' must be a number above 0"));
            value.as_f64().filter(|x| *x > 0.0).ok_or_else(wrong)
        };
        process = match name.as_str() {
            "program" => {
                let path =
                    value.as_str().ok_or_else(|| Error::argument("isolation 'program' must be a path"))?;
                process.program(path)
            }
            "memory" => process.memory(number()? as u64),
            "file_size" => process.file_size(number()? as u64),
            "open_files" => process.open_files(number()? as u64),
            "processor_time" => {
                process.processor_time(Duration::try_from_secs_f64(number()?).unwrap_or(Duration::MAX))
            }
            "message" => process.message(number()? as usize),
            "grace" => process.grace(Duration::try_from_secs_f64(number()?).unwrap_or(Duration::MAX)),
            _ => {
                return Err(Error::argument(format!(
                    "unknown setting '{name}' of isolation; known are program, memory, file_size, open_files, \
                     processor_time, message, grace"
                )));
            }
        };
    }
    Ok(Isolation::Process(process))
}

fn make(options: Option<&str>) -> Result<Engine> {
    let begin = |language| Engine::builder(language).limits(Limits::untrusted());
    let Some(options) = options else { return begin(Language::Lua).build() };
    let options: Json = serde_json::from_str(options)
        .map_err(|e| Error::argument(format!("the options are no JSON: {e}")))?;
    let Json::Object(options) = options else {
        return Err(Error::argument("the options must be a JSON object"));
    };
    let mut builder = begin(match options.get("language").map(|name| name.as_str().unwrap_or_default()) {
        None | Some("lua") => Language::Lua,
        Some("rhai") => Language::Rhai,
        Some(_) => return Err(Error::argument("option 'language' must be \"lua\" or \"rhai\"")),
    });
    for (name, value) in &options {
        builder = match (name.as_str(), value) {
            ("roots", Json::Array(roots)) => {
                let paths = roots.iter().map(|r| r.as_str().map(PathBuf::from)).collect::<Option<Vec<_>>>();
                let paths = paths.ok_or_else(|| Error::argument("option 'roots' must be a list of paths"))?;
                builder.files(Files::roots(paths))
            }
            ("limits", Json::Object(given)) => builder.limits(limits(given)?),
            ("language", _) => builder,
            #[cfg(unix)]
            ("isolation", given) => builder.isolation(isolation(given)?),
            ("roots", _) => return Err(Error::argument("option 'roots' must be a list of paths")),
            ("limits", _) => return Err(Error::argument("option 'limits' must be an object")),
            _ => {
                return Err(Error::argument(format!(
                    "unknown option '{name}'; known are isolation, language, limits, roots"
                )));
            }
        };
    }
    builder.build()
}

/// See `lota.h`.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub extern "C" fn lota_guest_enter() {
    // A panic there ends the process, which is the guest's alone.
    lota::isolation::enter();
}

/// See `lota.h`.
///
/// # Safety
/// `options` is null or a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_new(options: *const c_char) -> *mut lota_engine {
    // SAFETY: the promise of this function.
    let made = shielded(|| make(unsafe { given(options, "options") }?));
    match made {
        Ok(engine) => {
            let cancel = engine.cancel_handle();
            let inner = RefCell::new(Inner { engine, result: None, error: None });
            Box::into_raw(Box::new(lota_engine { cancel, inner }))
        }
        Err(error) => {
            NOT_MADE.set(Some(text(&error.to_string())));
            std::ptr::null_mut()
        }
    }
}

/// Works with an engine and keeps what came of it.
///
/// # Safety
/// `engine` is null or came from `lota_engine_new` and was not freed.
unsafe fn with(engine: *mut lota_engine, work: impl FnOnce(&Engine) -> Result<Value>) -> c_int {
    // SAFETY: the promise of this function.
    let Some(engine) = (unsafe { engine.as_ref() }) else { return ErrorKind::Argument.code() };
    let Ok(mut inner) = engine.inner.try_borrow_mut() else { return ErrorKind::Host.code() };
    (inner.result, inner.error) = (None, None);
    let done = shielded(|| work(&inner.engine));
    // A cancellation was meant for this call, not for the next.
    engine.cancel.reset();
    match done {
        Ok(value) => {
            inner.result = shielded(|| to_json(&value)).ok().map(|json| text(&json.to_string()));
            0
        }
        Err(error) => {
            inner.error = Some(text(&error.to_string()));
            error.kind().code()
        }
    }
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is one of `lota_engine_new` that was not freed; the texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_run(
    engine: *mut lota_engine,
    source: *const c_char,
    name: *const c_char,
) -> c_int {
    // SAFETY: the promises of this function.
    unsafe {
        with(engine, |engine| {
            let source = given(source, "source")?.ok_or_else(|| Error::argument("source is null"))?;
            engine.run(source, given(name, "name")?.unwrap_or("script"))
        })
    }
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is one of `lota_engine_new` that was not freed; the texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_call(
    engine: *mut lota_engine,
    function: *const c_char,
    arguments: *const c_char,
) -> c_int {
    // SAFETY: the promises of this function.
    unsafe {
        with(engine, |engine| {
            let function = given(function, "function")?.ok_or_else(|| Error::argument("function is null"))?;
            let arguments: Vec<Json> =
                serde_json::from_str(given(arguments, "arguments")?.unwrap_or("[]"))
                    .map_err(|e| Error::argument(format!("the arguments are no JSON array: {e}")))?;
            engine.call(function, arguments.into_iter().map(from_json).collect::<Vec<_>>())
        })
    }
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is null or one of `lota_engine_new` that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_result_json(engine: *mut lota_engine) -> *const c_char {
    // SAFETY: the promise of this function.
    let kept = unsafe { engine.as_ref() }
        .and_then(|e| e.inner.try_borrow().ok()?.result.as_ref().map(|r| r.as_ptr()));
    kept.unwrap_or(std::ptr::null())
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is null or one of `lota_engine_new` that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_cancel(engine: *mut lota_engine) {
    // SAFETY: the promise of this function. Only the switch is read, which threads may share.
    if let Some(cancel) = unsafe { engine.as_ref() }.map(|e| &e.cancel) {
        cancel.cancel();
    }
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is null or one of `lota_engine_new` that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_last_error(engine: *mut lota_engine) -> *const c_char {
    // SAFETY: the promise of this function.
    let kept = match unsafe { engine.as_ref() } {
        None => NOT_MADE.with_borrow(|e| e.as_ref().map(|e| e.as_ptr())),
        Some(engine) => engine.inner.try_borrow().ok().and_then(|i| i.error.as_ref().map(|e| e.as_ptr())),
    };
    kept.unwrap_or(std::ptr::null())
}

/// See `lota.h`.
///
/// # Safety
/// `engine` is null or one of `lota_engine_new` that was not freed, and no call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lota_engine_free(engine: *mut lota_engine) {
    if !engine.is_null() {
        // SAFETY: it came from `Box::into_raw` in `lota_engine_new`, and the caller gives it up.
        let engine = unsafe { Box::from_raw(engine) };
        // A panic in a destructor must not reach C either.
        let _ = shielded(|| {
            drop(engine);
            Ok(())
        });
    }
}
