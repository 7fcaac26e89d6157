//! How a model is trained: what a trainer is made with. What the options do is the business of the files they come from.

use super::accumulate::Accumulation;
use super::gradient::Clip;
use super::group::{Group, check_rate};
use super::optimizer::Optimizer;
use super::penalty::Penalty;
use super::schedule::Schedule;
use crate::model::decoder::{Checkpoint, Reduction, Terms};
use crate::{Error, Result};

/// How a model is trained.
#[derive(Debug)]
pub struct TrainOptions {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The learning rate, before the schedule.
    pub lr: f64,
    /// The schedule.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises.
    pub warmup: u64,
    /// The number of steps there will be, which some schedules need.
    pub total: Option<u64>,
    /// Clipping.
    pub clip: Clip,
    /// What the backward keeps of the forward.
    pub checkpoint: Checkpoint,
    /// How cross-entropy puts the losses of labelled positions together.
    pub reduction: Reduction,
    /// Label smoothing and z-loss of cross-entropy.
    pub terms: Terms,
    /// How another loss over log-probabilities is computed over the micro-batches of a step. Of a loss over logits every
    /// position counts as `reduction` says.
    pub accumulation: Accumulation,
    /// Updates each block's parameters as soon as its gradients are there, so that the gradients of
    /// all are never held together. Neither global clipping nor several micro-batches are possible. A step that is
    /// cancelled or fails half-way is taken back if at most a tenth of the entries is trained; of more, what they were
    /// is not kept, and the parameters that have taken the step by then keep it, which a notice says.
    pub per_block: bool,
    /// Keeps frozen and sparsely trained matrices packed as the kernels read them, from one step to the next: the same
    /// bits sooner, the more so the fewer tokens a step has, for the memory of two more copies of them.
    pub keep_packed: bool,
    /// A quadratic penalty on the distance from other values.
    pub penalty: Option<Penalty>,
    /// Parameters with a learning rate or weight decay of their own.
    pub groups: Vec<Group>,
}

impl TrainOptions {
    /// Options with an optimizer and a learning rate; all else at its default.
    pub fn new(optimizer: Optimizer, lr: f64) -> Self {
        Self {
            optimizer,
            lr,
            schedule: Schedule::Constant,
            warmup: 0,
            total: None,
            clip: Clip::None,
            checkpoint: Checkpoint::None,
            reduction: Reduction::Mean,
            terms: Terms::default(),
            accumulation: Accumulation::Whole,
            per_block: false,
            keep_packed: false,
            penalty: None,
            groups: Vec::new(),
        }
    }

    /// An error that names what is out of range or contradicts something else.
    pub fn check(&self) -> Result<()> {
        self.optimizer.check()?;
        self.clip.check()?;
        self.schedule.check(self.warmup, self.total)?;
        check_rate(Some(self.lr))?;
        let Terms { smoothing, z } = self.terms;
        if !(0.0..1.0).contains(&smoothing) {
            return Err(Error::argument(format!(
                "label_smoothing must be at least 0 and below 1, not {smoothing}"
            )));
        }
        if !(z >= 0.0 && z.is_finite()) {
            return Err(Error::argument(format!("z_loss must be a number of at least 0, not {z}")));
        }
        if self.per_block && matches!(self.clip, Clip::Global(_)) {
            return Err(Error::argument(
                "per_block updates a block before the gradients of the blocks below it exist, so their common \
                 norm is not known: clip per parameter, or turn per_block off",
            ));
        }
        Ok(())
    }
}
