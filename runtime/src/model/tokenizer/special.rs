//! The special tokens that have a name.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// A token and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Special {
    /// As the vocabulary spells it.
    pub token: String,
    /// Its id.
    pub id: u32,
}

/// The tokens `tokenizer_config.json` gives a meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specials {
    /// Beginning of sequence.
    pub bos: Option<Special>,
    /// End of sequence.
    pub eos: Option<Special>,
    /// Padding.
    pub pad: Option<Special>,
    /// Unknown text.
    pub unk: Option<Special>,
}

impl Specials {
    /// Reads `bos_token`, `eos_token`, `pad_token` and `unk_token`, each a string or an object
    /// with `content`.
    pub(super) fn from_config(
        config: &Map<String, Value>,
        id_of: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self> {
        let find = |key: &str| -> Result<Option<Special>> {
            let token = match config.get(key) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(token)) => token,
                Some(Value::Object(map)) => match map.get("content") {
                    Some(Value::String(token)) => token,
                    _ => return Err(Error::argument(format!("{key} has no content"))),
                },
                Some(other) => return Err(Error::argument(format!("{key} is not a token: {other}"))),
            };
            match id_of(token) {
                Some(id) => Ok(Some(Special { token: token.clone(), id })),
                // Llama 2's `<unk>` and the like are sometimes named and absent; an absent token
                // cannot be met, except for the end, whose absence would never stop a generation.
                None if key != "eos_token" => Ok(None),
                None => Err(Error::argument(format!("{key} is {token:?}, which is not in the vocabulary"))),
            }
        };
        Ok(Self {
            bos: find("bos_token")?,
            eos: find("eos_token")?,
            pad: find("pad_token")?,
            unk: find("unk_token")?,
        })
    }
}
