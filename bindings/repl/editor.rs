//! The line editor: history in a file, names completed by Tab, Ctrl-C and Ctrl-D.

use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};

use super::session::Session;
use super::show;
use crate::error::{Error, Result};

/// Completes the names of primitives.
struct Names(Vec<String>);

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
        let start = typed.rfind(|c| !part(c)).map_or(0, |i| i + 1);
        let word = &typed[start..];
        if let Some(method) = word.rfind(':') {
            let prefix = &word[method + 1..];
            let mut found: Vec<String> = self
                .0
                .iter()
                .filter_map(|name| name.split_once(':'))
                .filter(|(_, short)| short.starts_with(prefix))
                .map(|(_, short)| short.to_string())
                .collect();
            found.sort();
            found.dedup();
            return Ok((start + method + 1, found));
        }
        let found = self.0.iter().filter(|n| !n.contains(':') && n.starts_with(word)).cloned().collect();
        Ok((start, if word.is_empty() { Vec::new() } else { found }))
    }
}

impl Hinter for Names {
    type Hint = String;
}
impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("lota/history"))
}

pub(super) fn run(mut session: Session) -> Result<()> {
    let failed = |e: ReadlineError| Error::runtime(format!("the terminal: {e}"));
    let mut names: Vec<String> = session
        .engine()
        .registry()
        .iter()
        .map(|p| if p.owner().is_some() { p.name().to_string() } else { format!("lota.{}", p.name()) })
        .collect();
    names.sort();
    let config = Config::builder().auto_add_history(false).build();
    let mut editor: Editor<Names, FileHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Names(names)));
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    println!("lota {}; :help for help, Ctrl-D to leave", crate::VERSION);
    loop {
        let prompt = if session.is_open() { "...   " } else { "lota> " };
        match editor.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    editor.add_history_entry(line.as_str()).map_err(failed)?;
                }
                if !show(&session.line(&line)) {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => session.clear(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(failed(e)),
        }
    }
    if let Some(path) = &history {
        let saved = path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| e.to_string());
        if let Err(e) = saved.and_then(|()| editor.save_history(path).map_err(|e| e.to_string())) {
            eprintln!("note: the history was not saved to {}: {e}", path.display());
        }
    }
    Ok(())
}
