//! One target on one file, watched: what it panicked of, and how long it took.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use lota_runtime::host::is_reading_foreign;

use crate::Target;

/// The longest that one file may take. libFuzzer has a limit of its own, which also ends what never ends.
pub const MOST_TIME: Duration = Duration::from_secs(20);

/// One target at a time: what is recorded is of the process.
static ONE: Mutex<()> = Mutex::new(());
/// The file in work, for who ends the process.
static RUNNING: Mutex<&'static str> = Mutex::new("");
/// The first panic that is a finding.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Words on what is running, for a process that ends inside of it.
pub(crate) fn running() -> String {
    match RUNNING.try_lock() {
        Ok(name) if !name.is_empty() => format!(", by target {name}"),
        _ => String::new(),
    }
}

/// Gives `bytes` to a target, which says whether they were read.
///
/// # Errors
///
/// A panic, wherever it was caught, or the time that it took. Everything else that is a finding ends the process.
pub fn run(target: &Target, bytes: &[u8]) -> Result<bool, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| set_hook(Box::new(record)));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = target.name;
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| (target.feed)(bytes)));
    let took = start.elapsed();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = "";
    let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (panic, ended) {
        (Some(panic), _) => Err(panic),
        (None, Err(_)) => Err("it panicked without a word".to_string()),
        (None, Ok(_)) if took > MOST_TIME => Err(format!("it took {took:?}")),
        (None, Ok(read)) => Ok(read),
    }
}

fn record(panic: &PanicHookInfo<'_>) {
    if is_foreign(panic) {
        return;
    }
    let mut text = panic.to_string();
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        text = format!("{text}\n{}", std::backtrace::Backtrace::force_capture());
    }
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
}

/// Whether a panic is of code of others where it is told as the fault of a file: what `read_foreign` is for. All files of
/// our own crates are compiled by paths from the root of the workspace. With `LOTA_FUZZ_STRICT` such panics are findings
/// too: a check before the call tells a user more.
fn is_foreign(panic: &PanicHookInfo<'_>) -> bool {
    let own = panic.location().is_none_or(|at| !at.file().starts_with('/'));
    is_reading_foreign() && !own && std::env::var_os("LOTA_FUZZ_STRICT").is_none()
}
