//! Models with different tokens: the tokenizer of the result, and for each of its rows of embedding and
//! head the rows of the models that it is made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use super::config::{Reference, TokenSource, TokenizerConfig, TokenizerSource};
use super::input::beside;
use super::{Input, Reader};
use crate::{Error, Result};

/// The tokenizer of the result and what it means for each model.
pub(super) struct Vocabulary {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The input whose other tokenizer files the result gets.
    pub donor: usize,
    /// Ids in use, one more than the largest.
    pub size: usize,
    /// Rows of the result's embedding.
    pub rows: usize,
    /// For each input, from the result's ids to its own.
    ids: Vec<Vec<Option<usize>>>,
    /// Tokens that are configured, by id.
    configured: BTreeMap<usize, (From, bool)>,
}

/// Where a row comes from if a model does not have it.
#[derive(Clone, Debug, PartialEq)]
enum From {
    Usual,
    Zero,
    Row(usize, usize),
}

/// For one model, where each row of the result comes from.
#[derive(Clone, Debug)]
pub(super) struct RowMap {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    /// Of the model with this place among the readers.
    Of(usize, usize),
    Mean(Vec<(usize, usize)>),
    Zero,
    /// The mean of all rows that are tokens.
    Filling,
}

impl Vocabulary {
    /// Reads the tokenizers and makes that of the result. `inputs` are in the order of `references`,
    /// the base first if there is one; `rows` are those of their embeddings.
    pub(super) fn build(
        config: &TokenizerConfig,
        references: &[Reference],
        inputs: &[Arc<dyn Input>],
        rows: &[Option<usize>],
        notices: &mut Vec<String>,
    ) -> Result<Self> {
        let mut tokenizers = Vec::new();
        for (i, input) in inputs.iter().enumerate() {
            let path = input.folder().unwrap_or(Path::new(input.label())).join("tokenizer.json");
            let file = beside(input.as_ref(), "tokenizer.json")?;
            let tokenizer = file.map(|bytes| open(&bytes, &path, rows[i])).transpose()?;
            if tokenizer.is_none() && i == 0 {
                return Err(Error::argument(format!(
                    "{} has no tokenizer.json, which tokenizer_source needs",
                    input.label()
                )));
            }
            if tokenizer.is_none() {
                notices.push(untold(inputs, rows, i)?);
            }
            tokenizers.push(tokenizer);
        }
        let place = |reference: &Reference| {
            references.iter().position(|r| r == reference).ok_or_else(|| {
                Error::argument(format!("tokenizer: {reference} is none of the models that are merged"))
            })
        };
        let (donor, mut tokenizer) = match &config.source {
            TokenizerSource::Base => (0, tokenizers[0].clone()),
            TokenizerSource::Model(model) => {
                let at = place(model)?;
                (at, tokenizers[at].clone())
            }
            TokenizerSource::Union => (0, Some(union(&tokenizers)?)),
        };
        let tokenizer_of = |t: &mut Option<Tokenizer>| {
            t.take()
                .ok_or_else(|| Error::argument(format!("{} has no tokenizer.json", inputs[donor].label())))
        };
        let mut tokenizer = tokenizer_of(&mut tokenizer)?;
        for (token, ..) in &config.tokens {
            if tokenizer.token_to_id(token).is_none() {
                tokenizer.add_tokens([AddedToken::from(token.clone(), false)]).map_err(|e| not_added(&e))?;
            }
        }
        let vocabulary = tokenizer.get_vocab(true);
        let largest = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        let size = largest.max(vocabulary.len());
        let padded = config.pad_to_multiple_of.map_or(size, |m| size.next_multiple_of(m));
        // A model without a tokenizer is assumed to have the first one's tokens.
        let vocabularies: Vec<HashMap<String, u32>> = tokenizers
            .iter()
            .map(|t| t.as_ref().or(tokenizers[0].as_ref()).map_or_else(HashMap::new, |t| t.get_vocab(true)))
            .collect();
        let mut ids = vec![vec![None; size]; inputs.len()];
        for (token, id) in &vocabulary {
            for ((ids, own), rows) in ids.iter_mut().zip(&vocabularies).zip(rows) {
                let own = own.get(token).map(|id| *id as usize);
                ids[*id as usize] = own.filter(|id| rows.is_none_or(|rows| *id < rows));
            }
        }
        let mut configured = BTreeMap::new();
        for (token, source, force) in &config.tokens {
            let Some(id) = tokenizer.token_to_id(token) else { continue };
            let absent = |what: &dyn std::fmt::Display| {
                Error::argument(format!("tokenizer.tokens[{token:?}]: {what} has no such token"))
            };
            let from = match source {
                TokenSource::Usual => From::Usual,
                TokenSource::Zero => From::Zero,
                TokenSource::Model(model) => {
                    let at = place(model)?;
                    From::Row(at, ids[at][id as usize].ok_or_else(|| absent(model))?)
                }
                TokenSource::Token(model, text) => {
                    let at = place(model)?;
                    let id = vocabularies[at].get(text).ok_or_else(|| absent(model))?;
                    From::Row(at, *id as usize)
                }
                TokenSource::Id(model, id) => {
                    let at = place(model)?;
                    if rows[at].is_some_and(|rows| *id >= rows) {
                        return Err(absent(model));
                    }
                    From::Row(at, *id)
                }
            };
            configured.insert(id as usize, (from, *force));
        }
        Ok(Self { tokenizer, donor, size, rows: padded, ids, configured })
    }

    /// For each of the models that make up a tensor, given by their inputs, where its rows come from.
    /// `base` is a place among them.
    pub(super) fn maps(&self, models: &[usize], base: Option<usize>) -> Result<Vec<RowMap>> {
        let mut maps: Vec<RowMap> =
            models.iter().map(|_| RowMap { rows: Vec::with_capacity(self.rows) }).collect();
        for id in 0..self.size {
            let own: Vec<Option<usize>> = models.iter().map(|m| self.ids[*m][id]).collect();
            let having: Vec<(usize, usize)> =
                own.iter().enumerate().filter_map(|(at, row)| row.map(|row| (at, row))).collect();
            let configured = self.configured.get(&id);
            let force = configured.is_some_and(|(_, force)| *force);
            let usual = || match (&having[..], base.and_then(|b| own[b].map(|row| (b, row)))) {
                ([], _) => Row::Zero,
                ([(at, row)], _) => Row::Of(*at, *row),
                (_, Some((at, row))) => Row::Of(at, row),
                (all, None) => Row::Mean(all.to_vec()),
            };
            let other = match configured {
                None | Some((From::Usual, _)) => usual(),
                Some((From::Zero, _)) => Row::Zero,
                Some((From::Row(input, row), _)) => {
                    let at = models.iter().position(|m| m == input).ok_or_else(|| {
                        Error::argument(
                            "tokenizer.tokens: a token comes from a model that has no part in this tensor",
                        )
                    })?;
                    Row::Of(at, *row)
                }
            };
            for (at, map) in maps.iter_mut().enumerate() {
                map.rows.push(match own[at] {
                    Some(row) if !force => Row::Of(at, row),
                    _ => other.clone(),
                });
            }
        }
        maps.iter_mut().for_each(|map| map.rows.resize(self.rows, Row::Filling));
        Ok(maps)
    }
}

impl RowMap {
    /// Adds the whole map to a hash.
    pub(super) fn hash(&self, hash: &mut blake3::Hasher) {
        let mut add = |kind: u8, numbers: &[usize]| {
            hash.update(&[kind]);
            hash.update(&(numbers.len() as u64).to_le_bytes());
            for n in numbers {
                hash.update(&(*n as u64).to_le_bytes());
            }
        };
        for row in &self.rows {
            match row {
                Row::Of(at, row) => add(0, &[*at, *row]),
                Row::Mean(all) => add(1, &all.iter().flat_map(|(at, row)| [*at, *row]).collect::<Vec<_>>()),
                Row::Zero => add(2, &[]),
                Row::Filling => add(3, &[]),
            }
        }
    }

    /// The first rows as they are.
    pub(super) fn first(at: usize, rows: usize) -> Self {
        Self { rows: (0..rows).map(|row| Row::Of(at, row)).collect() }
    }
}

/// The rows of one model in the order of the result.
pub(super) struct Mapped<'a> {
    /// The same tensor of all models.
    pub readers: Vec<Box<dyn Reader + 'a>>,
    /// Where rows come from.
    pub map: Arc<RowMap>,
    /// The length of a row.
    pub cols: usize,
    /// The mean of all rows that are tokens, once it is known.
    pub mean: OnceLock<Vec<f32>>,
}

impl Mapped<'_> {
    fn row(&self, row: &Row, out: &mut [f32], scratch: &mut Vec<f32>) -> Result<()> {
        let cols = self.cols;
        match row {
            Row::Of(at, row) => out.copy_from_slice(self.readers[*at].read(row * cols, cols, scratch)?),
            Row::Zero => out.fill(0.0),
            Row::Mean(all) => {
                out.fill(0.0);
                for (at, row) in all {
                    let values = self.readers[*at].read(row * cols, cols, scratch)?;
                    out.iter_mut().zip(values).for_each(|(out, v)| *out += v);
                }
                out.iter_mut().for_each(|v| *v /= all.len() as f32);
            }
            Row::Filling => {
                if self.mean.get().is_none() {
                    let mut sum = vec![0.0f64; cols];
                    let mut count = 0usize;
                    for row in self.map.rows.iter().filter(|r| !matches!(r, Row::Filling)) {
                        let mut values = vec![0.0; cols];
                        self.row(row, &mut values, scratch)?;
                        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += f64::from(v));
                        count += 1;
                    }
                    let mean = sum.into_iter().map(|s| (s / count.max(1) as f64) as f32).collect();
                    // Another thread may have been first, with the same.
                    drop(self.mean.set(mean));
                }
                if let Some(mean) = self.mean.get() {
                    out.copy_from_slice(mean);
                }
            }
        }
        Ok(())
    }
}

impl Reader for Mapped<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        let cols = self.cols;
        let mut own = Vec::new();
        let mut row = vec![0.0; cols];
        scratch.clear();
        let mut at = start;
        while at < start + len {
            let (r, from) = (at / cols, at % cols);
            let to = cols.min(from + start + len - at);
            self.row(&self.map.rows[r], &mut row, &mut own)?;
            scratch.extend_from_slice(&row[from..to]);
            at += to - from;
        }
        Ok(scratch)
    }
}

/// The notice that input `i`, which has no tokenizer, is assumed to have the first one's tokens; an error if its embedding
/// has another number of rows, so that this cannot be.
fn untold(inputs: &[Arc<dyn Input>], rows: &[Option<usize>], i: usize) -> Result<String> {
    let (label, first) = (inputs[i].label(), inputs[0].label());
    match (rows[i], rows[0]) {
        (Some(own), Some(of_first)) if own != of_first => Err(Error::mismatch(format!(
            "{label} has no tokenizer.json, and its {own} rows are not the {of_first} of {first}: which row is which token is \
             not known; put the tokenizer.json of {label} into its folder"
        ))),
        _ => Ok(format!("{label} has no tokenizer.json: its tokens are taken to be those of {first}")),
    }
}

/// Reads a tokenizer, without the tokens that its model has no row for.
fn open(bytes: &[u8], path: &Path, rows: Option<usize>) -> Result<Tokenizer> {
    let bad = |e: tokenizers::Error| Error::format(path, format!("not a tokenizer this version reads: {e}"));
    let tokenizer = Tokenizer::from_bytes(bytes).map_err(bad)?;
    let rows = rows.unwrap_or(usize::MAX);
    let beyond: BTreeSet<String> = tokenizer
        .get_vocab(true)
        .into_iter()
        .filter(|(_, id)| *id as usize >= rows)
        .map(|(t, _)| t)
        .collect();
    if beyond.is_empty() {
        return Ok(tokenizer);
    }
    let mut json: Value = serde_json::from_slice(bytes).map_err(|e| Error::format(path, e.to_string()))?;
    if let Some(added) = json.get_mut("added_tokens").and_then(Value::as_array_mut) {
        added.retain(|t| t.get("id").and_then(Value::as_u64).is_none_or(|id| (id as usize) < rows));
    }
    let model = json.get_mut("model").and_then(Value::as_object_mut);
    let Some(model) = model.filter(|m| m.get("vocab").is_some_and(Value::is_object)) else {
        return Err(Error::format(
            path,
            format!(
                "{} tokens have no row in the embedding, and only those of a BPE can be left out",
                beyond.len()
            ),
        ));
    };
    if let Some(vocab) = model.get_mut("vocab").and_then(Value::as_object_mut) {
        vocab.retain(|token, _| !beyond.contains(token));
    }
    if let Some(merges) = model.get_mut("merges").and_then(Value::as_array_mut) {
        merges.retain(|merge| match merge {
            Value::String(pair) => pair.split(' ').all(|t| !beyond.contains(t)),
            Value::Array(pair) => pair.iter().filter_map(Value::as_str).all(|t| !beyond.contains(t)),
            _ => true,
        });
    }
    Tokenizer::from_bytes(json.to_string().as_bytes()).map_err(bad)
}

/// A tokenizer that takes no more tokens.
fn not_added(why: &tokenizers::Error) -> Error {
    Error::argument(format!("a token cannot be added to the tokenizer: {why}"))
}

/// The first tokenizer with the tokens of the others added, in their order.
fn union(tokenizers: &[Option<Tokenizer>]) -> Result<Tokenizer> {
    let mut all = tokenizers.iter().flatten();
    let mut out = all.next().cloned().ok_or_else(|| Error::argument("no model has a tokenizer"))?;
    let mut special: Vec<AddedToken> = Vec::new();
    for other in all {
        let added = other.get_added_tokens_decoder();
        let mut plain: Vec<(u32, String)> = other
            .get_vocab(true)
            .into_iter()
            .filter(|(_, id)| !added.contains_key(id))
            .map(|(t, id)| (id, t))
            .collect();
        plain.sort_unstable();
        let new = plain.into_iter().map(|(_, token)| token).filter(|t| out.token_to_id(t).is_none());
        let new: Vec<AddedToken> = new.map(|t| AddedToken::from(t, false)).collect();
        if !new.is_empty() {
            out.add_tokens(new).map_err(|e| not_added(&e))?;
        }
        let mut added: Vec<_> = added.into_iter().collect();
        added.sort_unstable_by_key(|(id, _)| *id);
        special.extend(added.into_iter().map(|(_, token)| token));
    }
    for token in special {
        if out.token_to_id(&token.content).is_none() {
            let added = if token.special { out.add_special_tokens([token]) } else { out.add_tokens([token]) };
            added.map_err(|e| not_added(&e))?;
        }
    }
    Ok(out)
}
