//! The prompt. The core is [`Session`]: a function from a line to a reply. What Tab offers
//! ([`complete`]) and the colours ([`highlight`]) are functions of a text; all that they know of a
//! language is a [`Syntax`]. The editor is a thin shell around them.

mod command;
mod complete;
mod editor;
mod figure;
mod highlight;
mod pretty;
mod record;
mod saved;
mod session;
mod settings;
mod syntax;
mod variables;

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use lota::Engine;
use lota::{Error, Result};

pub use complete::{Offer, World, complete, signature};
pub use highlight::highlight;
pub use session::{Outcome, Reply, Session};
pub use syntax::{LUA, RHAI, Syntax};

use crate::output::{note, write_out};
use crate::signals::{idle, is_ending};

/// Runs a prompt on the terminal; where there is none, the lines of standard input are run plainly, errors name their line,
/// and one that fails makes the exit code of the program 1.
/// `done` is called when an input has run, before its value is shown.
pub fn main(
    syntax: &'static Syntax,
    make: impl Fn() -> Result<Engine> + 'static,
    done: impl Fn(),
) -> Result<()> {
    let session = Session::new(syntax, make)?;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return editor::run(session, done);
    }
    let mut session = session.with_time(None).with_lines_counted();
    let mut failed = false;
    let mut lines = std::io::stdin().lock().split(b'\n');
    while let Some(line) = idle(|| lines.next()) {
        let line = line.map_err(|e| Error::runtime(format!("standard input: {e}")))?;
        let reply = match std::str::from_utf8(&line) {
            Ok(line) => session.line(line.strip_suffix('\r').unwrap_or(line)),
            Err(_) => session.unreadable(),
        };
        done();
        failed |= reply.outcome == Outcome::Failed;
        if !tell(&reply, str::to_string) {
            return ending(&session, failed);
        }
        if is_ending() {
            return Err(Error::cancelled());
        }
    }
    let reply = session.end();
    done();
    failed |= reply.outcome == Outcome::Failed;
    tell(&reply, str::to_string);
    ending(&session, failed)
}

/// How the program ends after a session: with the code of the script that ended it, or 1 after an error.
fn ending(session: &Session, failed: bool) -> Result<()> {
    match session.exit_code().filter(|code| *code != 0) {
        None if !failed => Ok(()),
        code => Err(Error::exit(code.unwrap_or(1))),
    }
}

/// Shows a reply; false to leave. A note is told in a style of its own.
fn tell(reply: &Reply, style: impl Fn(&str) -> String) -> bool {
    match reply.outcome {
        Outcome::Failed => note(&reply.text),
        _ => write_out(&reply.text),
    }
    if let Some(took) = reply.took {
        note(&(style(&format!("took {}", duration(took))) + "\n"));
    }
    reply.outcome != Outcome::Quit
}

/// A duration as a person says it.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 if seconds < 1e-3 => format!("{:.1} \u{b5}s", seconds * 1e6),
        0 => format!("{:.1} ms", seconds * 1e3),
        1..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
        whole => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_units_that_fit() {
        for (micros, text) in [
            (12, "12.0 \u{b5}s"),
            (1_500, "1.5 ms"),
            (2_345_678, "2.35 s"),
            (61_000_000, "1 min 1 s"),
            (7_260_000_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }
}
