//! Lua's patterns, matched so that they can be stopped.
//!
//! The matcher of the interpreter runs in C, where no hook looks at the switch, and some patterns take it time
//! exponential in their length. This is the same algorithm (`lstrlib.c` of Lua 5.4) with a count of its steps;
//! `tests/it/patterns.rs` holds both against each other.

use crate::error::{Error, Result};

/// Captures of one pattern, at most.
const CAPTURES: usize = 32;
/// How deep the matcher may recurse.
const DEPTH: u32 = 200;
/// Steps between two looks at the switch: some microseconds.
const EVERY: u32 = 4096;

/// What a capture holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Open,
    Position,
    Bytes(usize),
}

/// A capture that a match made: bytes `from..to`, or a position counted from 0.
pub(super) enum Capture {
    Bytes(usize, usize),
    Position(usize),
}

/// One match under way.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    level: usize,
    captures: [(usize, Length); CAPTURES],
    depth: u32,
    steps: u32,
    look: &'a dyn Fn(u64) -> Result<()>,
}

fn error<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::runtime(text))
}

impl<'a> Matcher<'a> {
    /// `look` is given the steps made since its last call, and may end the match.
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], look: &'a dyn Fn(u64) -> Result<()>) -> Self {
        Self { text, pattern, level: 0, captures: [(0, Length::Open); CAPTURES], depth: 0, steps: 0, look }
    }

    /// Where a match that starts at `at` ends, if there is one. The pattern has no anchor.
    pub(super) fn at(&mut self, at: usize) -> Result<Option<usize>> {
        self.level = 0;
        self.depth = 0;
        self.step(1)?;
        self.go(at, 0)
    }

    /// The captures of the last match `from..to`, or the whole of it where there are none.
    pub(super) fn captured(&self, from: usize, to: usize) -> Result<Vec<Capture>> {
        (0..self.level.max(1)).map(|i| self.capture(i, from, to)).collect()
    }

    /// The captures without the whole match, as `find` gives them.
    pub(super) fn captured_only(&self) -> Result<Vec<Capture>> {
        (0..self.level).map(|i| self.capture(i, 0, 0)).collect()
    }

    /// Capture `i`, counted from 0.
    pub(super) fn capture(&self, i: usize, from: usize, to: usize) -> Result<Capture> {
        if i >= self.level {
            return if i == 0 {
                Ok(Capture::Bytes(from, to))
            } else {
                error(format!("invalid capture index %{}", i + 1))
            };
        }
        let (start, length) = self.captures[i];
        match length {
            Length::Open => error("unfinished capture"),
            Length::Position => Ok(Capture::Position(start)),
            Length::Bytes(n) => Ok(Capture::Bytes(start, start + n)),
        }
    }

    fn step(&mut self, n: u32) -> Result<()> {
        self.steps += n;
        if self.steps >= EVERY {
            (self.look)(u64::from(std::mem::take(&mut self.steps)))?;
        }
        Ok(())
    }

    fn byte(&self, p: usize) -> Option<u8> {
        self.pattern.get(p).copied()
    }

    /// The end of the class that starts at `p`.
    fn class_end(&self, p: usize) -> Result<usize> {
        match self.pattern[p] {
            b'%' if p + 1 >= self.pattern.len() => error("malformed pattern (ends with '%')"),
            b'%' => Ok(p + 2),
            b'[' => {
                let mut q = p + 1;
                if self.byte(q) == Some(b'^') {
                    q += 1;
                }
                loop {
                    match self.byte(q) {
                        None => return error("malformed pattern (missing ']')"),
                        Some(b'%') => q += 2,
                        Some(_) => q += 1,
                    }
                    if self.byte(q) == Some(b']') {
                        return Ok(q + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether `c` is in the set `[...]` that starts at `p`, whose `]` is at `end`.
    fn in_set(&mut self, c: u8, p: usize, end: usize) -> Result<bool> {
        let mut found = true;
        let mut q = p + 1;
        if self.byte(q) == Some(b'^') {
            found = false;
            q += 1;
        }
        self.step(((end - p) / 8) as u32)?;
        while q < end {
            if self.pattern[q] == b'%' {
                q += 1;
                if in_class(c, self.pattern[q]) {
                    return Ok(found);
                }
                q += 1;
            } else if self.byte(q + 1) == Some(b'-') && q + 2 < end {
                if (self.pattern[q]..=self.pattern[q + 2]).contains(&c) {
                    return Ok(found);
                }
                q += 3;
            } else if self.pattern[q] == c {
                return Ok(found);
            } else {
                q += 1;
            }
        }
        Ok(!found)
    }

    fn single(&mut self, s: usize, p: usize, end: usize) -> Result<bool> {
        let Some(&c) = self.text.get(s) else { return Ok(false) };
        self.step(1)?;
        match self.pattern[p] {
            b'.' => Ok(true),
            b'%' => Ok(in_class(c, self.pattern[p + 1])),
            b'[' => self.in_set(c, p, end - 1),
            other => Ok(other == c),
        }
    }

    fn go(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        if self.depth == DEPTH {
            return error("pattern too complex");
        }
        self.depth += 1;
        let end = self.go_on(s, p)?;
        self.depth -= 1;
        Ok(end)
    }

    fn go_on(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>> {
        loop {
            self.step(1)?;
            let Some(c) = self.byte(p) else { return Ok(Some(s)) };
            match (c, self.byte(p + 1)) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Length::Position),
                (b'(', _) => return self.open(s, p + 1, Length::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', Some(b'b')) => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    p += 2;
                    if self.byte(p) != Some(b'[') {
                        return error("missing '[' after '%f' in pattern");
                    }
                    let end = self.class_end(p)?;
                    let before = if s == 0 { 0 } else { self.text[s - 1] };
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if self.in_set(before, p, end - 1)? || !self.in_set(here, p, end - 1)? {
                        return Ok(None);
                    }
                    p = end;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => match self.again(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    let suffix = self.byte(end);
                    if !self.single(s, p, end)? {
                        match suffix {
                            Some(b'*' | b'?' | b'-') => p = end + 1,
                            _ => return Ok(None),
                        }
                        continue;
                    }
                    match suffix {
                        Some(b'?') => match self.go(s + 1, end + 1)? {
                            Some(found) => return Ok(Some(found)),
                            None => p = end + 1,
                        },
                        Some(b'+') => return self.most(s + 1, p, end),
                        Some(b'*') => return self.most(s, p, end),
                        Some(b'-') => return self.least(s, p, end),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    fn most(&mut self, s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        let mut i = 0;
        while self.single(s + i, p, end)? {
            i += 1;
        }
        loop {
            if let Some(found) = self.go(s + i, end + 1)? {
                return Ok(Some(found));
            }
            if i == 0 {
                return Ok(None);
            }
            i -= 1;
        }
    }

    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Result<Option<usize>> {
        loop {
            if let Some(found) = self.go(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(s, p, end)? {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, length: Length) -> Result<Option<usize>> {
        if self.level >= CAPTURES {
            return error("too many captures");
        }
        self.captures[self.level] = (s, length);
        self.level += 1;
        let found = self.go(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let open = (0..self.level).rev().find(|&l| self.captures[l].1 == Length::Open);
        let Some(l) = open else { return error("invalid pattern capture") };
        self.captures[l].1 = Length::Bytes(s - self.captures[l].0);
        let found = self.go(s, p)?;
        if found.is_none() {
            self.captures[l].1 = Length::Open;
        }
        Ok(found)
    }

    fn balance(&mut self, s: usize, p: usize) -> Result<Option<usize>> {
        let (Some(begin), Some(end)) = (self.byte(p), self.byte(p + 1)) else {
            return error("malformed pattern (missing arguments to '%b')");
        };
        if self.text.get(s).copied().unwrap_or(0) != begin {
            return Ok(None);
        }
        let mut open = 1;
        for at in s + 1..self.text.len() {
            self.step(1)?;
            if self.text[at] == end {
                open -= 1;
                if open == 0 {
                    return Ok(Some(at + 1));
                }
            } else if self.text[at] == begin {
                open += 1;
            }
        }
        Ok(None)
    }

    /// What capture `%1` holds, once more.
    fn again(&mut self, s: usize, digit: u8) -> Result<Option<usize>> {
        let l = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let held = if l < self.level { self.captures[l] } else { (0, Length::Open) };
        match held {
            (_, Length::Open) => error(format!("invalid capture index %{}", l.wrapping_add(1))),
            // A position has no bytes that could come again.
            (_, Length::Position) => Ok(None),
            (start, Length::Bytes(n)) => {
                self.step((n / 8) as u32)?;
                let same = self.text[s..].starts_with(&self.text[start..start + n]);
                Ok(same.then_some(s + n))
            }
        }
    }
}

fn in_class(c: u8, class: u8) -> bool {
    let found = match class.to_ascii_lowercase() {
        b'a' => c.is_ascii_alphabetic(),
        b'c' => c.is_ascii_control(),
        b'd' => c.is_ascii_digit(),
        b'g' => c.is_ascii_graphic(),
        b'l' => c.is_ascii_lowercase(),
        b'p' => c.is_ascii_punctuation(),
        b's' => c.is_ascii_whitespace() || c == 0x0b,
        b'u' => c.is_ascii_uppercase(),
        b'w' => c.is_ascii_alphanumeric(),
        b'x' => c.is_ascii_hexdigit(),
        b'z' => c == 0,
        _ => return class == c,
    };
    found != class.is_ascii_uppercase()
}

/// Whether a pattern is plain text.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|c| b"^$*+?.([%-".contains(c))
}
