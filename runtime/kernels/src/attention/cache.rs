//! Keys and values of the tokens that a batch of sequences has generated so far, for one layer.

use candle_core::Tensor;
use rayon::prelude::*;

use super::kernel::Keys;
use crate::{Error, Result};

/// The cache of one layer. Sequences grow separately; none is padded.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) sequences: Vec<Sequence>,
}

/// One sequence's keys and values, `[tokens, kv_heads · D]` each.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    pub(super) tokens: usize,
    pub(super) store: Store,
}

/// Where the values of a sequence are.
#[derive(Debug, Clone)]
pub(super) enum Store {
    /// In vectors that grow: the CPU kernel's.
    Host(Vec<f32>, Vec<f32>),
    /// In tensors: the reference path's.
    Device(Tensor, Tensor),
}

impl Default for Store {
    fn default() -> Self {
        Self::Host(Vec::new(), Vec::new())
    }
}

impl Sequence {
    /// A copy that `more` tokens can be added to without moving it.
    fn copy(&self, more: usize) -> Self {
        let store = match &self.store {
            Store::Host(k, v) => {
                let room = more * k.len().checked_div(self.tokens).unwrap_or(0);
                let copy = |values: &[f32]| {
                    let mut copy = Vec::with_capacity(values.len() + room);
                    copy.extend_from_slice(values);
                    copy
                };
                Store::Host(copy(k), copy(v))
            }
            Store::Device(k, v) => Store::Device(k.clone(), v.clone()),
        };
        Self { tokens: self.tokens, store }
    }

    /// Adds new tokens, and returns all keys and values.
    pub(super) fn append(&mut self, k: &[f32], v: &[f32], width: usize) -> Result<Keys<'_>> {
        if let Store::Device(old_k, old_v) = &self.store {
            let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
            self.store = Store::Host(values(old_k)?, values(old_v)?);
        }
        let Store::Host(all_k, all_v) = &mut self.store else {
            return Err(Error::argument("attention: a cache could not be brought to the CPU"));
        };
        if all_k.len() != self.tokens * width {
            return Err(Error::mismatch("attention: a cache was made by a layer of another width"));
        }
        all_k.extend_from_slice(k);
        all_v.extend_from_slice(v);
        self.tokens += k.len() / width;
        Ok(Keys { k: all_k, v: all_v })
    }
}

impl Cache {
    /// An empty cache of this many sequences.
    pub fn new(sequences: usize) -> Self {
        Self { sequences: vec![Sequence::default(); sequences] }
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// The number of tokens a sequence has cached.
    pub fn tokens(&self, sequence: usize) -> usize {
        self.sequences[sequence].tokens
    }

    /// Forgets all but the first `tokens` tokens of a sequence.
    pub fn truncate(&mut self, sequence: usize, tokens: usize) -> Result<()> {
        let sequence = &mut self.sequences[sequence];
        if tokens >= sequence.tokens {
            return Ok(());
        }
        match &mut sequence.store {
            _ if tokens == 0 => sequence.store = Store::default(),
            Store::Host(k, v) => {
                let width = k.len() / sequence.tokens;
                k.truncate(tokens * width);
                v.truncate(tokens * width);
            }
            Store::Device(k, v) => {
                *k = k.narrow(0, 0, tokens)?;
                *v = v.narrow(0, 0, tokens)?;
            }
        }
        sequence.tokens = tokens;
        Ok(())
    }

    /// Drops finished sequences: those for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut at = 0;
        self.sequences.retain(|_| {
            at += 1;
            keep(at - 1)
        });
    }

    /// A cache whose sequences are copies of these sequences of this one, with room for `more` tokens in each: to continue
    /// one prompt in several ways.
    pub fn select(&self, sequences: &[usize], more: usize) -> Self {
        Self { sequences: sequences.par_iter().map(|&i| self.sequences[i].copy(more)).collect() }
    }
}
