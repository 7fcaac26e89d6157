//! The inputs of a session, kept for a script that does the same.

use super::saved::{self, End, Input};
use super::syntax::Syntax;

/// What was run.
#[derive(Default)]
pub struct Record {
    entries: Vec<Entry>,
    /// How many inputs failed before they began; they are not among the entries.
    pub failed: usize,
}

/// One input, or one file.
pub struct Entry {
    /// Its text.
    pub text: String,
    /// The file that it is the text of.
    pub file: Option<String>,
    /// How it ended.
    pub end: End,
    /// Whether it is one expression.
    pub expression: bool,
    /// Whether it can stand as a statement.
    pub statement: bool,
    /// How many values it gave that were worth showing.
    pub values: usize,
    /// Whether they were shown.
    pub shown: bool,
    /// Whether `lota.print` refuses one of them.
    pub plain: bool,
    /// The number that its value was kept under.
    pub number: Option<usize>,
}

impl Record {
    /// Adds an input.
    pub fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those of them that failed after they had begun, or were stopped.
    pub fn broken(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|i| self.entries[*i].end != End::Done).collect()
    }

    /// The script, with all that ran to its end and those that failed and are listed.
    pub fn script(&self, syntax: &Syntax, failed: &[usize]) -> String {
        let words: Vec<Vec<&str>> = self.entries.iter().map(|e| words(&e.text)).collect();
        let help = words.iter().any(|n| n.contains(&"help"));
        let mut out = (syntax.header)(lota::VERSION, help);
        out.push('\n');
        let count = self.entries.len();
        let inputs: Vec<Input<'_>> = (0..count).map(|i| self.input(syntax, &words, i, failed)).collect();
        for (entry, lines) in self.entries.iter().zip(saved::lines(syntax.language, &inputs)) {
            if let Some(file) = &entry.file {
                out += &format!("{} {file}\n", syntax.comment);
            }
            out += &lines;
            out.push('\n');
        }
        out
    }

    fn input(&self, syntax: &Syntax, words: &[Vec<&str>], at: usize, failed: &[usize]) -> Input<'_> {
        let entry = &self.entries[at];
        Input {
            text: &entry.text,
            end: if entry.end == End::Done || failed.contains(&at) { &entry.end } else { &End::Stopped },
            expression: entry.expression,
            statement: entry.statement,
            values: entry.values,
            shown: entry.shown,
            plain: entry.plain,
            kept: entry.number.filter(|n| self.is_used(syntax, words, at, *n)),
        }
    }

    /// Whether the value of an entry is named elsewhere: by its number, or as the last one before another is. A function
    /// may be called long after it was defined, so one that names the last value names all.
    fn is_used(&self, syntax: &Syntax, words: &[Vec<&str>], at: usize, number: usize) -> bool {
        let [last, own] = syntax.result_names(number);
        let own = own.as_str();
        let function = |words: &[&str]| words.contains(&"function") && words.contains(&last.as_str());
        if words.iter().enumerate().any(|(i, w)| i != at && (w.contains(&own) || function(w))) {
            return true;
        }
        for (entry, words) in self.entries.iter().zip(words).skip(at + 1) {
            if words.contains(&last.as_str()) {
                return true;
            }
            if entry.number.is_some() {
                return false;
            }
        }
        false
    }
}

/// The words of a text, those in its strings as well: a string may be code.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}

/// The text of a file as an input: a first line for the system is none of the language.
pub fn without_shebang(text: &str) -> &str {
    if text.starts_with("#!") { &text[text.find('\n').unwrap_or(text.len())..] } else { text }
}
