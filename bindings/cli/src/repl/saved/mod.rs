//! A session as a script that does the same: each input as statements of that script, written for its language.

mod lua;
mod pieces;
mod rhai;
mod versions;

use lota::Language;

use super::syntax::Token;

/// How an input ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It ran.
    Done,
    /// It failed after it had begun. What it had changed by then stays changed.
    Failed {
        /// The variables that there are after it.
        known: Vec<String>,
        /// Those of them that it declared.
        new: Vec<String>,
        /// The modules that it imported, by their names in scripts.
        imported: Vec<String>,
    },
    /// It was stopped, or cannot be done again: it is left out.
    Stopped,
}

/// One input that was run.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Its text.
    pub text: &'a str,
    /// How it ended.
    pub end: &'a End,
    /// Whether it is one expression, or a list of them.
    pub expression: bool,
    /// Whether it can stand as a statement.
    pub statement: bool,
    /// How many values it gave.
    pub values: usize,
    /// Whether they were shown.
    pub shown: bool,
    /// Whether `lota.print` refuses one of them: a table with holes, say.
    pub plain: bool,
    /// The number of its value, if another input uses it by name.
    pub kept: Option<usize>,
}

#[cfg(test)]
impl<'a> Input<'a> {
    /// A statement that ended so and showed nothing.
    fn of(text: &'a str, end: &'a End) -> Self {
        Self {
            text,
            end,
            expression: false,
            statement: true,
            values: 0,
            shown: false,
            plain: false,
            kept: None,
        }
    }
}

/// The inputs of a session, run one after the other, as lines of a script that prints what the prompt showed.
pub fn lines(language: Language, inputs: &[Input<'_>]) -> Vec<String> {
    match language {
        Language::Lua => lua::lines(inputs),
        Language::Rhai => rhai::lines(inputs),
    }
}

/// An input without the semicolons and comments at its end, and those comments.
pub(in crate::repl) fn body<'a>(text: &'a str, found: &[Token]) -> (&'a str, String) {
    let is_code = |t: &Token| !t.is_comment() && t.text(text) != ";";
    let end = found.iter().rev().find(|t| is_code(t)).map_or(0, |t| t.end);
    let comments: Vec<&str> =
        found.iter().filter(|t| t.start >= end && t.is_comment()).map(|t| t.text(text)).collect();
    (&text[..end], comments.join("\n"))
}

/// A statement, and the comments that stood at its end.
fn with_comments(statement: String, comments: &str) -> String {
    if comments.is_empty() { statement } else { format!("{statement} {comments}") }
}

/// A text as lines of comment.
fn comment(mark: &str, title: &str, text: &str) -> String {
    let lines = text.trim().lines().map(|line| format!("\n{mark}   {line}").trim_end().to_string());
    format!("{mark} {title}{}", lines.collect::<String>())
}
