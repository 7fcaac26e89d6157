//! Byte-level BPE (GPT-2 and its descendants) from a GGUF vocabulary.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::split::{self, Splitting};
use super::vocabulary::Vocabulary;
use crate::Result;

/// The tokenizer, and whether texts of its kind begin with a beginning of sequence unless the file
/// says otherwise.
pub(super) fn build(vocabulary: &Vocabulary<'_>) -> Result<(Tokenizer, bool)> {
    let name = vocabulary.meta.text_or("tokenizer.ggml.pre")?.unwrap_or("default");
    let splitting = split::of(name).ok_or_else(|| {
        vocabulary.bad(format!(
            "its text is split in a way called {name}, which is not known (known are {}): give a tokenizer.json instead",
            split::known()
        ))
    })?;
    let tokens: Vocab =
        vocabulary.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect();
    let mut merges = Vec::new();
    for merge in vocabulary.meta.texts("tokenizer.ggml.merges")? {
        // The first character may itself be a space in no byte-level vocabulary.
        let pair = merge.split_once(' ').filter(|(a, b)| tokens.contains_key(*a) && tokens.contains_key(*b));
        let (a, b) = pair.ok_or_else(|| {
            vocabulary.bad(format!("tokenizer.ggml.merges has {merge:?}, which is not two tokens"))
        })?;
        merges.push((a.to_string(), b.to_string()));
    }
    let model = BPE::builder()
        .vocab_and_merges(tokens, merges)
        .ignore_merges(splitting.whole_words)
        .build()
        .map_err(|e| vocabulary.bad(format!("its tokenizer cannot be built: {e}")))?;
    let mut tokenizer = Tokenizer::new(model);
    let failed = |e: tokenizers::Error| vocabulary.bad(format!("its tokenizer cannot be built: {e}"));
    if splitting.compose {
        tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
    }
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer(&splitting).map_err(failed)?));
    tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
    Ok((tokenizer, splitting.begins))
}

fn pre_tokenizer(splitting: &Splitting) -> tokenizers::Result<PreTokenizerWrapper> {
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    if splitting.single_digits {
        steps.push(Digits::new(true).into());
    }
    for pattern in splitting.patterns {
        let pattern = SplitPattern::Regex((*pattern).to_string());
        steps.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into());
    }
    // Without patterns of its own, a text is split by GPT-2's, which the byte level brings along.
    steps.push(ByteLevel::new(false, true, splitting.patterns.is_empty()).into());
    Ok(Sequence::new(steps).into())
}
