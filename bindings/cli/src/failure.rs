//! Wrong command lines, and how a failure is shown: the message, the line of the script, and who called it.

use std::process::ExitCode;

use lota::scripts;
use lota::{Error, ErrorKind};

use super::output::{self, note};
use super::signals;

/// A wrong command line.
pub(super) fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, text)
}

/// Prints the error and gives the exit code: 130 after Ctrl-C, 143 and 129 after other signals, 1 otherwise.
pub(super) fn report(error: &Error) -> ExitCode {
    match error.kind() {
        ErrorKind::Exit(code) => return ExitCode::from(u8::try_from(code.rem_euclid(256)).unwrap_or(1)),
        // The lost output is reported when the program ends.
        ErrorKind::Cancelled if output::has_failed() => return ExitCode::FAILURE,
        ErrorKind::Cancelled => {
            note("stopped\n");
            return ExitCode::from(signals::exit_code());
        }
        _ => {}
    }
    note(&text(error));
    ExitCode::FAILURE
}

/// The message, the line of the script and the calls that led to it.
pub(crate) fn text(error: &Error) -> String {
    let mut out = format!("error: {error}\n");
    if let Some((line, source)) = error.place().and_then(source_line) {
        out += &format!("{line:>6} | {}\n", source.trim_end());
    }
    let frames: Vec<&str> = error.traceback().map(frames).unwrap_or_default();
    // One frame is the line that was shown.
    if frames.len() > 1 {
        out += "called from:\n";
        for frame in frames {
            out += &format!("    {}\n", frame.trim_start());
        }
    }
    out
}

fn source_line(place: &str) -> Option<(usize, String)> {
    let place = place.split(" (in ").next().unwrap_or(place);
    let (path, line) = place.rsplit_once(':')?;
    let line: usize = line.parse().ok()?;
    let source = match scripts::named(path) {
        Ok(Some(script)) => script.source.to_string(),
        _ => std::fs::read_to_string(path).ok()?,
    };
    Some((line, source.lines().nth(line.checked_sub(1)?)?.to_string()))
}

/// The frames of a traceback that belong to scripts.
fn frames(traceback: &str) -> Vec<&str> {
    let own = ["[C]:", "lota/call:", "lota/guard:", "stack traceback:", "(...tail calls...)"];
    traceback
        .lines()
        .filter(|line| !line.trim().is_empty() && !own.iter().any(|o| line.trim_start().starts_with(o)))
        .collect()
}
