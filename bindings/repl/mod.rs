//! The prompt. The core is [`Session`]: a function from a line to a reply. The editor is a thin
//! shell around it.

mod editor;
mod session;

use std::io::{BufRead as _, IsTerminal as _};

pub use session::{Reply, Session};

use crate::cli::write_out;
use crate::engine::Builder;
use crate::error::{Error, Result};

/// Runs a prompt on the terminal; where standard input is none, its lines are run without one.
pub fn main(builder: Builder) -> Result<()> {
    let mut session = Session::new(builder.build()?)?;
    if std::io::stdin().is_terminal() {
        return editor::run(session);
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Error::runtime(format!("standard input: {e}")))?;
        if !show(&session.line(&line)) {
            return Ok(());
        }
    }
    show(&session.end());
    Ok(())
}

/// Shows a reply; false to leave.
fn show(reply: &Reply) -> bool {
    match reply {
        Reply::More => true,
        Reply::Text(text) => {
            write_out(text);
            true
        }
        Reply::Error(text) => {
            eprint!("{text}");
            true
        }
        Reply::Quit => false,
    }
}
