//! Rhai, as the prompt sees it.

use lota::Language;

use super::{Quote, Syntax};

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
    around_expression: ("(", "\n)"),
    around_statement: ("", ""),
    header,
};

fn header(version: &str, help: bool) -> String {
    let (help, end) = if help { (HELP, "\n") } else { ("", "") };
    format!("// A session of lota {version}.\n{help}{end}")
}
