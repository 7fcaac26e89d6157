//! How much a text may ask of Lua's compiler, which runs in C, where no hook looks at the switch.
//!
//! It is linear in most of what a text can hold, but not in all: each `elseif`, `and` and `or` walks the list of jumps of those
//! before it, each `goto` and `break` is looked for among the others, and each name is compared with the variables of all
//! functions around it. These are counted before it begins.

use crate::error::{Error, Result};
use crate::limits::Meter;

/// Bytes of a text.
const LONGEST: usize = 1 << 20;
/// How often `elseif`, `goto`, `break` and labels may occur together, and `and` and `or`.
const JUMPS: usize = 2000;
const LOGICAL: usize = 8000;
/// Comparisons of names with variables.
const COMPARISONS: u64 = 20_000_000;
/// Variables that a function can have, and variables around it that it can use.
const LOCALS: u64 = 200;
const UPVALUES: u64 = 255;

/// Refuses a text that would take the compiler long, and counts the work of the others.
pub(super) fn check(meter: &Meter, text: &[u8]) -> Result<()> {
    meter.spend(text.len() as u64 / 16)?;
    let refused =
        |what: String| Err(Error::new(crate::ErrorKind::Syntax, format!("{what}; split it into modules")));
    if text.len() > LONGEST {
        return refused(format!(
            "a script of {} bytes is too long: {LONGEST} may be compiled at once",
            text.len()
        ));
    }
    let work = Work::of(text);
    if work.jumps > JUMPS {
        return refused(format!(
            "a script may hold {JUMPS} of elseif, goto, break and labels, and this holds {}",
            work.jumps
        ));
    }
    if work.logical > LOGICAL {
        return refused(format!(
            "a script may hold {LOGICAL} of `and` and `or`, and this holds {}",
            work.logical
        ));
    }
    if work.comparisons > COMPARISONS {
        return refused(
            "a script has too many names inside too many functions with too many variables".into(),
        );
    }
    Ok(())
}

/// What a text asks of the compiler.
#[derive(Debug, Default, PartialEq)]
struct Work {
    jumps: usize,
    logical: usize,
    comparisons: u64,
}

/// A block that is open.
enum Block {
    Function { locals: u64, around: u64 },
    Other,
}

/// What a token is to the count.
enum Token<'a> {
    Word(&'a [u8]),
    Sign(u8),
    Other,
}

/// Where in a list of new variables the text is.
#[derive(Clone, Copy, PartialEq)]
enum List {
    /// In none.
    None,
    /// Before a variable.
    Name,
    /// Behind one.
    Behind,
    /// In its attribute.
    Attribute,
}

impl Work {
    fn of(text: &[u8]) -> Self {
        let mut work = Self::default();
        let mut blocks = vec![Block::Function { locals: 0, around: 1 }];
        // The comparisons that a name costs here.
        let (mut cost, mut list, mut parameters) = (1, List::None, false);
        let mut rest = text;
        while let Some(token) = next(&mut rest) {
            list = match (token, list) {
                (Token::Word(b"local" | b"for"), _) => List::Name,
                (Token::Word(b"function"), list) => {
                    let locals = |b: &Block| if let Block::Function { locals, .. } = b { *locals } else { 0 };
                    let around = (blocks.iter().map(locals).sum::<u64>() + 1).min(UPVALUES);
                    cost += around;
                    blocks.push(Block::Function { locals: 0, around });
                    parameters = true;
                    list
                }
                (Token::Word(b"do" | b"if" | b"repeat"), _) => {
                    blocks.push(Block::Other);
                    List::None
                }
                (Token::Word(b"end" | b"until"), _) => {
                    // The outermost is never closed, whatever a text that does not parse says.
                    if blocks.len() > 1
                        && let Some(Block::Function { locals, around }) = blocks.pop()
                    {
                        cost -= locals + around;
                    }
                    List::None
                }
                (Token::Word(_), List::Name) => {
                    let inner = blocks.iter_mut().rev().find_map(|b| match b {
                        Block::Function { locals, .. } => Some(locals),
                        Block::Other => None,
                    });
                    if let Some(locals) = inner.filter(|locals| **locals < LOCALS) {
                        *locals += 1;
                        cost += 1;
                    }
                    List::Behind
                }
                (Token::Word(_), List::Attribute) => List::Attribute,
                (Token::Word(word), _) => {
                    match word {
                        b"elseif" | b"goto" | b"break" => work.jumps += 1,
                        b"and" | b"or" => work.logical += 1,
                        _ => work.comparisons += cost,
                    }
                    List::None
                }
                (Token::Sign(b'('), _) if parameters => {
                    parameters = false;
                    List::Name
                }
                (Token::Sign(b','), List::Behind) => List::Name,
                (Token::Sign(b'<'), List::Behind) => List::Attribute,
                (Token::Sign(b'>'), List::Attribute) => List::Behind,
                (Token::Sign(b':'), _) => {
                    work.jumps += usize::from(rest.first() == Some(&b':'));
                    List::None
                }
                (Token::Sign(_) | Token::Other, _) => List::None,
            };
        }
        work
    }
}

/// The next token; texts and comments are no words.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Token<'a>> {
    loop {
        let (&first, after) = rest.split_first()?;
        match first {
            b if b.is_ascii_whitespace() => *rest = after,
            b'-' if after.first() == Some(&b'-') => {
                let comment = &after[1..];
                *rest = match long(comment) {
                    Some(behind) => behind,
                    None => &comment[memchr::memchr(b'\n', comment).unwrap_or(comment.len())..],
                };
            }
            b'"' | b'\'' => {
                let mut at = 0;
                while at < after.len() && after[at] != first && after[at] != b'\n' {
                    at += if after[at] == b'\\' { 2 } else { 1 };
                }
                *rest = after.get(at + 1..).unwrap_or_default();
                return Some(Token::Other);
            }
            b'[' if long(rest).is_some() => {
                *rest = long(rest).unwrap_or_default();
                return Some(Token::Other);
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                let len = rest.iter().take_while(|b| is_part(b)).count();
                let (word, behind) = rest.split_at(len);
                *rest = behind;
                return Some(Token::Word(word));
            }
            b if b.is_ascii_digit() => {
                let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'.').count();
                *rest = &rest[len..];
                return Some(Token::Other);
            }
            sign => {
                *rest = after;
                return Some(Token::Sign(sign));
            }
        }
    }
}

/// What stands behind a long bracket and all in it, if one begins here.
fn long(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"[")?;
    let level = inner.iter().take_while(|b| **b == b'=').count();
    let inner = inner[level..].strip_prefix(b"[")?;
    let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
    Some(match memchr::memmem::find(inner, &close) {
        Some(at) => &inner[at + close.len()..],
        None => &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_texts_and_comments_do_not_count() {
        let text = br#"-- goto and
            --[==[ elseif ]] or ]==] local s = "and \" or" .. 'elseif' .. [[ goto ]] .. [=[ break ]] ]=]
            if x and y then goto done elseif z then end ::done::"#;
        let work = Work::of(text);
        assert_eq!((work.jumps, work.logical), (4, 1));
        assert_eq!(Work::of(b"'unfinished").jumps, 0);
        assert_eq!(Work::of(b"[[unfinished goto").jumps, 0);
        assert_eq!(Work::of(b"end end until").comparisons, 0);
    }

    #[test]
    fn a_name_costs_the_variables_around_it() {
        let flat = Work::of(b"local a, b = 1, 2 print(a)").comparisons;
        let nested =
            Work::of(b"local a, b = 1, 2 local function f(c, d) return function(e) print(a) end end")
                .comparisons;
        assert!(flat < nested && nested < 100, "{flat} {nested}");
        let locals = |i: usize| (0..180).map(|k| format!("local v{i}_{k} ")).collect::<String>();
        let deep: String = (0..100).map(|i| format!("local function f{i}() {}", locals(i))).collect();
        let deep = format!("{deep}{}{}", "x = x ".repeat(10_000), "end ".repeat(100));
        assert!(Work::of(deep.as_bytes()).comparisons > COMPARISONS);
        let wide = format!("{}{}", locals(0), "x = x ".repeat(20_000));
        assert!(Work::of(wide.as_bytes()).comparisons < COMPARISONS);
    }
}
