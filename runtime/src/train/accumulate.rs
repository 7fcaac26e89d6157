//! What each micro-batch of a step counts for in its loss.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::subject::Subject;
use crate::data::Batch;
use crate::host::Host;
use crate::model::decoder::{CrossEntropy, LogitsLoss, LossFn, OverLogits, Terms};
use crate::{Error, Result};

/// How a loss other than cross-entropy is computed over the micro-batches of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulation {
    /// Once, over the log-probabilities of all micro-batches together, as if they were one batch: a sum adds up, a mean
    /// averages over all labelled positions, and any other loss is what it would be of that batch. Takes one more forward
    /// pass of each micro-batch.
    #[default]
    Whole,
    /// For each micro-batch, and added up.
    Sum,
    /// For each micro-batch, and averaged with the numbers of their labelled positions as weights.
    Mean,
}

/// The losses of the micro-batches of a step, in their order.
pub(super) struct Shares {
    accumulation: Accumulation,
    entropy: CrossEntropy,
    /// What all micro-batches together count for under cross-entropy's reduction.
    total: f64,
    whole: Option<Whole>,
}

/// A loss that was computed over all micro-batches together.
struct Whole {
    loss: f64,
    /// Its derivative by the log-probabilities that are still to come.
    weights: Vec<f32>,
    taken: usize,
}

impl Shares {
    /// Losses of each micro-batch by itself.
    pub fn new(accumulation: Accumulation, entropy: CrossEntropy, total: f64) -> Self {
        Self { accumulation, entropy, total, whole: None }
    }

    /// The shares of `labelled` (those of `batches` that have a label) in a loss over all of `batches`.
    pub fn whole(
        subject: Subject<'_>,
        host: &Host,
        batches: &[Batch],
        labelled: &[&Batch],
        loss: &mut dyn LossFn,
    ) -> Result<Self> {
        let Subject { exec, decoder, params } = subject;
        let found = labelled.iter().map(|batch| decoder.logp(exec, host, params, batch));
        let logp = Tensor::cat(&found.collect::<Result<Vec<_>>>()?, 0)?;
        let (value, weights) = loss.weights(&Batch::concat(batches), &logp)?;
        if weights.dims() != logp.dims() {
            return Err(Error::argument(format!(
                "the loss returned derivatives of shape {:?} for {} log-probabilities",
                weights.dims(),
                logp.elem_count()
            )));
        }
        let whole = Whole { loss: value, weights: weights.to_vec1()?, taken: 0 };
        Ok(Self { whole: Some(whole), ..Self::new(Accumulation::Whole, CrossEntropy::default(), 1.0) })
    }

    /// The loss of the next micro-batch: cross-entropy, or its share of `loss`.
    pub fn next<'a>(&mut self, batch: &Batch, loss: Option<&'a mut (dyn LossFn + 'a)>) -> Result<Share<'a>> {
        let labelled = batch.labelled();
        if let Some(whole) = &mut self.whole {
            let weights = &whole.weights[whole.taken..][..labelled];
            whole.taken += labelled;
            return Ok(Share::Fixed(weights.to_vec()));
        }
        let count = CrossEntropy { over: Some(self.total), ..self.entropy };
        let share = match self.accumulation {
            Accumulation::Sum | Accumulation::Whole => 1.0,
            Accumulation::Mean => self.entropy.count(batch) / self.total,
        };
        Share::new(loss, count, share)
    }

    /// The loss, where it was computed over all micro-batches together.
    pub fn loss(&self) -> Option<f64> {
        self.whole.as_ref().map(|whole| whole.loss)
    }
}

/// The loss of one micro-batch.
pub(super) enum Share<'a> {
    Entropy(CrossEntropy),
    Scaled(Scaled<'a>),
    Counted(OverLogits<'a>),
    /// The derivative by each of its log-probabilities is known.
    Fixed(Vec<f32>),
}

impl<'a> Share<'a> {
    /// Cross-entropy, or `loss`: where it is over logits, its positions count as those of cross-entropy do, and otherwise it
    /// counts for its share.
    pub fn new(loss: Option<&'a mut (dyn LossFn + 'a)>, count: CrossEntropy, share: f64) -> Result<Self> {
        let Some(inner) = loss else { return Ok(Self::Entropy(count)) };
        if inner.of_logits().is_none() {
            return Ok(Self::Scaled(Scaled { inner, share }));
        }
        let over = inner.of_logits().map(|inner| Self::Counted(OverLogits { inner, count }));
        over.ok_or_else(|| Error::argument("a loss must be over logits always or never"))
    }
}

impl LossFn for Share<'_> {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        match self {
            Self::Entropy(loss) => loss.weights(batch, logp),
            Self::Scaled(loss) => loss.weights(batch, logp),
            Self::Counted(loss) => loss.weights(batch, logp),
            Self::Fixed(weights) => Ok((0.0, Tensor::new(weights.as_slice(), logp.device())?)),
        }
    }

    fn needs_logp(&self) -> bool {
        match self {
            Self::Entropy(loss) => loss.needs_logp(),
            Self::Scaled(loss) => loss.needs_logp(),
            Self::Counted(_) | Self::Fixed(_) => false,
        }
    }

    fn terms(&self) -> Terms {
        match self {
            Self::Entropy(loss) => loss.terms(),
            _ => Terms::default(),
        }
    }

    fn of_logits(&mut self) -> Option<&mut dyn LogitsLoss> {
        match self {
            Self::Counted(loss) => loss.of_logits(),
            _ => None,
        }
    }
}

/// A loss that counts for its share of a step.
pub(super) struct Scaled<'a> {
    pub inner: &'a mut dyn LossFn,
    pub share: f64,
}

impl LossFn for Scaled<'_> {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let (loss, weights) = self.inner.weights(batch, logp)?;
        if self.share == 1.0 {
            return Ok((loss, weights));
        }
        Ok((loss * self.share, (weights * self.share)?))
    }

    fn needs_logp(&self) -> bool {
        self.inner.needs_logp()
    }
}
