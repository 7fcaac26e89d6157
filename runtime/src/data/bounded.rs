//! The tokens at one end of a text that may be far longer than what is kept of it.

use crate::Result;

/// What turns text into token ids, without adding special tokens.
pub trait Encode {
    /// The token ids of `text`.
    fn encode(&self, text: &str) -> Result<Vec<u32>>;
}

impl<F: Fn(&str) -> Result<Vec<u32>>> Encode for F {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self(text)
    }
}

/// Which end of a prompt that is too long is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// Its beginning.
    Start,
    /// Its end, where the question usually is.
    #[default]
    End,
}

/// Bytes of a text that are tokenized at first for each token that is kept, and at least.
const BYTES_A_TOKEN: usize = 16;
const LEAST: usize = 1 << 14;

/// The tokens of a text, or those of its kept end if it is very long: at least `most` of them then, the nearest `most` to
/// that end being the ones that the whole text has there.
///
/// A long text is cut at a single space between two letters, where the words of byte-level tokenizers begin (GPT-2's and
/// those after it), so that no word at the kept end is another one. For tokenizers that do not cut into words this alone
/// promises nothing: the tokens are taken only if a cut further away gives the same ones, and otherwise from further away
/// still, at last from the whole text.
pub(super) fn encode(encoder: &dyn Encode, text: &str, keep: Keep, most: usize) -> Result<Vec<u32>> {
    let mut bytes = most.saturating_mul(BYTES_A_TOKEN).max(LEAST);
    let mut before: Option<Vec<u32>> = None;
    while let Some(part) = part(text, keep, bytes) {
        let ids = encoder.encode(part)?;
        let kept = match keep {
            Keep::Start => ids.get(..most),
            Keep::End => ids.len().checked_sub(most).map(|start| &ids[start..]),
        };
        if let Some(kept) = kept {
            if before.as_deref() == Some(kept) {
                return Ok(ids);
            }
            before = Some(kept.to_vec());
        }
        bytes = part.len().saturating_mul(2);
    }
    encoder.encode(text)
}

/// The tokens of a text, or the `most` at the kept end of one that has more, without tokenizing what lies far from it.
pub fn encode_most(encoder: &dyn Encode, text: &str, keep: Keep, most: usize) -> Result<Vec<u32>> {
    let mut ids = encode(encoder, text, keep, most)?;
    match keep {
        Keep::Start => ids.truncate(most),
        Keep::End => drop(ids.drain(..ids.len().saturating_sub(most))),
    }
    Ok(ids)
}

/// The kept end of a text: at least so many bytes, up to a space between two letters, and less than half of the text.
fn part(text: &str, keep: Keep, bytes: usize) -> Option<&str> {
    if bytes > text.len() / 2 {
        return None;
    }
    let all = text.as_bytes();
    // Of a character of several bytes each is above 127: then neither neighbour is an ASCII letter.
    let space = |at: &usize| {
        let letter = |at: usize| all.get(at).is_some_and(u8::is_ascii_alphabetic);
        all[*at] == b' ' && *at > 0 && letter(at - 1) && letter(at + 1)
    };
    let half = text.len() / 2;
    match keep {
        Keep::Start => (bytes..half).find(space).map(|at| &text[..at]),
        Keep::End => (half..text.len() - bytes).rev().find(space).map(|at| &text[at..]),
    }
}
