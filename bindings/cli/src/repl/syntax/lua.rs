//! Lua, as the prompt sees it.

use lota::Language;

use super::{Kind, Quote, Syntax, Token};

/// PUC Lua 5.4.
pub static LUA: Syntax = Syntax {
    language: Language::Lua,
    extension: "lua",
    comment: "--",
    block_comment: None,
    long_brackets: true,
    quotes: &[
        Quote { open: "\"", close: "\"", lines: false, escapes: true },
        Quote { open: "'", close: "'", lines: false, escapes: true },
    ],
    symbols: &["...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>"],
    keywords: &[
        "and", "break", "do", "else", "elseif", "end", "for", "function", "goto", "if", "in", "local", "not",
        "or", "repeat", "return", "then", "until", "while",
    ],
    constants: &["false", "nil", "true"],
    path: ".",
    field: ".",
    method: ":",
    options: "{",
    set: " = ",
    list: ("{", "}"),
    nil: "nil",
    modules: &["require"],
    module_separator: ".",
    strings: Some("string"),
    last: ("_", "_"),
    begin: "lota = require 'lota' help = lota.help",
    collect: "collectgarbage()",
    promote,
    around_expression: ("return ", ""),
    around_statement: ("do ", "\nend"),
    header,
};

/// At a prompt each input is a chunk of its own, so the locals of its outermost block would be gone
/// at the next one. They become globals; lines stay lines.
fn promote(source: &str, tokens: &[Token]) -> String {
    let code: Vec<&Token> = tokens.iter().filter(|t| !t.is_comment()).collect();
    let word = |i: usize| code.get(i).map_or("", |t| t.text(source));
    let mut out = String::new();
    let (mut depth, mut from, mut i) = (0usize, 0, 0);
    while i < code.len() {
        match word(i) {
            "do" | "if" | "function" | "repeat" => depth += 1,
            "end" | "until" => depth = depth.saturating_sub(1),
            "local" if depth == 0 && code[i].kind == Kind::Keyword => {
                let declared = if word(i + 1) == "function" { Some(i) } else { list_end(source, &code, i) };
                if let Some(end) = declared {
                    out.push_str(&source[from..code[i].start]);
                    from = code.get(i + 1).map_or(code[i].end, |t| t.start);
                    // `<const>` means nothing to a global.
                    while i < end {
                        i += 1;
                        if word(i) == "<" {
                            out.push_str(source[from..code[i].start].trim_end());
                            from = code[i + 2].end;
                            i += 2;
                        }
                    }
                }
            }
            _ => {}
        }
        i += 1;
    }
    out + &source[from..]
}

/// Where the `=` of a declaration with values stands. One without values, or with a variable that is
/// to be closed, is left as it is.
fn list_end(source: &str, code: &[&Token], local: usize) -> Option<usize> {
    let mut i = local + 1;
    loop {
        (code.get(i)?.kind == Kind::Name).then_some(())?;
        i += 1;
        if code.get(i)?.text(source) == "<" {
            (code.get(i + 1)?.text(source) == "const" && code.get(i + 2)?.text(source) == ">")
                .then_some(())?;
            i += 3;
        }
        match code.get(i)?.text(source) {
            "," => i += 1,
            "=" => return Some(i),
            _ => return None,
        }
    }
}

fn header(version: &str, help: bool) -> String {
    let help = if help { "help = lota.help\n" } else { "" };
    format!("-- A session of lota {version}.\nlota = require \"lota\"\n{help}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::syntax::tokens;

    #[test]
    fn outermost_locals_become_globals() {
        for (source, want) in [
            ("local x = 1", "x = 1"),
            ("local a, b = 1, 2 local c = a", "a, b = 1, 2 c = a"),
            (
                "local function f()\n  local y = 1\nend\nlocal z = f()",
                "function f()\n  local y = 1\nend\nz = f()",
            ),
            ("do local x = 1 end", "do local x = 1 end"),
            (
                "if a then local b = 1 elseif c then local d = 1 end local e = 2",
                "if a then local b = 1 elseif c then local d = 1 end e = 2",
            ),
            ("for i = 1, 2 do local x = i end local y = 1", "for i = 1, 2 do local x = i end y = 1"),
            ("local x <const>, y = 1, 2", "x, y = 1, 2"),
            ("local x <close> = f()", "local x <close> = f()"),
            ("local x", "local x"),
            ("-- local x = 1\nlocal y = 'local z = 2'", "-- local x = 1\ny = 'local z = 2'"),
            ("f(function() local a = 1 end)", "f(function() local a = 1 end)"),
        ] {
            assert_eq!(promote(source, &tokens(&LUA, source)), want);
        }
    }
}
