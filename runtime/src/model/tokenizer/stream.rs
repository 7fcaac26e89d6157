//! Text as tokens arrive: whole characters only.

use super::Tokenizer;
use crate::Result;

/// Turns a growing list of ids into text, holding back bytes that are not a character yet.
///
/// A token's text can depend on the one before it (a leading space is dropped at the start), so
/// each piece is what a short window of tokens decodes to, less what the window decoded to before.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    window: Vec<u32>,
    shown: String,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, window: Vec::new(), shown: String::new() }
    }

    /// The text that `id` completes; empty while a character is incomplete.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.window.push(id);
        let text = self.tokenizer.decode(&self.window, self.skip_special)?;
        // A replacement character at the end is usually the first bytes of a character. Four
        // bytes at most make one; after more tokens than that it is simply not a character.
        if text.ends_with('\u{FFFD}') && self.window.len() < 8 {
            return Ok(String::new());
        }
        self.take(text)
    }

    /// The text still held back at the end.
    pub fn finish(&mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.window, self.skip_special)?;
        self.take(text)
    }

    fn take(&mut self, text: String) -> Result<String> {
        let piece = text.strip_prefix(self.shown.as_str()).unwrap_or_default().to_string();
        // The next window begins with the last token, as context.
        let last = self.window.split_off(self.window.len().saturating_sub(1));
        self.window = last;
        self.shown = self.tokenizer.decode(&self.window, self.skip_special)?;
        Ok(piece)
    }
}
