//! Training a tokenizer: byte-level BPE, as GPT-2's.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::Tokenizer;
use super::bounds::Bounds;
use crate::host::Host;
use crate::{Error, Result};

/// What the tokenizer is to be like.
#[derive(Clone, Debug)]
pub struct TokenizerTraining {
    /// Tokens in all, special ones and single bytes included. With no room beyond those, every
    /// byte is a token.
    pub vocab: usize,
    /// How often a pair must occur to become a token.
    pub min_frequency: u64,
    /// Whether all 256 bytes are tokens, or only those the texts hold. Of the latter kind a
    /// tokenizer is smaller, and reads any other byte as the unknown token.
    pub all_bytes: bool,
    /// The token that begins a text; none is added by itself.
    pub bos: Option<String>,
    /// The token that ends a text.
    pub eos: Option<String>,
    /// Further special tokens.
    pub special: Vec<String>,
}

impl Default for TokenizerTraining {
    fn default() -> Self {
        Self {
            vocab: 512,
            min_frequency: 2,
            all_bytes: true,
            bos: None,
            eos: Some("<eos>".into()),
            special: vec![],
        }
    }
}

/// The spelling of the unknown token, which only a tokenizer without all bytes has.
const UNKNOWN: &str = "<unk>";

/// Bytes of text that a run with limits trains a tokenizer on: nothing looks at the switch meanwhile.
const LONGEST: usize = 128 << 10;
/// What a byte of text takes meanwhile, at most.
const BYTE: usize = 200;

/// Special tokens that it is trained with: each is looked for in those before it.
const MOST_SPECIAL: usize = 10_000;

/// Trains a tokenizer on `texts`. The same texts and options give the same tokenizer.
pub fn train_tokenizer(texts: &[String], options: &TokenizerTraining, host: &Host) -> Result<Tokenizer> {
    host.cancel.check()?;
    if options.special.len() > MOST_SPECIAL {
        return Err(Error::argument(format!(
            "{} special tokens are too many: a tokenizer is trained with {MOST_SPECIAL} at most",
            options.special.len()
        )));
    }
    let mut special: Vec<&str> = Vec::new();
    if !options.all_bytes {
        special.push(UNKNOWN);
    }
    let named = options.bos.iter().chain(&options.eos).chain(&options.special);
    for token in named.map(String::as_str) {
        if token.is_empty() {
            return Err(Error::argument("a special token may not be empty"));
        }
        if !special.contains(&token) {
            special.push(token);
        }
    }
    let bytes: HashSet<char> = if options.all_bytes {
        ByteLevel::alphabet().into_iter().collect()
    } else {
        let used: HashSet<u8> = texts.iter().flat_map(|t| t.bytes()).collect();
        if used.is_empty() {
            return Err(Error::argument(
                "there is no text to find the bytes of; give texts, or take all bytes",
            ));
        }
        spelled(&used)
    };
    let least = special.len() + bytes.len();
    if options.min_frequency == 0 {
        return Err(Error::argument(
            "min_frequency must be at least 1, not 0: a pair that never occurs is no token",
        ));
    }
    if options.vocab < least {
        return Err(Error::argument(format!(
            "a vocabulary of {} is too small: {} bytes and {} special tokens need {least}",
            options.vocab,
            bytes.len(),
            special.len()
        )));
    }
    let text: usize = texts.iter().map(String::len).sum();
    if host.room.is_bounded() && text > LONGEST {
        return Err(Error::argument(format!(
            "{text} bytes of text are too many: a tokenizer is trained on {LONGEST} at most here"
        )));
    }
    host.room.ask_for(text, BYTE)?;
    let mut trainer = BpeTrainer::builder()
        // No text has more tokens than bytes, and the trainer takes memory for all that it may make.
        .vocab_size(options.vocab.min(least.saturating_add(text)))
        .min_frequency(options.min_frequency)
        .show_progress(false)
        .special_tokens(special.iter().map(|t| AddedToken::from(*t, true)).collect())
        .initial_alphabet(bytes)
        .build();
    let refused = |e: tokenizers::Error| Error::argument(format!("the tokenizer cannot be trained: {e}"));
    let mut model = BPE::builder();
    if !options.all_bytes {
        model = model.unk_token(UNKNOWN.to_string());
    }
    let mut inner = TokenizerBuilder::new()
        .with_model(model.build().map_err(refused)?)
        .with_normalizer(None::<tokenizers::normalizers::NFC>)
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(Some(ByteLevel::new(false, false, true)))
        .with_decoder(Some(ByteLevel::new(false, true, true)))
        .build()
        .map_err(refused)?;
    inner.train(&mut trainer, texts.iter()).map_err(refused)?;
    let json = inner.to_string(false).map_err(refused)?;
    let inner = tokenizers::Tokenizer::from_bytes(json).map_err(refused)?;
    host.cancel.check()?;
    Tokenizer::new(inner, config(options), Bounds::plain(host.room.clone()))
}

/// What `tokenizer_config.json` is to hold.
fn config(options: &TokenizerTraining) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    if let Some(bos) = &options.bos {
        config.insert("bos_token".into(), json!(bos));
    }
    if let Some(eos) = &options.eos {
        config.insert("eos_token".into(), json!(eos));
        config.insert("pad_token".into(), json!(eos));
    }
    if !options.all_bytes {
        config.insert("unk_token".into(), json!(UNKNOWN));
    }
    config
}

/// How byte-level tokenizers spell bytes: printable Latin-1 as itself, the others from U+0100 on.
fn spelled(bytes: &HashSet<u8>) -> HashSet<char> {
    let plain = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut next = 0x100;
    let mut out = HashSet::new();
    for byte in 0..=255u8 {
        let code = if plain(byte) {
            u32::from(byte)
        } else {
            next += 1;
            next - 1
        };
        if bytes.contains(&byte) {
            out.extend(char::from_u32(code));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        (0..200).map(|i| format!("sort kitab{i}= abikt, reverse word{}=drow", i % 7)).collect()
    }

    #[test]
    fn training_is_repeatable_and_texts_come_back() {
        let options = TokenizerTraining { vocab: 320, ..TokenizerTraining::default() };
        let a = train_tokenizer(&texts(), &options, &Host::default()).expect("trains");
        let b = train_tokenizer(&texts(), &options, &Host::default()).expect("trains");
        assert_eq!(a.to_json().expect("json"), b.to_json().expect("json"));
        assert!(a.size() <= 320 && a.size() > 257);
        for text in ["sort kitab7=", "naïve 漢字 🦀\n\ttabs  and spaces ", ""] {
            let ids = a.encode(text, true).expect("encodes");
            assert_eq!(a.decode(&ids, true).expect("decodes"), text);
        }
        assert!(a.encode("sort kitab7=", true).expect("encodes").len() < 10);
        assert_eq!(a.specials().eos.as_ref().map(|s| s.token.as_str()), Some("<eos>"));
    }

    #[test]
    fn a_small_alphabet_makes_a_small_vocabulary_of_single_characters() {
        let used: HashSet<u8> = texts().iter().flat_map(|t| t.bytes()).collect();
        let vocab = used.len() + 2;
        let options = TokenizerTraining { vocab, all_bytes: false, ..TokenizerTraining::default() };
        let t = train_tokenizer(&texts(), &options, &Host::default()).expect("trains");
        assert_eq!(t.size(), vocab);
        let ids = t.encode("sort kitab", true).expect("encodes");
        assert_eq!(ids.len(), 10);
        assert_eq!(t.decode(&ids, true).expect("decodes"), "sort kitab");
        let unknown = t.token_to_id(UNKNOWN).expect("has one");
        assert_eq!(t.encode("Z", true).expect("encodes"), [unknown]);
        let small = TokenizerTraining { vocab: 3, ..options };
        assert!(
            train_tokenizer(&texts(), &small, &Host::default())
                .expect_err("too small")
                .to_string()
                .contains("need")
        );
    }
}
