//! The text of a page of the standard library cut into tokens, comments left out. The pages are ours, so nothing is
//! unclosed.

/// A token of Lua: what kind it is, and where it lies in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// The text between the quotes, of a string.
    pub(super) quoted: Option<&'a str>,
}

/// The tokens of a text.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let (len, quoted) = match first {
            '-' if rest.starts_with("--") => {
                rest = rest[rest.find('\n').unwrap_or(rest.len())..].trim_start();
                continue;
            }
            '"' | '\'' => {
                let len = string(rest, first);
                (len, Some(&rest[1..len - 1]))
            }
            c if c.is_alphabetic() || c == '_' => (run(rest, |c| c.is_alphanumeric() || c == '_'), None),
            c if c.is_ascii_digit() => (number(rest), None),
            c => (c.len_utf8(), None),
        };
        out.push(Token { text: &rest[..len], quoted });
        rest = rest[len..].trim_start();
    }
    out
}

/// The bytes of a number: `1e-5` holds a sign.
fn number(rest: &str) -> usize {
    let plain = run(rest, |c| c.is_alphanumeric() || c == '.');
    match rest[plain..].strip_prefix(['-', '+']) {
        Some(more) if rest[..plain].ends_with(['e', 'E']) => plain + 1 + run(more, |c| c.is_ascii_digit()),
        _ => plain,
    }
}

/// How many bytes of a text hold such characters.
fn run(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|c| !holds(c)).unwrap_or(text.len())
}

/// The bytes of a string with its quotes.
fn string(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
