//! Standard output and standard error of the program. A full device or a closed pipe makes its exit code other than 0, and
//! never makes it panic.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code after writing to a closed pipe: 128 + SIGPIPE, as in a shell.
const CLOSED_PIPE: u8 = 141;

/// The first failure to write to standard output. Nothing is written after it.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Whether what is written comes from a script that is not trusted.
static OF_A_STRANGER: AtomicBool = AtomicBool::new(false);

/// From here on what is written comes from a script that is not trusted: a terminal is shown its control characters, and does not
/// obey them.
pub(super) fn distrust() {
    OF_A_STRANGER.store(true, Ordering::Relaxed);
}

/// A text for a terminal, if this is for one.
pub(super) fn shown(text: &str, terminal: bool) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !terminal || !OF_A_STRANGER.load(Ordering::Relaxed) || !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Writes to standard output. Ends the program if that fails.
pub(crate) fn write_out(text: &str) {
    if !try_write(text) {
        std::process::exit(i32::from(report().unwrap_or(1)));
    }
}

/// Writes to standard output, after what `io.write` was given before; false if that fails or has failed before.
pub(super) fn try_write(text: &str) -> bool {
    flush_libraries();
    if FAILURE.get().is_some() {
        return false;
    }
    let mut out = io::stdout().lock();
    let text = shown(text, out.is_terminal());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(e) => {
            // If another thread failed first, its error is the one reported.
            let _ = FAILURE.set(e);
            false
        }
    }
}

/// Writes to standard error. A failure to do so is ignored: it could be reported nowhere.
pub(crate) fn note(text: &str) {
    let mut out = io::stderr();
    let text = shown(text, out.is_terminal());
    let _ = out.write_all(text.as_bytes());
}

/// Whether writing to standard output has failed.
pub(super) fn has_failed() -> bool {
    FAILURE.get().is_some()
}

/// The exit code of the program: the one given, unless output was lost.
pub(super) fn finish(code: ExitCode) -> ExitCode {
    flush_libraries();
    report().map_or(code, ExitCode::from)
}

/// Reports why output was lost, and returns the exit code for it. For a closed pipe there is no message, as is usual.
fn report() -> Option<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_does_not_obey_a_stranger() {
        let text = "a\u{1b}[2Jb\tc\r\n";
        assert_eq!(shown(text, true), text);
        distrust();
        assert_eq!(shown(text, true), "a\\u{1b}[2Jb\tc\\r\n");
        assert_eq!(shown(text, false), text);
        OF_A_STRANGER.store(false, Ordering::Relaxed);
    }
}
