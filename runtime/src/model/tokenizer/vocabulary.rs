//! The vocabulary of a GGUF file.

use crate::model::gguf::Metadata;
use crate::{Error, Result};

/// What `tokenizer.ggml.token_type` says about a token.
pub(super) mod kind {
    pub const UNKNOWN: u8 = 2;
    pub const CONTROL: u8 = 3;
    pub const USER_DEFINED: u8 = 4;
    pub const UNUSED: u8 = 5;
    pub const BYTE: u8 = 6;
}

/// The vocabulary of a file.
pub(super) struct Vocabulary<'a> {
    pub meta: &'a Metadata,
    pub tokens: &'a [String],
    /// One for each token, see [`kind`].
    pub kinds: Vec<u8>,
}

impl Vocabulary<'_> {
    /// The token and id of one that has a role (`bos`, `eos`, …).
    pub fn special(&self, role: &str) -> Result<Option<(&str, u32)>> {
        let key = format!("tokenizer.ggml.{role}_token_id");
        let Some(id) = self.meta.id_or(&key)? else { return Ok(None) };
        let token = self.tokens.get(id as usize).ok_or_else(|| {
            self.bad(format!("{key} is {id}, but the vocabulary has {} tokens", self.tokens.len()))
        })?;
        Ok(Some((token, id)))
    }

    /// An error about this file.
    pub fn bad(&self, what: impl Into<String>) -> Error {
        Error::format(self.meta.path(), what)
    }
}
