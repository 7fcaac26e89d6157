//! Standard output and standard error of the program. A full device or a closed pipe ends it with a code that is not 0,
//! and is never a panic.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

/// The code of a program that writes to a pipe which nobody reads, as a shell gives it: 128 and SIGPIPE.
const CLOSED_PIPE: u8 = 141;

/// Why standard output took no more. The first failure counts; nothing is written after it.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes to standard output. The program ends where that cannot be.
pub(crate) fn write_out(text: &str) {
    if !try_write(text) {
        std::process::exit(i32::from(told().unwrap_or(1)));
    }
}

/// Writes to standard output; false if that cannot be, now or before.
pub(super) fn try_write(text: &str) -> bool {
    if FAILURE.get().is_some() {
        return false;
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(e) => {
            // Another thread's failure before this one is as good.
            let _ = FAILURE.set(e);
            false
        }
    }
}

/// Writes to standard error. Where that cannot be there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether standard output took no more.
pub(super) fn has_failed() -> bool {
    FAILURE.get().is_some()
}

/// The exit code of the program: the one given, unless output was lost.
pub(super) fn finish(code: ExitCode) -> ExitCode {
    flush_libraries();
    told().map_or(code, ExitCode::from)
}

/// Tells why output was lost, and gives the exit code for it. A closed pipe is told of by its code alone, as of other
/// programs.
fn told() -> Option<u8> {
    let failure = FAILURE.get()?;
    if failure.kind() == io::ErrorKind::BrokenPipe {
        return Some(CLOSED_PIPE);
    }
    note(&format!("error: standard output: {failure}\n"));
    Some(1)
}

/// Writes what Lua's `io.write` left in the buffer of the C library.
#[cfg(unix)]
fn flush_libraries() {
    // SAFETY: without a stream, `fflush` flushes all of the C library's own; it takes and keeps no memory of ours.
    if unsafe { libc::fflush(std::ptr::null_mut()) } != 0 {
        let _ = FAILURE.set(io::Error::last_os_error());
    }
}

#[cfg(not(unix))]
fn flush_libraries() {}
