//! An endless stream of batches over a set of examples, epoch after epoch, whose place can be
//! saved.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Batch, BatchOptions, Example, Order, collate};
use crate::{Error, Result};

/// Where a stream stands, and which stream it is. The order of an epoch depends on the seed and
/// the epoch's number alone, so this is all the randomness there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Batches of this epoch that were given out.
    pub position: usize,
    /// A hash of the examples and the options.
    pub fingerprint: String,
}

/// The stream.
#[derive(Clone, Debug)]
pub struct Batches {
    examples: Arc<Vec<Example>>,
    lengths: Arc<Vec<usize>>,
    options: BatchOptions,
    fingerprint: String,
    epoch: u64,
    position: usize,
    plan: Vec<Vec<u32>>,
}

impl Batches {
    /// Batches of `examples`, grouped as `options` say.
    pub fn new(examples: Arc<Vec<Example>>, options: BatchOptions) -> Result<Self> {
        let lengths: Vec<usize> = examples.iter().map(Example::len).collect();
        options.check(&lengths)?;
        let fingerprint = fingerprint(&examples, &options);
        let plan = options.plan(&lengths, 0);
        Ok(Self { examples, lengths: Arc::new(lengths), options, fingerprint, epoch: 0, position: 0, plan })
    }

    /// The next batch; after the last one of an epoch comes the first of the next.
    #[allow(clippy::should_implement_trait)] // It never ends, so an Iterator's Option would only be in the way.
    pub fn next(&mut self) -> Batch {
        if self.position == self.plan.len() {
            self.go_to(self.epoch + 1, 0);
        }
        let batch = self.at(self.position);
        self.position += 1;
        batch
    }

    /// Batches in the current epoch (with packing, epochs differ).
    pub fn len(&self) -> usize {
        self.plan.len()
    }

    /// Never true: a stream has at least one example.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// All batches of the current epoch from its beginning, without moving the stream.
    pub fn epoch(&self) -> impl Iterator<Item = Batch> + '_ {
        (0..self.plan.len()).map(|i| self.at(i))
    }

    /// The examples.
    pub fn examples(&self) -> &Arc<Vec<Example>> {
        &self.examples
    }

    /// The options.
    pub fn options(&self) -> &BatchOptions {
        &self.options
    }

    /// A hash of the examples and the options, to name the data in a ticket.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where the stream stands.
    pub fn state(&self) -> BatchState {
        BatchState { epoch: self.epoch, position: self.position, fingerprint: self.fingerprint.clone() }
    }

    /// Moves the stream to a saved place. It must be a stream over the same examples with the same
    /// options. On an error the stream stays where it was.
    pub fn restore(&mut self, state: &BatchState) -> Result<()> {
        if state.fingerprint != self.fingerprint {
            return Err(Error::mismatch(
                "the saved place belongs to a stream over other examples or with other options (size, order, seed, \
                 …); it cannot be resumed with these",
            ));
        }
        let (epoch, position) = (self.epoch, self.position);
        self.go_to(state.epoch, state.position);
        if self.position > self.plan.len() {
            let text =
                format!("the saved place, batch {} of {}, does not exist", self.position, self.plan.len());
            self.go_to(epoch, position);
            return Err(Error::mismatch(text));
        }
        Ok(())
    }

    fn go_to(&mut self, epoch: u64, position: usize) {
        if epoch != self.epoch {
            self.plan = self.options.plan(&self.lengths, epoch);
        }
        self.epoch = epoch;
        self.position = position;
    }

    fn at(&self, position: usize) -> Batch {
        collate(self.plan[position].iter().map(|&i| (i, &self.examples[i as usize])))
    }
}

fn fingerprint(examples: &[Example], options: &BatchOptions) -> String {
    let mut hasher = blake3::Hasher::new();
    let BatchOptions { size, max_tokens, order, bucket, packed, seed } = options;
    let order = match order {
        Order::Sequential => "sequential",
        Order::Shuffle => "shuffle",
    };
    hasher.update(format!("{size} {max_tokens:?} {order} {bucket} {packed} {seed}\n").as_bytes());
    let mut bytes = Vec::new();
    for example in examples {
        bytes.clear();
        bytes.extend((example.len() as u64).to_le_bytes());
        bytes.extend(example.tokens.iter().flat_map(|t| t.to_le_bytes()));
        bytes.extend(example.labels.iter().flat_map(|l| l.to_le_bytes()));
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}
