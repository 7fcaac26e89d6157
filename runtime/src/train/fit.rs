//! A training from its first step, or from where it was left, to its last.

use std::path::PathBuf;

use super::checkpoint::{Companions, Passes};
use super::subject::Subject;
use super::trainer::{StepReport, Trainer};
use crate::data::Batches;
use crate::host::{Event, Host};
use crate::model::decoder::LossFn;
use crate::{Error, Result};

/// How long to train, and what to keep.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// The number of the last step.
    pub steps: u64,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// Where the training is saved, if at all: every so many steps, at the end, and when it is
    /// cancelled.
    pub save: Option<Save>,
    /// Whether to go on from a file that is there already.
    pub resume: bool,
}

/// Batches of a step, which are all held at once.
const MOST_BATCHES: usize = 1 << 16;

impl FitOptions {
    /// That many steps of one batch each, nothing saved.
    pub fn new(steps: u64) -> Self {
        Self { steps, accumulate: 1, save: None, resume: false }
    }
}

/// Where and how often a training is saved.
#[derive(Clone, Debug)]
pub struct Save {
    /// The file.
    pub path: PathBuf,
    /// Every so many steps; 0 = only at the end and when cancelled.
    pub every: u64,
}

/// What a training came to.
#[derive(Clone, Debug, Default)]
pub struct FitReport {
    /// The steps of this run (not those before it was resumed).
    pub steps: Vec<StepReport>,
    /// Whether the callback ended it early.
    pub stopped: bool,
}

/// Trains until `options.steps` steps are done. `on_step` sees every step and may end the training
/// by returning false; it cannot change the weights. With `resume`, a file left by an earlier run is
/// loaded first, and the steps that follow are bit for bit those of a run that was never interrupted. Without it, a file
/// that is there already is an error, unless a fit of this trainer has written it.
pub fn fit(
    trainer: &mut Trainer,
    subject: Subject<'_>,
    host: &Host,
    batches: &mut Batches,
    options: &FitOptions,
    mut loss: Option<&mut dyn LossFn>,
    on_step: &mut dyn FnMut(&Trainer, &StepReport) -> Result<bool>,
) -> Result<FitReport> {
    if !(1..=MOST_BATCHES).contains(&options.accumulate) {
        return Err(Error::argument(format!(
            "accumulate must be from 1 to {MOST_BATCHES}, got {}",
            options.accumulate
        )));
    }
    trainer.check_schedule(options.steps)?;
    let passes = Passes { accumulate: options.accumulate, loss: over(&mut loss).to_string() };
    if options.resume {
        let Some(save) = &options.save else {
            return Err(Error::argument(
                "resume needs to know the file to resume from: give a place to save to",
            ));
        };
        if save.path.exists() {
            let saved = trainer.read(subject, host, &save.path, Some(&passes))?;
            if let Some(state) = &saved.companions().data {
                batches.restore(state)?;
            }
            trainer.resume(subject, saved)?;
            host.events.notice(format!("resumed after step {}", trainer.steps()));
        }
    }
    if let Some(Save { path, .. }) = &options.save {
        if !options.resume && path.exists() && trainer.kept_in.as_ref() != Some(path) {
            return Err(Error::argument(format!(
                "{} is there already: go on with it by resume = true, or give another place to save to",
                path.display()
            )));
        }
        trainer.kept_in = Some(path.clone());
    }
    subject.params.check_free()?;
    let _hold = subject.params.hold("fit");
    let save = |trainer: &Trainer, batches: &Batches| match &options.save {
        Some(save) => {
            let companions = Companions {
                data: Some(batches.state()),
                passes: Some(passes.clone()),
                ..Companions::default()
            };
            trainer.save(subject, host, &save.path, &companions)
        }
        None => Ok(()),
    };
    let mut report = FitReport::default();
    let mut saved = None;
    while trainer.steps() < options.steps && !report.stopped {
        // The place before the step: a cancelled step has not used its batches.
        let place = batches.state();
        let micro: Vec<_> = (0..options.accumulate).map(|_| batches.next()).collect();
        if batches.state().epoch != place.epoch {
            host.events.emit(Event::Epoch(batches.state().epoch));
        }
        let done = match &mut loss {
            Some(loss) => trainer.step_held(subject, host, &micro, Some(*loss)),
            None => trainer.step_held(subject, host, &micro, None),
        };
        if done.is_err() {
            batches.restore(&place)?;
        }
        let seen = done.and_then(|step| {
            host.events.progress("train", step.step, options.steps, format!("loss {:.4}", step.loss));
            report.steps.push(step);
            report.stopped = !on_step(trainer, &step)?;
            Ok(step.step)
        });
        match seen {
            Ok(step) if options.save.as_ref().is_some_and(|s| s.every > 0 && step % s.every == 0) => {
                save(trainer, batches)?;
                saved = Some(step);
            }
            Ok(_) => {}
            Err(error) => {
                // A callback wraps the cancellation it met in an error of its own.
                if error.is_cancelled() || host.cancel.is_cancelled() {
                    save(trainer, batches)?;
                }
                return Err(error);
            }
        }
    }
    if saved != Some(trainer.steps()) {
        save(trainer, batches)?;
    }
    Ok(report)
}

/// What a loss is computed over.
fn over(loss: &mut Option<&mut dyn LossFn>) -> &'static str {
    match loss.as_mut().map(|loss| loss.of_logits().is_some()) {
        None => "cross-entropy",
        Some(true) => "logits",
        Some(false) => "log-probabilities",
    }
}
