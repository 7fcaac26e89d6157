//! Losses: functions of the log-probabilities of the labelled tokens.

use candle_core::Tensor;

use crate::data::Batch;
use crate::{Error, Result};

/// A loss over the log-probabilities of a batch's labelled tokens.
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
}

/// What a pass over a batch found.
#[derive(Clone, Debug)]
pub struct LossOut {
    /// The loss.
    pub loss: f64,
    /// The log-probability of each label, `[n]`.
    pub logp: Tensor,
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
}

impl CrossEntropy {
    /// With a reduction over each batch on its own.
    pub fn new(reduction: Reduction) -> Self {
        Self { reduction, over: None }
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
}

/// `Σ w·logp`, summed in f64.
pub(super) fn weighted_sum(weights: &Tensor, logp: &Tensor) -> Result<f64> {
    let (w, l) = (weights.to_vec1::<f32>()?, logp.to_vec1::<f32>()?);
    Ok(w.iter().zip(&l).map(|(w, l)| f64::from(*w) * f64::from(*l)).sum())
}
