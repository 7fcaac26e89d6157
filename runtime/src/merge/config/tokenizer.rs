//! What a configuration says of the tokenizer of the result.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::Reference;
use super::reference::Location;
use super::scalar::{AboveZero, Flag, Whole};

/// Whose tokenizer the result gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// One with all tokens of all models.
    Union,
    /// The base model's.
    Base,
    /// That of a model.
    Model(Reference),
}

impl<'v> Deserialize<'v> for TokenizerSource {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        let reference = Reference::deserialize(from)?;
        Ok(match reference.to_string().as_str() {
            "union" => Self::Union,
            "base" => Self::Base,
            _ => Self::Model(reference),
        })
    }
}

/// Where the embedding of a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The usual way: the only model that has it, the base, or the mean.
    Usual,
    /// Zeros.
    Zero,
    /// The same token of a model.
    Model(Reference),
    /// A token of a model, by its text.
    Token(Reference, String),
    /// A token of a model, by its id.
    Id(Reference, usize),
}

/// The tokenizer of the result.
#[derive(Clone, Debug)]
pub struct TokenizerConfig {
    /// Whose it is.
    pub source: TokenizerSource,
    /// Tokens with embeddings of their own: the text, where it comes from, and whether models that
    /// have the token get it too.
    pub tokens: Vec<(String, TokenSource, bool)>,
    /// The rows of the embedding are filled up to a multiple of this.
    pub pad_to_multiple_of: Option<usize>,
}

/// `tokenizer` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with source")]
pub(super) struct Written {
    source: Option<TokenizerSource>,
    #[serde(default)]
    tokens: Tokens,
    pad_to_multiple_of: Option<AboveZero>,
}

impl From<Written> for TokenizerConfig {
    fn from(written: Written) -> Self {
        Self {
            source: written.source.unwrap_or(TokenizerSource::Union),
            tokens: written.tokens.0,
            pad_to_multiple_of: written.pad_to_multiple_of.map(|n| n.0),
        }
    }
}

/// `tokens`: a map from the text of a token, in the order of the file.
#[derive(Default)]
struct Tokens(Vec<(String, TokenSource, bool)>);

impl<'v> Deserialize<'v> for Tokens {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'v> Visitor<'v> for All {
            type Value = Tokens;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of tokens, each with source and force")
            }

            fn visit_unit<E>(self) -> Result<Tokens, E> {
                Ok(Tokens::default())
            }

            fn visit_map<A: MapAccess<'v>>(self, mut map: A) -> Result<Tokens, A::Error> {
                let mut all = Vec::new();
                while let Some((token, entry)) = map.next_entry::<String, Token>()? {
                    let force = entry.force.is_some_and(|force| force.0);
                    all.push((token, entry.source.unwrap_or(TokenSource::Usual), force));
                }
                Ok(Tokens(all))
            }
        }
        from.deserialize_any(All)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map with source and force")]
struct Token {
    source: Option<TokenSource>,
    force: Option<Flag>,
}

impl<'v> Deserialize<'v> for TokenSource {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'v> Visitor<'v> for Source {
            type Value = TokenSource;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a model, or a map with kind")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TokenSource, E> {
                Reference::parse(text).map(TokenSource::Model).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'v>>(self, map: A) -> Result<TokenSource, A::Error> {
                Kind::deserialize(MapAccessDeserializer::new(map))?.source().map_err(A::Error::custom)
            }
        }
        from.deserialize_any(Source)
    }
}

/// The source of a token as a map: one of mergekit's kinds, or a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    kind: Option<String>,
    model: Option<Reference>,
    token: Option<String>,
    token_id: Option<Whole>,
    lora: Option<Location>,
}

impl Kind {
    fn source(self) -> Result<TokenSource, &'static str> {
        let model = self.model.map(|model| match self.lora {
            Some(lora) => Reference { lora: Some(lora.path), lora_revision: lora.revision, ..model },
            None => model,
        });
        match (self.kind.as_deref(), model, self.token, self.token_id) {
            (None, Some(model), None, None) => Ok(TokenSource::Model(model)),
            (Some("zero"), None, None, None) => Ok(TokenSource::Zero),
            (Some("model_token"), Some(model), Some(text), None) => Ok(TokenSource::Token(model, text)),
            (Some("model_token"), Some(model), None, Some(id)) => Ok(TokenSource::Id(model, id.0)),
            (None | Some("model_token"), None, ..) => Err("says no model"),
            _ => Err("kind must be zero, or model_token with a model and either token or token_id"),
        }
    }
}
