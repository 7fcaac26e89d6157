//! What a script language writes in its own way: all that the prompt knows of a language is one
//! [`Syntax`]. It does not parse; whether an input is complete, the interpreter says.

mod lex;
mod lua;
mod rhai;

use lota::Language;

pub use lex::{Kind, Token, tokens};
pub use lua::LUA;
pub use rhai::RHAI;

/// A kind of string.
pub struct Quote {
    /// What opens it.
    pub open: &'static str,
    /// What closes it.
    pub close: &'static str,
    /// Whether it may hold line ends.
    pub lines: bool,
    /// Whether a backslash takes the meaning of the character after it.
    pub escapes: bool,
}

/// How a language is written.
pub struct Syntax {
    /// The language.
    pub language: Language,
    /// How the names of its files end.
    pub extension: &'static str,
    /// What begins a comment that goes to the end of the line.
    pub comment: &'static str,
    /// What opens and closes a comment over lines. Lua's long brackets are told by `long_brackets`.
    pub block_comment: Option<(&'static str, &'static str)>,
    /// Whether `[[ ]]` and `[=[ ]=]` are strings, and comments after `--`.
    pub long_brackets: bool,
    /// Strings, longest opening first.
    pub quotes: &'static [Quote],
    /// Symbols of more than one character, longest first.
    pub symbols: &'static [&'static str],
    /// Words with a meaning of their own.
    pub keywords: &'static [&'static str],
    /// Words that are values.
    pub constants: &'static [&'static str],
    /// Between an area and a primitive.
    pub path: &'static str,
    /// Between a table and a field.
    pub field: &'static str,
    /// Between an object and a method.
    pub method: &'static str,
    /// What opens a table of options.
    pub options: &'static str,
    /// What stands between a name and a value in a table.
    pub set: &'static str,
    /// What opens and closes a list.
    pub list: (&'static str, &'static str),
    /// The value that is none.
    pub nil: &'static str,
    /// Words that the name of a module follows, in quotes.
    pub modules: &'static [&'static str],
    /// What stands between the parts of a module's name.
    pub module_separator: &'static str,
    /// The table whose functions are the methods of strings, if there is one.
    pub strings: Option<&'static str>,
    /// The variable that holds the last value; with a number, the value of that number.
    pub last: (&'static str, &'static str),
    /// Makes `lota` and `help` known. Run when a session begins.
    pub begin: &'static str,
    /// Lets go of values that nothing holds. Empty where that needs nothing.
    pub collect: &'static str,
    /// The input with its variables made ones that outlive it.
    pub promote: fn(&str, &[Token]) -> String,
    /// What around a text makes code that parses if the text is an expression.
    pub around_expression: (&'static str, &'static str),
    /// What around a text makes code that parses if the text is a statement.
    pub around_statement: (&'static str, &'static str),
    /// The first lines of a saved session.
    pub header: fn(version: &str, help: bool) -> String,
}

impl Syntax {
    /// The names of the variable for the last value and for that of a number.
    pub fn result_names(&self, number: usize) -> [String; 2] {
        [self.last.0.to_string(), format!("{}{number}", self.last.1)]
    }

    /// The number of the value that a name stands for: `_3` is 3. The last value has none.
    pub fn result_number(&self, name: &str) -> Option<usize> {
        name.strip_prefix(self.last.1)?.parse().ok()
    }

    /// Whether a name stands for a value that the prompt kept.
    pub fn is_result(&self, name: &str) -> bool {
        name == self.last.0 || self.result_number(name).is_some()
    }

    /// Whether an input says that its value is not to be shown.
    pub fn is_silenced(&self, text: &str) -> bool {
        let last = tokens(self, text).into_iter().rfind(|t| !t.is_comment());
        last.is_some_and(|t| t.text(text) == ";")
    }
}
