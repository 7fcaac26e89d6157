//! The inputs of a session that succeeded, as a script that does the same.

use super::syntax::{Input, Kind, Syntax, tokens};

/// What was run.
#[derive(Default)]
pub struct Record {
    entries: Vec<Entry>,
    /// How many inputs failed; they are not among the entries.
    pub failed: usize,
}

struct Entry {
    text: String,
    number: Option<usize>,
    shown: bool,
    /// Whether it is the text of a file.
    file: bool,
}

impl Record {
    /// Adds an input that gave the value of a number, or none.
    pub fn input(&mut self, text: &str, number: Option<usize>, shown: bool) {
        self.entries.push(Entry { text: text.trim().to_string(), number, shown, file: false });
    }

    /// Adds a file that was run, as its text.
    pub fn file(&mut self, path: &str, text: &str, syntax: &Syntax) {
        let text = format!("{} {path}\n{}", syntax.comment, text.trim_end());
        self.entries.push(Entry { text, number: None, shown: false, file: true });
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The script.
    pub fn script(&self, syntax: &Syntax) -> String {
        let names: Vec<Vec<&str>> = self.entries.iter().map(|e| names(syntax, &e.text)).collect();
        let help = names.iter().any(|n| n.contains(&"help"));
        let mut out = (syntax.header)(lota::VERSION, help);
        out.push('\n');
        for (i, entry) in self.entries.iter().enumerate() {
            if entry.file {
                out += &entry.text;
            } else {
                let used = entry.number.is_some_and(|n| self.is_used(syntax, &names, i, n));
                let input = Input { text: &entry.text, number: entry.number, shown: entry.shown, used };
                out += &(syntax.statement)(&input, &tokens(syntax, &entry.text));
            }
            out.push('\n');
        }
        out
    }

    /// Whether the value of an entry is named later: by its number, or as the last one before another is.
    fn is_used(&self, syntax: &Syntax, names: &[Vec<&str>], at: usize, number: usize) -> bool {
        let [last, own] = syntax.result_names(number);
        let mut is_last = true;
        for (entry, names) in self.entries.iter().zip(names).skip(at + 1) {
            if names.contains(&own.as_str()) || (is_last && names.contains(&last.as_str())) {
                return true;
            }
            is_last &= entry.number.is_none();
        }
        false
    }
}

fn names<'a>(syntax: &Syntax, text: &'a str) -> Vec<&'a str> {
    tokens(syntax, text).iter().filter(|t| t.kind == Kind::Name).map(|t| t.text(text)).collect()
}
