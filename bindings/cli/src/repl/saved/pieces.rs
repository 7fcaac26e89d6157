//! A Rhai text in parts: its statements and functions.

use crate::repl::syntax::{RHAI, Token, tokens};

/// Words that begin what declares something, which must not stand in a block of its own.
const DECLARE: [&str; 6] = ["let", "const", "fn", "private", "import", "export"];

/// The tokens of a text that are no comments.
pub(super) fn code_of(text: &str) -> Vec<Token> {
    tokens(&RHAI, text).into_iter().filter(|t| !t.is_comment()).collect()
}

/// How many brackets are open after one more token.
pub(super) fn deeper(depth: usize, text: &str) -> usize {
    match text {
        "(" | "[" | "{" | "#{" | "?[" => depth + 1,
        ")" | "]" | "}" => depth.saturating_sub(1),
        _ => depth,
    }
}

/// A part of a text between semicolons; a function is a part of its own.
pub(super) struct Piece<'a> {
    pub text: &'a str,
    /// Where it begins.
    pub at: usize,
    pub first: &'a str,
}

impl<'a> Piece<'a> {
    pub(super) fn is_function(&self) -> bool {
        matches!(self.first, "fn" | "private")
    }

    /// Whether something that it declares would be gone at the end of a block.
    pub(super) fn declares(&self) -> bool {
        DECLARE.contains(&self.first)
    }

    /// The variable that it declares, and what follows its name.
    pub(super) fn declared(&self) -> Option<(&'a str, &'a str)> {
        if !matches!(self.first, "let" | "const") {
            return None;
        }
        let found = code_of(self.text);
        let name = found.get(1)?;
        Some((name.text(self.text), self.text[name.end..].trim()))
    }

    /// The name that a module is imported under.
    pub(super) fn import_name(&self) -> Option<&'a str> {
        let found = code_of(self.text);
        let named =
            found.iter().rposition(|t| t.text(self.text) == "as").filter(|_| self.first == "import")?;
        Some(found.get(named + 1)?.text(self.text))
    }
}

/// The parts of a text, in its order.
pub(super) fn pieces(code: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let (mut depth, mut last) = (0, None::<Token>);
    let mut from: Option<(usize, &str)> = None;
    for token in code_of(code) {
        let word = token.text(code);
        // A block needs no semicolon: `if a { } let x = 1`.
        if let Some((at, first)) = from
            && let Some(block) = last.filter(|t| depth == 0 && t.text(code) == "}")
            && DECLARE.contains(&word)
        {
            out.push(Piece { text: &code[at..block.end], at, first });
            from = None;
        }
        let (at, first) = *from.get_or_insert((token.start, word));
        depth = deeper(depth, word);
        let ends_function = word == "}" && matches!(first, "fn" | "private");
        if depth == 0 && (word == ";" || ends_function) {
            if first != ";" {
                out.push(Piece { text: &code[at..token.end], at, first });
            }
            from = None;
        }
        last = Some(token);
    }
    if let Some((at, first)) = from {
        out.push(Piece { text: &code[at..], at, first });
    }
    out
}
