//! SentencePiece BPE (Llama 1 and 2, Mistral, Gemma) from a GGUF vocabulary.
//!
//! The file has a score for every piece and no list of merges. Merging the pair whose union scores
//! best, which is what SentencePiece does, is the same as merging by rank when every way of
//! cutting a piece in two is a merge, ranked by the piece's score.

use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as NormalizerSequence;
use tokenizers::normalizers::{NormalizerWrapper, Prepend};

use super::vocabulary::{Vocabulary, kind};
use crate::Result;

/// The character pieces write a space as.
const SPACE: &str = "\u{2581}";

/// The tokenizer.
pub(super) fn build(vocabulary: &Vocabulary<'_>) -> Result<Tokenizer> {
    let meta = vocabulary.meta;
    let scores =
        meta.numbers_or("tokenizer.ggml.scores")?.ok_or_else(|| meta.missing("tokenizer.ggml.scores"))?;
    if scores.len() != vocabulary.tokens.len() {
        return Err(vocabulary.bad("tokenizer.ggml.scores and tokens differ in length"));
    }
    let tokens: Vocab =
        vocabulary.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect();
    let unknown = vocabulary.kinds.iter().position(|&k| k == kind::UNKNOWN);
    let bytes = vocabulary.kinds.contains(&kind::BYTE);
    let merges = merges(vocabulary, scores, &tokens);
    let mut builder = BPE::builder().vocab_and_merges(tokens, merges).byte_fallback(bytes).fuse_unk(true);
    if let Some(id) = unknown {
        builder = builder.unk_token(vocabulary.tokens[id].clone());
    }
    let failed = |e: tokenizers::Error| vocabulary.bad(format!("its tokenizer cannot be built: {e}"));
    let mut tokenizer = Tokenizer::new(builder.build().map_err(failed)?);
    let prefix = meta.flag_or("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    let mut decoders: Vec<DecoderWrapper> = vec![
        DecoderWrapper::Replace(Replace::new(SPACE, " ").map_err(failed)?),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if prefix {
        normalizers.push(Prepend::new(SPACE.to_string()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    normalizers.push(Replace::new(" ", SPACE).map_err(failed)?.into());
    tokenizer.with_normalizer(Some(NormalizerSequence::new(normalizers))).map_err(failed)?;
    tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
    Ok(tokenizer)
}

/// Every way of cutting a piece into two, best first: by the piece's score, then by the length of
/// the halves.
fn merges(vocabulary: &Vocabulary<'_>, scores: &[f64], tokens: &Vocab) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut of_piece = Vec::new();
    for (id, piece) in vocabulary.tokens.iter().enumerate() {
        if matches!(vocabulary.kinds[id], kind::CONTROL | kind::UNKNOWN | kind::BYTE | kind::UNUSED) {
            continue;
        }
        of_piece.clear();
        let length = piece.chars().count();
        for (count, (at, _)) in piece.char_indices().enumerate().skip(1) {
            let (left, right) = piece.split_at(at);
            if let (Some(&l), Some(&r)) = (tokens.get(left), tokens.get(right)) {
                of_piece.push(((l, r), (scores[id], count, length - count), (left, right)));
            }
        }
        of_piece.sort_by_key(|(ids, _, _)| *ids);
        found.extend(of_piece.iter().map(|&(_, rank, halves)| (rank, halves)));
    }
    // Stable, so that equal ranks stay in the order of the vocabulary.
    found.sort_by(|((a, al, ar), _), ((b, bl, br), _)| b.total_cmp(a).then(bl.cmp(al)).then(br.cmp(ar)));
    found.into_iter().map(|(_, (left, right))| (left.to_string(), right.to_string())).collect()
}
