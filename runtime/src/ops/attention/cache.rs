//! Keys and values of the tokens that a batch of sequences has generated so far, for one layer.

use candle_core::Tensor;

use crate::Result;

/// The cache of one layer. Sequences grow separately; none is padded.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) sequences: Vec<Sequence>,
}

/// One sequence's keys and values, `[len, kv_heads · D]` each.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    pub(super) kv: Option<(Tensor, Tensor)>,
}

impl Sequence {
    pub(super) fn len(&self) -> usize {
        self.kv.as_ref().map_or(0, |(k, _)| k.dims()[0])
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
        self.sequences[sequence].len()
    }

    /// Forgets all but the first `tokens` tokens of a sequence.
    pub fn truncate(&mut self, sequence: usize, tokens: usize) -> Result<()> {
        let sequence = &mut self.sequences[sequence];
        if let Some((k, v)) = &sequence.kv
            && tokens < k.dims()[0]
        {
            sequence.kv =
                if tokens == 0 { None } else { Some((k.narrow(0, 0, tokens)?, v.narrow(0, 0, tokens)?)) };
        }
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

    /// A cache whose sequences are copies of these sequences of this one: to continue one prompt in several ways.
    pub fn select(&self, sequences: &[usize]) -> Self {
        Self { sequences: sequences.iter().map(|&i| self.sequences[i].clone()).collect() }
    }
}
