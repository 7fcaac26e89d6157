//! The training step.

use std::time::Instant;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::accumulate::{Accumulation, Shares};
use super::blockwise::Blockwise;
use super::gradient::{Clip, Collect, square_sum};
use super::kept::Kept;
use super::optimizer::{Now, Optimizer};
use super::schedule::Schedule;
use super::selection::Selection;
use super::slot::Slot;
use super::subject::{Subject, finite};
use crate::data::Batch;
use crate::host::{Event, Host};
use crate::model::decoder::{Checkpoint, CrossEntropy, GradSink, LossFn, Reduction};
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
    /// How another loss is computed over the micro-batches of a step.
    pub accumulation: Accumulation,
    /// Updates each block's parameters as soon as its gradients are there, so that the gradients of
    /// all are never held together. Neither global clipping nor several micro-batches are possible. A step that is
    /// cancelled or fails half-way is taken back if at most a tenth of the entries is trained; of more, what they were
    /// is not kept, and the parameters that have taken the step by then keep it, which a notice says.
    pub per_block: bool,
    /// Keeps frozen and sparsely trained matrices packed as the kernels read them, from one step to the next: the same
    /// bits sooner, the more so the fewer tokens a step has, for the memory of two more copies of them.
    pub keep_packed: bool,
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
            accumulation: Accumulation::Whole,
            per_block: false,
            keep_packed: false,
        }
    }

    /// An error that names what is out of range or contradicts something else.
    pub fn check(&self) -> Result<()> {
        self.optimizer.check()?;
        self.clip.check()?;
        self.schedule.check(self.warmup, self.total)?;
        if !(self.lr >= 0.0 && self.lr.is_finite()) {
            return Err(Error::argument(format!("the learning rate must be at least 0, not {}", self.lr)));
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

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The number of the step, from 1.
    pub step: u64,
    /// The loss before the update, over all micro-batches.
    pub loss: f64,
    /// The learning rate.
    pub lr: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Tokens of the micro-batches.
    pub tokens: u64,
    /// Those with a label.
    pub labelled: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Trains a selection of a model's entries.
#[derive(Debug)]
pub struct Trainer {
    pub(super) selection: Selection,
    pub(super) options: TrainOptions,
    pub(super) slots: Vec<Slot>,
    pub(super) step: u64,
    pub(super) tokens: u64,
    kept: Option<Kept>,
}

impl Trainer {
    /// A trainer at step 0.
    pub fn new(subject: Subject<'_>, selection: Selection, options: TrainOptions) -> Result<Self> {
        options.check()?;
        let Subject { exec, params, .. } = subject;
        params.universe().check_same(selection.universe())?;
        let states = options.optimizer.states().len();
        let mut slots = Vec::new();
        for (i, want) in selection.wants().iter().enumerate() {
            slots.extend(Slot::new(exec, i, params.get(i), want, states)?);
        }
        let kept = options.keep_packed.then(|| Kept::new(params, selection.wants()));
        Ok(Self { selection, options, slots, step: 0, tokens: 0, kept })
    }

    /// What may change.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// How it is trained.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Tokens seen.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// One step on cross-entropy, over one or more micro-batches. With the mean reduction, each
    /// counts by its labelled positions (with the sum, by its sequences), so that any split of a
    /// batch gives the gradient of the whole. An error or a cancellation leaves the weights and the
    /// trainer as they were (but see [`TrainOptions::per_block`]).
    pub fn step(&mut self, subject: Subject<'_>, host: &Host, batches: &[Batch]) -> Result<StepReport> {
        subject.params.check_free()?;
        let _hold = subject.params.hold("a training step");
        self.step_held(subject, host, batches, None)
    }

    /// The same on another loss; of several micro-batches it is computed as [`TrainOptions::accumulation`] says.
    pub fn step_with(
        &mut self,
        subject: Subject<'_>,
        host: &Host,
        batches: &[Batch],
        loss: &mut dyn LossFn,
    ) -> Result<StepReport> {
        subject.params.check_free()?;
        let _hold = subject.params.hold("a training step");
        self.step_held(subject, host, batches, Some(loss))
    }

    /// A step by whoever holds the weights already.
    pub(super) fn step_held(
        &mut self,
        subject: Subject<'_>,
        host: &Host,
        batches: &[Batch],
        mut loss: Option<&mut dyn LossFn>,
    ) -> Result<StepReport> {
        let begin = Instant::now();
        host.cancel.check()?;
        let exec = match &mut self.kept {
            Some(kept) => kept.exec(subject.exec, subject.params),
            None => subject.exec.clone(),
        };
        let subject = Subject { exec: &exec, ..subject };
        subject.params.universe().check_same(self.selection.universe())?;
        let entropy = CrossEntropy::new(self.options.reduction);
        let (given, batches) = (batches, batches.iter().filter(|b| b.labelled() > 0).collect::<Vec<_>>());
        let total: f64 = batches.iter().map(|b| entropy.count(b)).sum();
        if batches.is_empty() {
            return Err(Error::argument("a step needs at least one batch with a label in it"));
        }
        if self.options.per_block && batches.len() > 1 {
            return Err(Error::argument(
                "per_block updates the weights during the backward of a batch, so gradients of several batches cannot \
                 be accumulated: give one batch a step, or turn per_block off",
            ));
        }
        let (warmup, steps) = (self.options.warmup, self.options.total);
        let lr = self.options.lr * self.options.schedule.factor(self.step, warmup, steps)?;
        let now = Now { lr, t: self.step + 1, scale: 1.0 };

        let mut shares = Shares::new(self.options.accumulation, entropy, total);
        if let Some(loss) = &mut loss
            && batches.len() > 1
            && self.options.accumulation == Accumulation::Whole
        {
            shares = Shares::whole(subject, host, given, &batches, *loss)?;
        }
        let mut value = 0.0;
        let mut pass = |host: &Host, batch: &Batch, sink: &mut dyn GradSink| -> Result<()> {
            let Subject { exec, decoder, params } = subject;
            let (wants, checkpoint) = (self.selection.wants(), self.options.checkpoint);
            let loss = loss.as_deref_mut().map(|loss| loss as &mut dyn LossFn);
            let mut share = shares.next(batch, loss)?;
            let out = decoder.backward(exec, host, params, batch, &mut share, wants, checkpoint, sink)?;
            value += out.loss;
            Ok(())
        };
        let grad_norm = if self.options.per_block {
            let step = Blockwise {
                subject,
                optimizer: &self.options.optimizer,
                clip: self.options.clip,
                now,
                entries: self.selection.entries(),
            };
            step.run(host, &mut self.slots, |sink| {
                batches.iter().try_for_each(|batch| pass(host, batch, sink))
            })?
        } else {
            let mut sink = Collect::new(subject.exec, self.selection.wants().len());
            for batch in &batches {
                pass(host, batch, &mut sink)?;
            }
            host.cancel.check()?;
            update(subject, &mut self.slots, &self.options, now, sink.sums)?
        };
        if let Some(kept) = &mut self.kept {
            kept.stepped(&exec, subject.params, self.selection.wants())?;
        }
        let tokens = batches.iter().map(|b| b.len() as u64).sum();
        self.step += 1;
        self.tokens += tokens;
        let value = shares.loss().unwrap_or(value);
        host.events.emit(Event::Step { step: self.step, loss: value, lr, tokens });
        Ok(StepReport {
            step: self.step,
            loss: value,
            lr,
            grad_norm,
            tokens,
            labelled: batches.iter().map(|b| b.labelled() as u64).sum(),
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// Measures, clips and applies the gradients of a step; returns their common norm.
fn update(
    subject: Subject<'_>,
    slots: &mut [Slot],
    options: &TrainOptions,
    now: Now,
    grads: Vec<Option<Tensor>>,
) -> Result<f64> {
    let Subject { exec, params, .. } = subject;
    let square = |slot: &Slot| {
        let grad = grads[slot.param].as_ref().ok_or_else(|| {
            Error::mismatch(format!("no gradient came for {}", params.universe().spec(slot.param).name))
        })?;
        finite(subject, slot.param, square_sum(exec, grad)?, "no weight was changed")
    };
    // Most parameters have too few entries for several threads, and there are many of them. Other devices are left to the
    // thread that has always spoken to them.
    let shared = params.device().is_cpu();
    let squares: Vec<f64> = match shared {
        true => exec.run(|| slots.par_iter().map(square).collect::<Result<_>>())?,
        false => slots.iter().map(square).collect::<Result<_>>()?,
    };
    let norm = squares.iter().sum::<f64>().sqrt();
    let (clip, optimizer) = (options.clip, &options.optimizer);
    let step = |(slot, square): (&mut Slot, f64)| {
        let Some(grad) = &grads[slot.param] else { return Ok(()) };
        let scale = clip.scale(square.sqrt(), norm);
        slot.step(exec, params.get(slot.param), optimizer, Now { scale, ..now }, grad)
    };
    let done = match shared {
        true => exec.run(|| slots.par_iter_mut().zip(squares).try_for_each(step)),
        false => slots.iter_mut().zip(squares).try_for_each(step),
    };
    params.touch();
    done.map(|()| norm)
}
