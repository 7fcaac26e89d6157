//! Losses: functions of the log-probabilities of the labelled tokens, or of the logits there.

use std::ops::Range;

use candle_core::Tensor;

use crate::data::Batch;
use crate::ops::head::Terms;
use crate::{Error, Result};

/// A loss over one number of each labelled position of a batch: the log-probability of its label, or, of a loss over
/// logits, what that is there.
pub trait LossFn {
    /// The loss, and its derivative by each log-probability; both `[n]` in f32, in the order of the
    /// labelled positions.
    ///
    /// Of a loss that does not need the log-probabilities only the derivative counts, and `logp`
    /// holds zeros.
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)>;

    /// False for a loss `Σ w·logp` whose weights do not depend on `logp`: it saves the pass that
    /// would find them first.
    fn needs_logp(&self) -> bool {
        true
    }

    /// What is added to the log-probabilities.
    fn terms(&self) -> Terms {
        Terms::default()
    }

    /// What makes the number of each labelled position of its logits, where it is not the log-probability. Such a loss
    /// has weights that do not depend on those numbers, and does not need log-probabilities.
    fn of_logits(&mut self) -> Option<&mut dyn LogitsLoss> {
        None
    }
}

/// A loss over logits: a number for each labelled position, computed from its logits a chunk of positions at a time.
pub trait LogitsLoss {
    /// The loss at each position of a chunk, `[n]`, and its derivative by each of the chunk's logits `[n, vocab]`; all f32,
    /// on the device of the logits. What it is at a position may depend on the logits of that position alone, since which
    /// others are in its chunk depends on memory.
    fn chunk(&mut self, rows: Rows<'_>, logits: &Tensor) -> Result<(Tensor, Tensor)>;
}

/// The rows of a chunk of logits. The chunks of a pass over a batch come in order.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Which of its labelled positions they are, counted from 0.
    pub labelled: Range<usize>,
}

/// A loss over logits, summed up as cross-entropy is.
pub struct OverLogits<'a> {
    /// The loss at each position.
    pub inner: &'a mut dyn LogitsLoss,
    /// How it sums up.
    pub count: CrossEntropy,
}

impl LossFn for OverLogits<'_> {
    fn weights(&mut self, batch: &Batch, values: &Tensor) -> Result<(f64, Tensor)> {
        let (value, weights) = self.count.weights(batch, values)?;
        Ok((-value, weights.neg()?))
    }

    fn needs_logp(&self) -> bool {
        false
    }

    fn of_logits(&mut self) -> Option<&mut dyn LogitsLoss> {
        Some(self.inner)
    }
}

/// What a pass over a batch found.
#[derive(Clone, Debug)]
pub struct LossOut {
    /// The loss.
    pub loss: f64,
    /// The number of each labelled position, `[n]`: its log-probability, or what the loss made of its logits.
    pub values: Tensor,
}

/// How cross-entropy sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// The mean over the labelled positions of the batch.
    #[default]
    Mean,
    /// The sum over each sequence, and the mean over sequences.
    Sum,
}

impl std::str::FromStr for Reduction {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            other => Err(Error::argument(format!("reduction must be \"mean\" or \"sum\", not {other:?}"))),
        }
    }
}

/// Cross-entropy of the labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy {
    /// How it sums up.
    pub reduction: Reduction,
    /// What to divide the sum by instead of this batch's own count of labelled positions (or of
    /// sequences): the count of all micro-batches together, where gradients accumulate.
    pub over: Option<f64>,
    /// Label smoothing and z-loss.
    pub terms: Terms,
}

impl CrossEntropy {
    /// With a reduction over each batch on its own.
    pub fn new(reduction: Reduction) -> Self {
        Self { reduction, ..Self::default() }
    }

    /// What a batch counts for under this reduction.
    pub fn count(self, batch: &Batch) -> f64 {
        match self.reduction {
            Reduction::Mean => batch.labelled() as f64,
            Reduction::Sum => batch.sequences() as f64,
        }
    }
}

impl LossFn for CrossEntropy {
    fn weights(&mut self, batch: &Batch, logp: &Tensor) -> Result<(f64, Tensor)> {
        let count = self.over.unwrap_or_else(|| self.count(batch));
        let weights = Tensor::full((-1.0 / count) as f32, logp.elem_count(), logp.device())?;
        Ok((weighted_sum(&weights, logp)?, weights))
    }

    fn needs_logp(&self) -> bool {
        false
    }

    fn terms(&self) -> Terms {
        self.terms
    }
}

/// `Σ w·logp`, summed in f64.
pub(super) fn weighted_sum(weights: &Tensor, logp: &Tensor) -> Result<f64> {
    let (w, l) = (weights.to_vec1::<f32>()?, logp.to_vec1::<f32>()?);
    Ok(w.iter().zip(&l).map(|(w, l)| f64::from(*w) * f64::from(*l)).sum())
}
