//! Rhai, as the prompt sees it.

use lota::Language;

use super::{Input, Quote, Syntax, Token};

const HELP: &str = "fn help() { lota::help() } fn help(value) { lota::help(value) }";

/// Rhai. A name cannot be `_` or `_1` there, so values are kept as `ans` and `ans1`.
pub static RHAI: Syntax = Syntax {
    language: Language::Rhai,
    extension: "rhai",
    comment: "//",
    block_comment: Some(("/*", "*/")),
    long_brackets: false,
    quotes: &[
        Quote { open: "##\"", close: "\"##", lines: true, escapes: false },
        Quote { open: "#\"", close: "\"#", lines: true, escapes: false },
        Quote { open: "\"", close: "\"", lines: false, escapes: true },
        Quote { open: "'", close: "'", lines: false, escapes: true },
        Quote { open: "`", close: "`", lines: true, escapes: false },
    ],
    symbols: &[
        "**=", "<<=", ">>=", "..=", "#{", "::", "**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "?[",
        "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "=>", "->", "..",
    ],
    keywords: &[
        "as", "break", "catch", "const", "continue", "do", "else", "export", "fn", "for", "global", "if",
        "import", "in", "let", "loop", "private", "return", "switch", "this", "throw", "try", "until",
        "while",
    ],
    constants: &["false", "true"],
    path: "::",
    field: ".",
    method: ".",
    options: "#{",
    set: ": ",
    list: ("[", "]"),
    nil: "()",
    modules: &["import"],
    module_separator: "/",
    strings: None,
    last: ("ans", "ans"),
    begin: HELP,
    collect: "",
    promote: |source, _| source.to_string(),
    statement,
    header,
};

/// A value that is used later is kept by name, and an expression that was shown is printed. Statements that end in a value
/// do what they did: variables that they declare must stay where they are.
fn statement(input: &Input<'_>, found: &[Token]) -> String {
    let text = input.text.trim();
    let printed = input.number.is_some() && input.shown && expression(input.text, found);
    match input.number {
        Some(number) if input.used => {
            let print = if input.shown { format!("\nprint(ans{number});") } else { String::new() };
            format!("let ans = {text};\nlet ans{number} = ans;{print}")
        }
        // The bracket after a comment would be part of it.
        _ if printed && found.last().is_some_and(Token::is_comment) => format!("print({text}\n);"),
        _ if printed => format!("print({text});"),
        _ if text.ends_with([';', '}']) => text.to_string(),
        _ => format!("{text};"),
    }
}

/// Words that an expression does not begin with.
const STATEMENTS: [&str; 13] = [
    "let", "const", "fn", "private", "import", "export", "while", "loop", "for", "do", "return", "throw",
    "try",
];

/// Whether a text is one expression.
fn expression(source: &str, found: &[Token]) -> bool {
    let mut code = found.iter().filter(|t| !t.is_comment()).map(|t| t.text(source)).peekable();
    let begins = code.peek().is_some_and(|first| !STATEMENTS.contains(first));
    let mut depth = 0usize;
    begins
        && code.all(|text| {
            match text {
                "(" | "[" | "{" | "#{" | "?[" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > 0 || text != ";"
        })
}

fn header(version: &str, help: bool) -> String {
    let (help, end) = if help { (HELP, "\n") } else { ("", "") };
    format!("// A session of lota {version}.\n{help}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::syntax::tokens;

    #[test]
    fn a_saved_input_shows_what_it_showed() {
        let saved = |text: &str, number: Option<usize>, shown: bool, used: bool| {
            statement(&Input { text, number, shown, used }, &tokens(&RHAI, text))
        };
        assert_eq!(saved("1 + 2", Some(1), true, false), "print(1 + 2);");
        assert_eq!(saved("if a { 1 } else { 2 }", Some(1), true, false), "print(if a { 1 } else { 2 });");
        assert_eq!(saved("[1, 2].map(|x| { let y = x; y })", Some(1), true, false).get(..6), Some("print("));
        assert_eq!(saved("f(2) // twice", Some(1), true, false), "print(f(2) // twice\n);");
        assert_eq!(saved("1 + 2", Some(3), true, true), "let ans = 1 + 2;\nlet ans3 = ans;\nprint(ans3);");
        // What was not shown is not printed, and what declares variables stays in its scope.
        assert_eq!(saved("f(2)", Some(1), false, false), "f(2);");
        assert_eq!(saved("let x = 3; x", Some(1), true, false), "let x = 3; x;");
        assert_eq!(saved("while x < 3 { x += 1 }", None, true, false), "while x < 3 { x += 1 }");
        assert_eq!(saved("let x = 3", None, true, false), "let x = 3;");
    }
}
