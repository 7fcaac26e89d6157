//! Which line of a table opens a quote that no other closes: the reader of tables does not say.

use std::io::Read;

/// Passes a table's bytes on and follows its quotes, by the rules of the reader behind it.
pub(super) struct Quotes<R> {
    inner: R,
    delimiter: u8,
    state: State,
    line: u64,
    /// The line of the quote that is open.
    opened: u64,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before a field.
    Start,
    /// In a field without quotes, or behind those of one: quotes mean nothing.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes the field, unless another follows.
    Closing,
}

impl<R> Quotes<R> {
    pub fn new(inner: R, delimiter: u8) -> Self {
        Self { inner, delimiter, state: State::Start, line: 1, opened: 0, ended: false }
    }

    /// The line of the quote that was open when the file ended.
    pub fn open_at_the_end(&self) -> Option<u64> {
        (self.ended && self.state == State::Quoted).then_some(self.opened)
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.ended |= n == 0 && !buffer.is_empty();
        for &byte in &buffer[..n] {
            self.state = match (self.state, byte) {
                (State::Start, b'"') => {
                    self.opened = self.line;
                    State::Quoted
                }
                (State::Quoted, b'"') => State::Closing,
                (State::Closing, b'"') | (State::Quoted, _) => State::Quoted,
                (_, b'\r' | b'\n') => State::Start,
                (_, byte) if byte == self.delimiter => State::Start,
                _ => State::Plain,
            };
            self.line += u64::from(byte == b'\n');
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_quote_is_found_where_it_opens() {
        for (text, line) in [
            ("a,b\n1,\"2\n3,4\n", Some(2)),
            ("a,b\n\"1\n\n3", Some(2)),
            ("\"a", Some(1)),
            ("a,b\n1,\"x\"\"\n", Some(2)),
            ("a,b\n1,\"x\n\ny\"\n", None),
            ("a,b\n1,5\" pipe\n", None),
            ("a,b\n1,\"x\"\"y\"\n", None),
            ("a,b\n\"x\" \"y,2\n", None),
            ("", None),
        ] {
            let mut quotes = Quotes::new(text.as_bytes(), b',');
            std::io::copy(&mut quotes, &mut std::io::sink()).expect("reads");
            assert_eq!(quotes.open_at_the_end(), line, "{text:?}");
            let mut all =
                csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
            let last =
                all.records().last().map(|r| r.expect("text").iter().next_back().unwrap_or("").to_string());
            // The reader of tables sees the same: an open field takes the end of the file, line breaks and all.
            let takes_the_end = last.is_some_and(|field| text.ends_with('\n') && field.ends_with('\n'));
            assert!(!takes_the_end || line.is_some(), "{text:?}");
        }
    }
}
