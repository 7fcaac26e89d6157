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

    /// A cache of copies of these sequences, to continue one in several ways.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn select(&self, sequences: &[usize]) -> Self {
        Self {
            layers: self.layers.iter().map(|layer| layer.select(sequences)).collect(),
            lengths: sequences.iter().map(|&i| self.lengths[i]).collect(),
        }
    }
}

impl Decoder {
    /// An empty cache for this many sequences.
    pub fn cache(&self, sequences: usize) -> KvCache {
        let layers = self.layout.blocks.iter().map(|_| Cache::new(sequences)).collect();
        KvCache { layers, lengths: vec![0; sequences] }
    }

    /// Appends tokens to every sequence of the cache (at least one to each: a whole prompt, or the one
    /// token generated last) and returns the logits that follow the last of each, `[sequences, vocab]`.
    ///
    /// After an error (a cancellation among them) the cache is of no further use.
    pub fn step(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        cache: &mut KvCache,
        tokens: &[impl AsRef<[u32]>],
    ) -> Result<Tensor> {
        let mut x = self.extend(exec, host, params, cache, tokens)?;
        let lengths = tokens.iter().map(|new| new.as_ref().len() as u32);
        let ends = lengths.scan(0, |end, len| {
            *end += len;
            Some(*end - 1)
        });
        let last: Vec<u32> = ends.collect();
        if last.len() < x.dim(0)? {
            x = x.index_select(&Tensor::new(last, exec.device())?, 0)?;
        }
        let (h, w) = self.cached_head(exec, host, params, &x)?;
        head::logits(exec, self.head(), &h, &w)
    }

    /// Appends tokens to every sequence of the cache, and no more: a prompt that is to be continued.
    pub fn read(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        cache: &mut KvCache,
        tokens: &[impl AsRef<[u32]>],
    ) -> Result<()> {
        self.extend(exec, host, params, cache, tokens).map(drop)
    }

    /// Appends tokens to every sequence of the cache, and returns the natural log-probability of the token that is to follow
    /// each of them: `next` has one for each token, sequence after sequence, and so has the result, `[tokens]`.
    pub fn cached_logp(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        cache: &mut KvCache,
        tokens: &[impl AsRef<[u32]>],
        next: &[u32],
    ) -> Result<Tensor> {
        let x = self.extend(exec, host, params, cache, tokens)?;
        let (h, w) = self.cached_head(exec, host, params, &x)?;
        let labels: Vec<i32> = next.iter().map(|&id| id as i32).collect();
        head::logp(exec, self.head(), &h, &w, &head::Labels::new(&labels))
    }

    /// What the head multiplies, from outputs of the last block.
    fn cached_head(&self, exec: &Exec, host: &Host, params: &Params, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let h = rms_norm::forward(exec, run::norm(&self.config), x, params.get(self.layout.norm))?.0;
        host.cancel.check()?;
        self.head_operands(exec, params, &h, None)
    }

    /// The last block's output for new tokens of every sequence, which are added to the cache.
    fn extend(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
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
