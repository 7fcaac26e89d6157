//! Which examples go together in the batches of an epoch: a pure function of the options, the
//! lengths of the examples, the seed and the number of the epoch.

use crate::host::Rng;
use crate::{Error, Result};

/// The order of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// As given, every epoch.
    Sequential,
    /// Shuffled anew every epoch, by the seed.
    #[default]
    Shuffle,
}

/// How examples are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Examples in a batch. With `packed`, only the default for `max_tokens`.
    pub size: usize,
    /// The most tokens of a batch; a longer example is an error.
    pub max_tokens: Option<usize>,
    /// The order of an epoch.
    pub order: Order,
    /// Puts examples of similar length together.
    pub bucket: bool,
    /// Fills every batch with as many examples as `max_tokens` holds (by default `size` times the
    /// longest example).
    pub packed: bool,
    /// The seed of the shuffle.
    pub seed: u64,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { size: 4, max_tokens: None, order: Order::Shuffle, bucket: false, packed: false, seed: 0 }
    }
}

/// Batches being filled at the same time when packing. More fill better and keep less of the order.
const OPEN: usize = 8;
/// Batches' worth of examples that are sorted by length together. Within this window the shuffle
/// decides which examples meet.
const WINDOW: usize = 32;

impl BatchOptions {
    /// An error if the options contradict each other or cannot take examples of these lengths.
    pub fn check(&self, lengths: &[usize]) -> Result<()> {
        if lengths.is_empty() {
            return Err(Error::argument("there are no examples to make batches of"));
        }
        if u32::try_from(lengths.len()).is_err() {
            return Err(Error::argument("more than 2^32 examples cannot be numbered; split them"));
        }
        if self.size == 0 {
            return Err(Error::argument("a batch must have at least 1 example (size = 0)"));
        }
        if let Some(max) = self.max_tokens
            && let Some(i) = lengths.iter().position(|&l| l > max)
        {
            return Err(Error::argument(format!(
                "example {} has {} tokens, more than max_tokens = {max}; raise it or lower max_len",
                i + 1,
                lengths[i]
            )));
        }
        Ok(())
    }

    /// The batches of epoch `epoch` (from 0) as lists of example numbers. Every example is in
    /// exactly one batch; the last batch may be smaller than the others.
    pub fn plan(&self, lengths: &[usize], epoch: u64) -> Vec<Vec<u32>> {
        let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
        let mut rng = Rng::new(self.seed).fork(&format!("data epoch {epoch}"));
        let shuffled = self.order == Order::Shuffle;
        if shuffled {
            rng.shuffle(&mut order);
        }
        if self.bucket {
            let window = if shuffled { self.size.saturating_mul(WINDOW) } else { order.len() };
            for part in order.chunks_mut(window) {
                part.sort_by_key(|&i| lengths[i as usize]);
            }
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut batches = if self.packed {
            pack(&order, lengths, self.max_tokens.unwrap_or(longest.saturating_mul(self.size)))
        } else {
            group(&order, lengths, self.size, self.max_tokens.unwrap_or(usize::MAX))
        };
        if self.bucket && shuffled {
            rng.shuffle(&mut batches);
        }
        batches
    }
}

/// Consecutive groups of at most `size` examples and `max` tokens.
fn group(order: &[u32], lengths: &[usize], size: usize, max: usize) -> Vec<Vec<u32>> {
    let mut batches: Vec<Vec<u32>> = Vec::with_capacity(order.len().div_ceil(size));
    let mut tokens = 0;
    for &i in order {
        let length = lengths[i as usize];
        match batches.last_mut() {
            Some(last) if last.len() < size && tokens + length <= max => {
                last.push(i);
                tokens += length;
            }
            _ => {
                batches.push(vec![i]);
                tokens = length;
            }
        }
    }
    batches
}

/// First fit over at most [`OPEN`] open batches; when one more is needed, the fullest is closed.
fn pack(order: &[u32], lengths: &[usize], max: usize) -> Vec<Vec<u32>> {
    let mut closed = Vec::new();
    let mut open: Vec<(usize, Vec<u32>)> = Vec::with_capacity(OPEN);
    for &i in order {
        let length = lengths[i as usize];
        if let Some((tokens, batch)) = open.iter_mut().find(|(tokens, _)| tokens + length <= max) {
            *tokens += length;
            batch.push(i);
            continue;
        }
        if open.len() == OPEN {
            let most = open.iter().map(|b| b.0).max().unwrap_or(0);
            let fullest = open.iter().position(|b| b.0 == most).unwrap_or(0);
            closed.push(open.remove(fullest).1);
        }
        open.push((length, vec![i]));
    }
    closed.extend(open.into_iter().map(|b| b.1));
    closed
}
