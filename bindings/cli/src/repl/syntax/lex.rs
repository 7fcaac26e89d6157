//! Text cut into tokens: enough to colour it, to find brackets, and to complete names. No input is
//! refused: what is not closed goes to the end, and what is unknown is a symbol.

use super::Syntax;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name.
    Name,
    /// A word of the language.
    Keyword,
    /// A word that is a value.
    Constant,
    /// A number.
    Number,
    /// A string, and whether it is closed.
    Text(bool),
    /// A comment, and whether it is closed.
    Comment(bool),
    /// Anything else.
    Symbol,
}

/// A token: where it lies in the text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// Of a string or comment: the bytes of what opens it.
    pub opening: usize,
}

impl Token {
    /// Its text.
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start..self.end]
    }

    /// Whether it is a comment.
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment(_))
    }

    /// Whether it is a word: a name, or one the language keeps for itself.
    pub fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Name | Kind::Keyword | Kind::Constant)
    }
}

/// The tokens of a text. White space lies between them.
pub fn tokens(syntax: &Syntax, source: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, len, opening) = next(syntax, &source[at..], first);
        out.push(Token { kind, start: at, end: at + len, opening });
        at += len;
    }
    out
}

fn next(syntax: &Syntax, rest: &str, first: char) -> (Kind, usize, usize) {
    comment(syntax, rest)
        .or_else(|| string(syntax, rest))
        .or_else(|| number(rest, first))
        .or_else(|| word(syntax, rest, first))
        .unwrap_or_else(|| {
            let symbol = syntax.symbols.iter().find(|s| rest.starts_with(**s));
            (Kind::Symbol, symbol.map_or(first.len_utf8(), |s| s.len()), 0)
        })
}

fn comment(syntax: &Syntax, rest: &str) -> Option<(Kind, usize, usize)> {
    if let Some((open, close)) = syntax.block_comment
        && rest.starts_with(open)
    {
        let (len, closed) = nested(rest, open, close);
        return Some((Kind::Comment(closed), len, open.len()));
    }
    let after = rest.strip_prefix(syntax.comment)?;
    let opening = syntax.comment.len();
    if syntax.long_brackets
        && let Some((open, len, closed)) = long_bracket(after)
    {
        return Some((Kind::Comment(closed), opening + len, opening + open));
    }
    // A line of comment is never open: what follows it is another line.
    Some((Kind::Comment(true), rest.find('\n').unwrap_or(rest.len()), opening))
}

/// The length of a comment that may hold others, and whether it is closed.
fn nested(rest: &str, open: &str, close: &str) -> (usize, bool) {
    let (mut depth, mut at) = (0, 0);
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with(open) {
            depth += 1;
            at += open.len();
        } else if rest[at..].starts_with(close) {
            depth -= 1;
            at += close.len();
            if depth == 0 {
                return (at, true);
            }
        } else {
            at += c.len_utf8();
        }
    }
    (at, false)
}

/// `[==[ ... ]==]`: the length of the opening, of all, and whether it is closed.
fn long_bracket(rest: &str) -> Option<(usize, usize, bool)> {
    let level = rest.strip_prefix('[')?.bytes().take_while(|b| *b == b'=').count();
    rest[1 + level..].starts_with('[').then_some(())?;
    let open = level + 2;
    let close = format!("]{}]", "=".repeat(level));
    Some(match rest[open..].find(&close) {
        Some(at) => (open, open + at + close.len(), true),
        None => (open, rest.len(), false),
    })
}

fn string(syntax: &Syntax, rest: &str) -> Option<(Kind, usize, usize)> {
    if syntax.long_brackets
        && let Some((open, len, closed)) = long_bracket(rest)
    {
        return Some((Kind::Text(closed), len, open));
    }
    let quote = syntax.quotes.iter().find(|q| rest.starts_with(q.open))?;
    let mut at = quote.open.len();
    while let Some(c) = rest[at..].chars().next() {
        if rest[at..].starts_with(quote.close) {
            return Some((Kind::Text(true), at + quote.close.len(), quote.open.len()));
        }
        if c == '\n' && !quote.lines {
            break;
        }
        at += c.len_utf8();
        if c == '\\' && quote.escapes {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    Some((Kind::Text(false), at, quote.open.len()))
}

fn number(rest: &str, first: char) -> Option<(Kind, usize, usize)> {
    let bytes = rest.as_bytes();
    let fraction = first == '.' && bytes.get(1).is_some_and(u8::is_ascii_digit);
    if !first.is_ascii_digit() && !fraction {
        return None;
    }
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    let mut end = 1;
    while end < bytes.len() {
        let exponent = matches!(bytes[end - 1], b'e' | b'E') && !hexadecimal;
        match bytes[end] {
            // `1..n` is a number and a range; `1.x` is a number and a method.
            b'.' if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) || bytes.get(end + 1).is_none() => {}
            b'+' | b'-' if exponent => {}
            b if b.is_ascii_alphanumeric() || b == b'_' => {}
            _ => break,
        }
        end += 1;
    }
    Some((Kind::Number, end, 0))
}

fn word(syntax: &Syntax, rest: &str, first: char) -> Option<(Kind, usize, usize)> {
    if !first.is_alphabetic() && first != '_' {
        return None;
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let word = &rest[..end];
    let kind = if syntax.keywords.contains(&word) {
        Kind::Keyword
    } else if syntax.constants.contains(&word) {
        Kind::Constant
    } else {
        Kind::Name
    };
    Some((kind, end, 0))
}

#[cfg(test)]
mod tests {
    use super::super::{LUA, RHAI};
    use super::*;

    fn cut(syntax: &Syntax, source: &str) -> Vec<String> {
        let mark = |t: &Token| match t.kind {
            Kind::Name => 'n',
            Kind::Keyword => 'k',
            Kind::Constant => 'c',
            Kind::Number => '0',
            Kind::Text(true) => 's',
            Kind::Text(false) => 'S',
            Kind::Comment(true) => '#',
            Kind::Comment(false) => 'C',
            Kind::Symbol => '.',
        };
        tokens(syntax, source).iter().map(|t| format!("{}{}", mark(t), t.text(source))).collect()
    }

    #[test]
    fn lua_is_cut_as_lua_does() {
        let line = "local x = a.b:c{1e-3, 'it''s', nil} -- why";
        let want = "klocal nx .= na .. nb .: nc .{ 01e-3 ., s'it' s's' ., cnil .} #-- why";
        assert_eq!(cut(&LUA, line).join(" "), want);
        assert_eq!(cut(&LUA, "[==[ ]] ]==] .. [[open"), ["s[==[ ]] ]==]", "...", "S[[open"]);
        assert_eq!(cut(&LUA, "--[[ a\nb ]] x"), ["#--[[ a\nb ]]", "nx"]);
        assert_eq!(cut(&LUA, "--[[ a"), ["C--[[ a"]);
        assert_eq!(cut(&LUA, r"'a\'b' 'c"), [r"s'a\'b'", "S'c"]);
        assert_eq!(cut(&LUA, "a ~= b // 0x1F..'ß'"), ["na", ".~=", "nb", ".//", "00x1F", "...", "s'ß'"]);
        assert_eq!(cut(&LUA, ".5 + 1."), ["0.5", ".+", "01."]);
    }

    #[test]
    fn rhai_is_cut_as_rhai_does() {
        let line = "let x = lota::mask::all(m, #{a: 1}); // why";
        let want = "klet nx .= nlota .:: nmask .:: nall .( nm ., .#{ na .: 01 .} .) .; #// why";
        assert_eq!(cut(&RHAI, line).join(" "), want);
        assert_eq!(cut(&RHAI, "/* a /* b */ c */ 0..5"), ["#/* a /* b */ c */", "00", "...", "05"]);
        assert_eq!(cut(&RHAI, "`a\n${b}` \"c\nd\" '\\''"), ["s`a\n${b}`", "S\"c", "nd", "S\" '\\''"]);
        assert_eq!(cut(&RHAI, "x.abs() ** 2"), ["nx", "..", "nabs", ".(", ".)", ".**", "02"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_covered_by_tokens_and_space(source in "\\PC{0,40}|[-\\[\\]='\"{}()a-z0-9./*#` \n\\\\]{0,40}") {
            for syntax in [&LUA, &RHAI] {
                let mut at = 0;
                for token in tokens(syntax, &source) {
                    assert!(token.start >= at && token.end > token.start);
                    assert!(source[at..token.start].trim().is_empty());
                    assert!(token.opening <= token.end - token.start);
                    at = token.end;
                }
                assert!(source[at..].trim().is_empty());
            }
        }
    }
}
