//! From a line to a reply.

use crate::api::{self, show};
use crate::cli::error_text;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// What the prompt says to a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// The input is not complete.
    More,
    /// The value of the input, with a line end; empty if it has none.
    Text(String),
    /// What went wrong, with a line end.
    Error(String),
    /// Leave.
    Quit,
}

const HELP: &str = "\
An expression is evaluated, a statement is run; an open input goes on in the next line.
  ?name         describe a primitive, an area or a type (? alone lists all)
  :help         this text
  :quit         leave (or Ctrl-D)
Ctrl-C stops what is running and keeps every variable.
";

/// A conversation with an engine. `lota` is a global in it.
pub struct Session {
    engine: Engine,
    pending: String,
}

impl Session {
    /// A session with an engine.
    pub fn new(engine: Engine) -> Result<Self> {
        engine.open_prompt()?;
        Ok(Self { engine, pending: String::new() })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether an input is open.
    pub fn is_open(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Forgets an open input.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// Answers a line.
    pub fn line(&mut self, line: &str) -> Reply {
        if !self.is_open()
            && let Some(reply) = self.command(line.trim())
        {
            return reply;
        }
        // Two empty lines force an open input.
        let forced = line.trim().is_empty() && self.pending.ends_with("\n\n");
        self.pending.push_str(line);
        match self.engine.check(&self.pending) {
            Err(e) if e.is_incomplete() && !forced => {
                self.pending.push('\n');
                Reply::More
            }
            _ => self.end(),
        }
    }

    /// Runs the open input as it is.
    pub fn end(&mut self) -> Reply {
        let input = std::mem::take(&mut self.pending);
        if input.trim().is_empty() {
            return Reply::Text(String::new());
        }
        let result = self.engine.eval(&input);
        self.engine.cancel_handle().reset();
        match result {
            Ok(values) if values.is_empty() => Reply::Text(String::new()),
            Ok(values) => Reply::Text(values.iter().map(show).collect::<Vec<_>>().join("\t") + "\n"),
            Err(e) => self.failed(&e),
        }
    }

    fn failed(&self, error: &Error) -> Reply {
        match error.kind() {
            crate::ErrorKind::Exit(_) => Reply::Quit,
            crate::ErrorKind::Cancelled => Reply::Error("stopped\n".into()),
            _ => Reply::Error(error_text(error)),
        }
    }

    fn command(&self, line: &str) -> Option<Reply> {
        if let Some(name) = line.strip_prefix('?') {
            return Some(self.describe(name.trim()));
        }
        let command = line.strip_prefix(':')?;
        // `::label::` is Lua.
        if command.starts_with(':') {
            return None;
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        Some(match name {
            "quit" | "q" => Reply::Quit,
            "help" | "h" if rest.is_empty() => Reply::Text(HELP.into()),
            "help" | "h" | "doc" => self.describe(rest.trim()),
            other => {
                Reply::Error(format!("error: there is no command ':{other}'; known are :help and :quit\n"))
            }
        })
    }

    fn describe(&self, name: &str) -> Reply {
        match api::doc::lookup(self.engine.registry(), name, self.engine.language()) {
            Ok(text) => Reply::Text(text),
            Err(Some(near)) => {
                Reply::Error(format!("error: nothing is called '{name}'; did you mean '{near}'?\n"))
            }
            Err(None) => Reply::Error(format!("error: nothing is called '{name}'; ? lists everything\n")),
        }
    }
}
