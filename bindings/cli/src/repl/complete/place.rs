//! Where in the code a word stands.

use crate::repl::syntax::{Kind, Syntax, Token};

/// Where a word stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// After a dot or a colon. The owner is the expression at the end of the first `owner` tokens.
    Member { owner: usize, method: bool },
    /// At the place of a name in a table of options. The function is the expression at the end of the
    /// first `callee` tokens.
    Option { callee: usize, given: Vec<&'a str> },
    /// Anywhere else.
    Word,
}

/// The place after `code`, which holds no comments.
pub fn of<'a>(syntax: &Syntax, source: &'a str, code: &[Token]) -> Place<'a> {
    let text = |i: usize| code[i].text(source);
    let Some(last) = code.len().checked_sub(1) else { return Place::Word };
    if code[last].kind != Kind::Symbol {
        return Place::Word;
    }
    if [syntax.path, syntax.field, syntax.method].contains(&text(last)) && last > 0 {
        return Place::Member { owner: last, method: text(last) == syntax.method };
    }
    if text(last) == syntax.options || matches!(text(last), "," | ";") {
        return option(syntax, source, code).unwrap_or(Place::Word);
    }
    Place::Word
}

fn option<'a>(syntax: &Syntax, source: &'a str, code: &[Token]) -> Option<Place<'a>> {
    let text = |i: usize| code[i].text(source);
    let brace = unclosed(source, code)?;
    if text(brace) != syntax.options || brace == 0 {
        return None;
    }
    let mut given = Vec::new();
    let mut depth = 0usize;
    for i in brace + 1..code.len() {
        match text(i) {
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            set if depth == 0 && set == syntax.set.trim() && code[i - 1].is_word() => given.push(text(i - 1)),
            _ => {}
        }
    }
    let callee = match text(brace - 1) {
        "(" => brace - 1,
        "," => {
            let open = unclosed(source, &code[..brace])?;
            (text(open) == "(").then_some(open)?
        }
        // `f{...}` of Lua.
        _ if code[brace - 1].kind == Kind::Name => brace,
        _ => return None,
    };
    Some(Place::Option { callee, given })
}

/// The last bracket that is open at the end.
fn unclosed(source: &str, code: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in code.iter().enumerate().rev().filter(|(_, t)| t.kind == Kind::Symbol) {
        match token.text(source) {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" | "#{" | "?[" if depth == 0 => return Some(i),
            "(" | "[" | "{" | "#{" | "?[" => depth -= 1,
            _ => {}
        }
    }
    None
}
