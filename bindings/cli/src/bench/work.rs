//! The work of a training that is measured: how weights are held, the batch, how often.

use clap::Args;
use lota::runtime::data::{Batch, Example, collate};
use lota::runtime::host::Rng;

#[derive(Args)]
pub(super) struct Work {
    /// How weights are held: f32 or bf16
    #[arg(long, default_value = "f32")]
    pub dtype: String,
    /// Sequences of the random batch
    #[arg(long, default_value_t = 4)]
    pub sequences: usize,
    /// Tokens of each; every one but the first is a target
    #[arg(long, default_value_t = 256)]
    pub tokens: usize,
    /// Steps that are timed (of each kind, where there are several), after one that is not
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Work {
    /// The steps, the first of which is not timed.
    pub fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.steps.max(1)
    }

    /// The batch for a model with so many tokens in its vocabulary.
    pub fn batch(&self, vocab: usize) -> Batch {
        random_batch(vocab, self.sequences, self.tokens)
    }
}

/// Random texts of which every token but the first is a target.
pub(super) fn random_batch(vocab: usize, sequences: usize, tokens: usize) -> Batch {
    let mut rng = Rng::new(2);
    let mut text = || (0..tokens.max(2)).map(|_| rng.below(vocab as u64) as u32).collect::<Vec<_>>();
    let examples: Vec<Example> =
        (0..sequences.max(1)).map(|_| text()).map(|t| Example::new(&t[..1], &t[1..])).collect();
    collate((0..).zip(&examples))
}
