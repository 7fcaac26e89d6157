//! The line editor: a thin shell around a session. Keys, history in a file, Ctrl-C and Ctrl-D.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lota::{Error, Result};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::highlight::dim;
use super::session::Session;
use super::{World as _, complete, ending, highlight, signature, tell};
use crate::output::{note, write_out};
use crate::signals::{idle, is_ending};

/// What the editor asks while one types.
struct Asked {
    session: Rc<RefCell<Session>>,
    colour: bool,
}

impl Completer for Asked {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&*self.session.borrow(), &line[..at]))
    }
}

/// Text shown after the cursor; that from history can be taken over with the right arrow.
struct Shown {
    text: String,
    whole: bool,
}

impl Hint for Shown {
    fn display(&self) -> &str {
        &self.text
    }

    fn completion(&self) -> Option<&str> {
        self.whole.then_some(&self.text)
    }
}

impl Hinter for Asked {
    type Hint = Shown;

    fn hint(&self, line: &str, at: usize, context: &Context<'_>) -> Option<Shown> {
        if at < line.len() {
            return None;
        }
        let text = HistoryHinter::new().hint(line, at, context);
        match text.filter(|text| !text.contains('\n')) {
            Some(text) => Some(Shown { text, whole: true }),
            None => Some(Shown { text: signature(&*self.session.borrow(), line)?, whole: false }),
        }
    }
}

impl Highlighter for Asked {
    fn highlight<'l>(&self, line: &'l str, at: usize) -> Cow<'l, str> {
        let session = self.session.borrow();
        Cow::Owned(highlight(session.syntax(), session.engine().registry(), line, at))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour { Cow::Owned(dim(prompt)) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(dim(hint))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colour
    }
}

impl Validator for Asked {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let open = self.session.borrow().is_open(context.input());
        Ok(if open { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Helper for Asked {}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|s| !s.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("lota/history"))
}

pub(super) fn run(session: Session, done: impl Fn()) -> Result<()> {
    let failed = |e: ReadlineError| Error::runtime(format!("the terminal: {e}"));
    // https://no-color.org; the editor heeds it too.
    let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let session = Rc::new(RefCell::new(session));
    let config = Config::builder().auto_add_history(false).completion_type(CompletionType::List).build();
    let mut editor: Editor<Asked, FileHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Asked { session: session.clone(), colour }));
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    write_out(&format!("lota {}; :help for help, Ctrl-D to leave\n", lota::VERSION));
    let mut told = false;
    loop {
        let number = session.borrow().number();
        match idle(|| editor.readline(&format!("lota {number}> "))) {
            Ok(input) => {
                if !input.trim().is_empty() {
                    editor.add_history_entry(input.as_str()).map_err(failed)?;
                    if let Some(e) = history.as_deref().and_then(|path| keep(&mut editor, path).err())
                        && !std::mem::replace(&mut told, true)
                    {
                        note(&format!("note: the history is not kept: {e}\n"));
                    }
                }
                let columns = editor.dimensions().map(|(columns, _)| usize::from(columns));
                let mut session = session.borrow_mut();
                if let Some(columns) = columns {
                    session.fit(columns);
                }
                let reply = session.whole(&input);
                done();
                if !tell(&reply, |note| if colour { dim(note) } else { note.to_string() }) {
                    return ending(&session, false);
                }
                if is_ending() {
                    return Err(Error::cancelled());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Adds what is new to the history file.
fn keep(editor: &mut Editor<Asked, FileHistory>, path: &Path) -> std::result::Result<(), String> {
    path.parent()
        .map_or(Ok(()), |folder| {
            std::fs::create_dir_all(folder).map_err(|e| lota::runtime::Error::io(folder, e))
        })
        .map_err(|e| e.to_string())?;
    editor.append_history(path).map_err(|e| format!("{}: {e}", path.display()))
}
