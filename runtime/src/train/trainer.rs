//! The training step.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::blockwise::Blockwise;
use super::gradient::{Collect, square_sum};
use super::group;
use super::kept::Kept;
use super::micro::Micro;
use super::optimizer::Now;
use super::options::TrainOptions;
use super::penalty::Pull;
use super::selection::Selection;
use super::slot::Slot;
use super::subject::{Subject, finite};
use crate::data::Batch;
use crate::host::{Event, Host};
use crate::model::decoder::LossFn;
use crate::ops::Exec;
use crate::{Error, Result};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The number of the step, from 1.
    pub step: u64,
    /// The loss before the update, over all micro-batches, without the penalty; NaN for an update by gradients that did
    /// not come from this trainer's loss.
    pub loss: f64,
    /// The penalty before the update, where the training has one.
    pub penalty: Option<f64>,
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
    /// Whether it was told that sequences are longer than those the model was made for: once for a training.
    told_long: bool,
    /// Whether a rate was set since the trainer was made.
    pub(super) rates_set: bool,
    pub(super) kept: Option<Kept>,
    pub(super) penalty: Option<Pull>,
    /// The file that [`super::fit()`] keeps this training in.
    pub(super) kept_in: Option<PathBuf>,
    pending: Option<Pending>,
}

/// What the passes since the last update found.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The loss of the first of them.
    loss: f64,
    penalty: Option<f64>,
    tokens: u64,
    labelled: u64,
    seconds: f64,
}

impl Trainer {
    /// A trainer at step 0.
    pub fn new(subject: Subject<'_>, selection: Selection, options: TrainOptions) -> Result<Self> {
        options.check()?;
        subject.params.universe().check_same(selection.universe())?;
        let mut trainer = Self {
            selection,
            options,
            slots: Vec::new(),
            step: 0,
            tokens: 0,
            told_long: false,
            rates_set: false,
            kept: None,
            penalty: None,
            kept_in: None,
            pending: None,
        };
        trainer.prepare(subject)?;
        Ok(trainer)
    }

    /// Makes all that follows from the selection and the options.
    pub(super) fn prepare(&mut self, subject: Subject<'_>) -> Result<()> {
        let Subject { exec, params, .. } = subject;
        let Self { selection, options, .. } = self;
        let states = options.optimizer.states().len();
        let mut slots = Vec::new();
        for (i, want) in selection.wants().iter().enumerate() {
            slots.extend(Slot::new(exec, i, params.get(i), want, states)?);
        }
        group::assign(&options.groups, &options.optimizer, selection.universe(), &mut slots)?;
        self.penalty = options.penalty.as_ref().map(|p| Pull::new(p, exec, selection)).transpose()?;
        self.kept = options.keep_packed.then(|| Kept::new(params, selection.wants()));
        self.slots = slots;
        Ok(())
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
        loss: Option<&mut dyn LossFn>,
    ) -> Result<StepReport> {
        if !self.options.per_block {
            // A report is of its own step; tokens of gradients that were only looked at count as seen.
            self.tokens += self.pending.take().map_or(0, |probed| probed.tokens);
            let grads = self.collect(subject, host, batches, loss)?;
            return self.apply(subject, host, &grads);
        }
        let begin = Instant::now();
        host.cancel.check()?;
        let exec = self.exec(subject);
        let decoder = subject.decoder.in_training(self.step);
        let subject = Subject { exec: &exec, decoder: &decoder, ..subject };
        let micro = Micro::new(subject, &self.selection, &self.options, batches)?;
        self.tell_long(subject, host, batches);
        if micro.labelled.len() > 1 {
            return Err(Error::argument(
                "per_block updates the weights during the backward of a batch, so gradients of several batches cannot \
                 be accumulated: give one batch a step, or turn per_block off",
            ));
        }
        let (lr, factor) = self.rate()?;
        let step = Blockwise {
            subject,
            optimizer: &self.options.optimizer,
            clip: self.options.clip,
            now: Now { lr, t: self.step + 1, scale: 1.0 },
            factor,
            penalty: self.penalty.as_ref(),
            entries: self.selection.entries(),
        };
        let mut value = 0.0;
        let (norm, penalty) = step.run(host, &mut self.slots, |sink| {
            value = micro.pass(subject, host, &self.selection, &self.options, loss, sink)?;
            Ok(())
        })?;
        let found = Pending {
            loss: value,
            penalty: self.penalty.as_ref().map(|_| penalty),
            tokens: micro.tokens(),
            labelled: micro.count(),
            seconds: begin.elapsed().as_secs_f64(),
        };
        self.stepped(&exec, subject, host, lr, norm, Some(found))
    }

    /// The gradients of the trained entries, by parameter, of the loss and the penalty together; and what was found with
    /// them becomes part of the next report.
    pub(super) fn collect(
        &mut self,
        subject: Subject<'_>,
        host: &Host,
        batches: &[Batch],
        loss: Option<&mut dyn LossFn>,
    ) -> Result<Vec<Option<Tensor>>> {
        let begin = Instant::now();
        host.cancel.check()?;
        let exec = self.exec(subject);
        let decoder = subject.decoder.in_training(self.step);
        let subject = Subject { exec: &exec, decoder: &decoder, ..subject };
        let micro = Micro::new(subject, &self.selection, &self.options, batches)?;
        self.tell_long(subject, host, batches);
        let mut sink = Collect::new(subject.exec, self.selection.wants().len());
        let loss = micro.pass(subject, host, &self.selection, &self.options, loss, &mut sink)?;
        host.cancel.check()?;
        let mut sums = sink.sums;
        let penalty = match &self.penalty {
            Some(pull) => Some(pull.add_all(subject, &self.slots, &mut sums)?),
            None => None,
        };
        let seconds = begin.elapsed().as_secs_f64();
        let found = Pending { loss, penalty, tokens: micro.tokens(), labelled: micro.count(), seconds };
        self.pending = Some(match self.pending {
            None => found,
            Some(before) => Pending {
                tokens: before.tokens + found.tokens,
                labelled: before.labelled + found.labelled,
                seconds: before.seconds + found.seconds,
                ..before
            },
        });
        Ok(sums)
    }

    /// Clips gradients of the trained entries, and takes a step of the optimizer by them.
    pub(super) fn apply(
        &mut self,
        subject: Subject<'_>,
        host: &Host,
        grads: &[Option<Tensor>],
    ) -> Result<StepReport> {
        let begin = Instant::now();
        let exec = self.exec(subject);
        let subject = Subject { exec: &exec, ..subject };
        let (lr, factor) = self.rate()?;
        let now = Now { lr, t: self.step + 1, scale: 1.0 };
        let norm = update(subject, &mut self.slots, &self.options, now, factor, grads)?;
        let mut found = self.pending.take();
        if let Some(found) = &mut found {
            found.seconds += begin.elapsed().as_secs_f64();
        }
        self.stepped(&exec, subject, host, lr, norm, found)
    }

    /// A notice, the first time that a sequence is longer than those the model was made for.
    fn tell_long(&mut self, subject: Subject<'_>, host: &Host, batches: &[Batch]) {
        let most = subject.decoder.config().max_positions;
        if !self.told_long && batches.iter().flat_map(Batch::lengths).any(|length| length > most) {
            self.told_long = true;
            subject.decoder.tell_long_in(host, batches);
        }
    }

    /// How operations of the next step are carried out.
    fn exec(&mut self, subject: Subject<'_>) -> Exec {
        match &mut self.kept {
            Some(kept) => kept.exec(subject.exec, subject.params),
            None => subject.exec.clone(),
        }
    }

    /// An error if the schedule ends before the step of this number.
    pub(super) fn check_schedule(&self, steps: u64) -> Result<()> {
        self.options.schedule.check_end(self.options.total, steps)
    }

    /// The learning rate of the next step, and the factor of the schedule in it.
    fn rate(&mut self) -> Result<(f64, f64)> {
        let (warmup, steps) = (self.options.warmup, self.options.total);
        let factor = self.options.schedule.factor(self.step, warmup, steps)?;
        Ok((self.options.lr * factor, factor))
    }

    /// Counts a step that was taken.
    fn stepped(
        &mut self,
        exec: &Exec,
        subject: Subject<'_>,
        host: &Host,
        lr: f64,
        grad_norm: f64,
        found: Option<Pending>,
    ) -> Result<StepReport> {
        if let Some(kept) = &mut self.kept {
            kept.stepped(exec, subject.params, self.selection.wants())?;
        }
        let nothing = Pending { loss: f64::NAN, penalty: None, tokens: 0, labelled: 0, seconds: 0.0 };
        let Pending { loss, penalty, tokens, labelled, seconds } = found.unwrap_or(nothing);
        self.step += 1;
        self.tokens += tokens;
        if !loss.is_nan() {
            host.events.emit(Event::Step { step: self.step, loss, lr, tokens });
        }
        Ok(StepReport { step: self.step, loss, penalty, lr, grad_norm, tokens, labelled, seconds })
    }
}

/// Measures, clips and applies the gradients of a step; returns their common norm.
fn update(
    subject: Subject<'_>,
    slots: &mut [Slot],
    options: &TrainOptions,
    now: Now,
    factor: f64,
    grads: &[Option<Tensor>],
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
        slot.step(exec, params.get(slot.param), optimizer, Now { scale, ..now }, factor, grad)
    };
    let done = match shared {
        true => exec.run(|| slots.par_iter_mut().zip(squares).try_for_each(step)),
        false => slots.iter_mut().zip(squares).try_for_each(step),
    };
    params.touch();
    done.map(|()| norm)
}
