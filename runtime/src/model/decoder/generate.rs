//! The forward of generation: new tokens only, against what is cached.

use candle_core::Tensor;

use super::block::{Attend, Block};
use super::run::{self, Run};
use super::{Decoder, Params};
use crate::host::Host;
use crate::ops::attention::Cache;
use crate::ops::{Exec, head, rms_norm};
use crate::{Error, Result};

/// The keys and values of a batch of sequences, which may differ in length.
#[derive(Clone, Debug)]
pub struct KvCache {
    layers: Vec<Cache>,
    lengths: Vec<u32>,
}

impl KvCache {
    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The number of tokens a sequence has so far.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn tokens(&self, sequence: usize) -> usize {
        self.lengths[sequence] as usize
    }

    /// Forgets all but the first `tokens` tokens of a sequence.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn truncate(&mut self, sequence: usize, tokens: usize) -> Result<()> {
        for layer in &mut self.layers {
            layer.truncate(sequence, tokens)?;
        }
        let length = &mut self.lengths[sequence];
        *length = (*length).min(tokens as u32);
        Ok(())
    }

    /// Drops the sequences for which `keep` is false; the others move up.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        for layer in &mut self.layers {
            layer.retain(&keep);
        }
        let mut at = 0;
        self.lengths.retain(|_| {
            at += 1;
            keep(at - 1)
        });
    }

    /// A cache of copies of these sequences, with room for `more` tokens in each: to continue one in several ways.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn select(&self, sequences: &[usize], more: usize) -> Self {
        Self {
            layers: self.layers.iter().map(|layer| layer.select(sequences, more)).collect(),
            lengths: sequences.iter().map(|&i| self.lengths[i]).collect(),
        }
    }
}

/// What a pass is carried out with.
#[derive(Clone, Copy)]
struct Pass<'a> {
    exec: &'a Exec,
    host: &'a Host,
    params: &'a Params,
}

/// New tokens that were added to a cache, with the last block's output for each of them.
pub struct Read<'a> {
    decoder: &'a Decoder,
    run: Pass<'a>,
    x: Tensor,
    /// How many tokens each sequence was given.
    lengths: Vec<u32>,
}

impl Read<'_> {
    /// The logits that follow the last token of each sequence, `[sequences, vocab]`.
    pub fn logits(self) -> Result<Tensor> {
        let ends = self.lengths.iter().scan(0, |end, len| {
            *end += len;
            Some(*end - 1)
        });
        let last: Vec<u32> = ends.collect();
        let x = match last.len() < self.x.dim(0)? {
            true => &self.x.index_select(&Tensor::new(last, self.run.exec.device())?, 0)?,
            false => &self.x,
        };
        let (h, w) = self.head_operands(x)?;
        head::logits(self.run.exec, self.decoder.head(), &h, &w)
    }

    /// The natural log-probability of the token that is to follow each of the new ones: `next` has one for each, sequence
    /// after sequence, and so has the result, `[tokens]`.
    pub fn logp(self, next: &[u32]) -> Result<Tensor> {
        let (h, w) = self.head_operands(&self.x)?;
        let labels: Vec<i32> = next.iter().map(|&id| id as i32).collect();
        head::logp(self.run.exec, self.decoder.head(), &h, &w, &head::Labels::new(&labels))
    }

    /// What the head multiplies, from outputs of the last block.
    fn head_operands(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let Self { decoder, run: Pass { exec, host, params }, .. } = self;
        let norm = params.get(decoder.layout.norm);
        let h = rms_norm::forward(exec, run::norm(&decoder.config), x, norm)?.0;
        host.cancel.check()?;
        decoder.head_operands(exec, params, &h, None)
    }
}

impl Decoder {
    /// An empty cache for this many sequences.
    pub fn cache(&self, sequences: usize) -> KvCache {
        let layers = self.layout.blocks.iter().map(|_| Cache::new(sequences)).collect();
        KvCache { layers, lengths: vec![0; sequences] }
    }

    /// Appends tokens to every sequence of the cache, at least one to each: a whole prompt, or the one token generated last.
    /// What follows them is asked of the result.
    ///
    /// After an error (a cancellation among them) the cache is of no further use.
    pub fn read<'a>(
        &'a self,
        exec: &'a Exec,
        host: &'a Host,
        params: &'a Params,
        cache: &mut KvCache,
        tokens: &[impl AsRef<[u32]>],
    ) -> Result<Read<'a>> {
        let run = Pass { exec, host, params };
        let x = self.extend(run, cache, tokens)?;
        let lengths = tokens.iter().map(|new| new.as_ref().len() as u32).collect();
        Ok(Read { decoder: self, run, x, lengths })
    }

    /// The last block's output for new tokens of every sequence, which are added to the cache.
    fn extend(
        &self,
        Pass { exec, host, params }: Pass<'_>,
        cache: &mut KvCache,
        tokens: &[impl AsRef<[u32]>],
    ) -> Result<Tensor> {
        self.check_params(params)?;
        if tokens.len() != cache.len() || cache.layers.len() != self.layout.blocks.len() {
            return Err(Error::argument(format!(
                "tokens for {} sequences and a cache of {} sequences and {} layers do not fit a model of {} layers",
                tokens.len(),
                cache.len(),
                cache.layers.len(),
                self.layout.blocks.len()
            )));
        }
        let (mut ids, mut positions, mut segments) = (Vec::new(), Vec::new(), vec![0]);
        for (new, &length) in tokens.iter().zip(&cache.lengths) {
            let new = new.as_ref();
            if new.is_empty() {
                return Err(Error::argument("every sequence needs at least one new token"));
            }
            ids.extend_from_slice(new);
            positions.extend(length..length + new.len() as u32);
            segments.push(ids.len() as u32);
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            let vocab = self.config.vocab_size;
            return Err(Error::argument(format!("token {id} is outside the vocabulary of {vocab}")));
        }
        self.check_lengths(cache, tokens)?;
        let run = Run::new(exec, host, &self.config, params, &segments, &positions)?;
        let mut x = self.embed(exec, params, &ids)?;
        for (index, (layout, layer)) in self.layout.blocks.iter().zip(&mut cache.layers).enumerate() {
            x = Block { run: &run, layout, index }.forward(&x, Attend::Cached(layer))?;
        }
        for (length, new) in cache.lengths.iter_mut().zip(tokens) {
            *length += new.as_ref().len() as u32;
        }
        Ok(x)
    }

    /// Whether a sequence of `before` cached tokens cannot become one of `after`: its rotary embedding
    /// changes between the two, and the keys in the cache were turned by that of short sequences. It must
    /// start again with an empty cache ([`KvCache::truncate`] to 0) and all of its tokens.
    pub fn outgrows(&self, before: usize, after: usize) -> bool {
        let crosses = |limit: usize| before > 0 && before <= limit && after > limit;
        self.config.ropes.iter().filter_map(|r| r.switches_above()).any(crosses)
    }

    fn check_lengths(&self, cache: &KvCache, tokens: &[impl AsRef<[u32]>]) -> Result<()> {
        for (new, &length) in tokens.iter().zip(&cache.lengths) {
            let (before, after) = (length as usize, length as usize + new.as_ref().len());
            if self.outgrows(before, after) {
                return Err(Error::limit(format!(
                    "this model's rotary embedding is another one for long sequences, and a cached sequence of \
                     {before} tokens would become one of {after}: start it again with an empty cache"
                )));
            }
        }
        Ok(())
    }
}
