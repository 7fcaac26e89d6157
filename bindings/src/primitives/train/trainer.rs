//! `Trainer`: steps, whole trainings, saving and going on.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use lota_runtime::data::Batch;
use lota_runtime::host::{Event, Events, Host, Lock};
use lota_runtime::model::Model;
use lota_runtime::model::decoder::LossFn;
use lota_runtime::train::{Companions, FitOptions, Save, StepReport, Subject, Trainer, fit};
use lota_script::{
    Args, Ctx, Error, ErrorKind, FromValue, Granted, Map, Primitive, Registry, Result, ScriptFn, Scripted,
    Value,
};

use super::loss::Loss;
use super::{BEGIN, EPOCHS};
use crate::error::of_callback;
use crate::primitives::claims::Claims;
use crate::primitives::data::{ScriptBatch, ScriptBatches};

/// A trainer that scripts hold.
pub struct ScriptTrainer {
    pub(super) model: Arc<Model>,
    trainer: Mutex<Option<Trainer>>,
    loss: Option<Loss>,
    accumulate: usize,
    steps: Option<u64>,
    /// The files that it has written, which no other program may write until it is closed.
    files: Mutex<Vec<Arc<Lock>>>,
}

/// What a step works on.
pub(crate) fn subject(model: &Model) -> Subject<'_> {
    Subject { exec: &model.exec, decoder: &model.decoder, params: &model.params }
}

impl Scripted for ScriptTrainer {
    const TYPE: &'static str = "Trainer";

    fn show(&self) -> String {
        match self.trainer.try_lock().as_deref() {
            Ok(Some(t)) => format!("Trainer(step {}, {} entries)", t.steps(), t.selection().entries()),
            Ok(None) => "Trainer(closed)".into(),
            Err(_) => "Trainer(at work)".into(),
        }
    }

    fn bytes(&self) -> u64 {
        // Values and state in f32; a master copy where the weights are bf16.
        match self.trainer.try_lock().as_deref() {
            Ok(Some(t)) => 4 * t.selection().entries() * (1 + t.options().optimizer.states().len() as u64),
            _ => 0,
        }
    }
}

impl ScriptTrainer {
    pub(super) fn new(
        model: Arc<Model>,
        trainer: Trainer,
        loss: Option<Loss>,
        accumulate: usize,
        steps: Option<u64>,
    ) -> Self {
        Self { model, trainer: Mutex::new(Some(trainer)), loss, accumulate, steps, files: Mutex::default() }
    }

    /// Takes the right to write a file, or says who has it.
    fn claim(&self, ctx: &Ctx, path: &Path) -> Result<()> {
        let lock = ctx.get::<Claims>()?.file(path, &ctx.host.events)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.iter().any(|held| Arc::ptr_eq(held, &lock)) {
            files.push(lock);
        }
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Trainer>>> {
        match self.trainer.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::argument(
                "the trainer is at work and cannot be used from its own callback; to end a fit return false from on_step, \
                 to save during one give it save_to and save_every",
            )),
        }
    }

    /// Runs `work` with the trainer, what it works on and its loss. What changes weights in it says so itself:
    /// said once more here, it would make the trainer pack its matrices again.
    pub fn with<R>(
        &self,
        work: impl FnOnce(&mut Trainer, Subject<'_>, Option<&mut dyn LossFn>) -> Result<R>,
    ) -> Result<R> {
        let mut guard = self.lock()?;
        let trainer =
            guard.as_mut().ok_or_else(|| Error::argument("the trainer was closed; make a new one"))?;
        Loss::with(self.loss.as_ref(), &self.model, |loss| work(trainer, subject(&self.model), loss))
    }
}

/// A step's report as scripts see it.
pub(super) fn report(step: &StepReport) -> Map {
    let loss = (!step.loss.is_nan()).then_some(step.loss);
    Map::new()
        .with("step", step.step)
        .with("loss", loss)
        .with("penalty", step.penalty)
        .with("lr", step.lr)
        .with("grad_norm", step.grad_norm)
        .with("tokens", step.tokens)
        .with("labelled", step.labelled)
        .with("seconds", step.seconds)
}

pub(super) fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Trainer", name, doc)
}

pub(super) fn register(r: &mut Registry) {
    let new = format!("{BEGIN}local t = lota.train.new(m, {{lr = 1e-3, steps = 4}})\n");
    r.add(
        method("step", "One optimizer step.")
            .details(
                "Several batches make one step: their gradients accumulate as if they were one batch, of cross-entropy and \
                 of a loss of your own (see the option reduction of train.new).",
            )
            .arg("batch", "Batch|list of Batch", "the batch or batches")
            .returns("map", "step (its number, from 1), loss (before the update, without the penalty), penalty (if there is one), lr, grad_norm (before clipping), tokens, labelled, seconds")
            .example(format!("{new}assert(t:step({{b:next(), b:next()}}).step == 1)"))
            .call(step),
    );
    r.add(
        method("fit", "Trains until a number of steps is done.")
            .details(
                "With save_to, the training is saved there at the end, every save_every steps, and when it is cancelled. \
                 With resume, it goes on from what is saved there, if anything is: the steps that follow have the same \
                 bits as those of a training that was never interrupted. Without it, a training that is there already is an \
                 error, unless a fit of this trainer has saved it there.",
            )
            .instead_of("epochs", EPOCHS)
            .arg("batches", "Batches", "the stream to take batches from")
            .opt("steps", "integer", (), "the number of the last step; that given to train.new if not given")
            .opt("on_step", "function", (), "function(info) called after each step with what t:step returns; false ends the training. It may not change the model")
            .opt("save_to", "string", (), "a folder (or a .safetensors file) to save the training to")
            .opt("save_every", "integer", 0, "save every so many steps; 0: only at the end and when cancelled")
            .opt("resume", "boolean", false, "go on from what is in save_to")
            .opt("progress", "boolean", (), "show a progress bar; by default where there is no on_step")
            .returns("map", "losses (of this run's steps), steps (how many), last (the last step's info; nil where all steps were taken before), stopped (by on_step), tokens, seconds")
            .example(format!("{new}local out = t:fit(b, {{steps = 3, on_step = function(info) return info.step < 2 end}})\nassert(#out.losses == 2 and out.stopped)"))
            .call(fit_all),
    );
    r.add(
        method("save", "Writes the state of the training: trained entries, optimizer and step.")
            .details("Until the trainer is closed or collected, no other program can save a training to this file.")
            .arg("path", "string", "the file")
            .opt("batches", "Batches", (), "a stream whose place to write too")
            .example(format!("{new}t:step(b:next())\nt:save(lota.run.start('train-save'):path('state.safetensors'), {{batches = b}})"))
            .call(save),
    );
    r.add(
        method(
            "load",
            "Goes on where a saved training stood: weights, optimizer and step become what they were.",
        )
        .details(
            "The model, its frozen weights, what is trained and the optimizer must be the same. Where the file or the \
             stream does not fit, this is an error that has changed nothing.",
        )
        .arg("path", "string", "the file")
        .opt("batches", "Batches", (), "a stream to move to the saved place")
        .returns("integer", "the number of steps done")
        .example(format!(
            "{new}local path = lota.run.start('train-load'):path('state.safetensors')\n\
                 t:step(b:next())\nt:save(path, {{batches = b}})\n\
                 assert(t:load(path, {{batches = b}}) == 1)"
        ))
        .call(load),
    );
    r.add(
        method("info", "Where the training stands.")
            .returns("map", "step, tokens (seen), entries (trained), selection (a hash of which), optimizer")
            .example(format!("{new}assert(t:info().entries == m:entries())"))
            .call(|_, args| {
                args.this::<ScriptTrainer>()?.with(|t, _, _| {
                    Ok(Map::new()
                        .with("step", t.steps())
                        .with("tokens", t.tokens())
                        .with("entries", t.selection().entries())
                        .with("selection", t.selection().fingerprint())
                        .with("optimizer", t.options().optimizer.name()))
                })
            }),
    );
    r.add(
        method(
            "close",
            "Lets go of the optimizer's memory and of the files saved to. The model stays as it is.",
        )
        .example(format!("{new}t:close()"))
        .call(|_, args| {
            let trainer = args.this::<ScriptTrainer>()?;
            trainer.lock()?.take();
            trainer.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
            Ok(())
        }),
    );
}

fn step(ctx: &Ctx, args: &mut Args) -> Result<Map> {
    let trainer = args.this::<ScriptTrainer>()?;
    let batches = batches(args)?;
    let done = trainer.with(|t, subject, loss| {
        Ok(match loss {
            Some(loss) => t.step_with(subject, &ctx.host, &batches, loss)?,
            None => t.step(subject, &ctx.host, &batches)?,
        })
    })?;
    Ok(report(&done))
}

/// The batches of the argument `batch`: one or a list.
pub(super) fn batches(args: &mut Args) -> Result<Vec<Batch>> {
    let batches: Vec<Arc<ScriptBatch>> = match args.get::<Value>("batch")? {
        list @ Value::List(_) => Vec::from_value(list).map_err(|m| args.mismatched("batch", &m))?,
        one => vec![Arc::from_value(one).map_err(|m| args.mismatched("batch", &m))?],
    };
    Ok(batches.iter().map(|b| (*b.0).clone()).collect())
}

/// The file of a training in a folder, or the file itself.
fn state_file(given: Granted) -> Result<Granted> {
    match given.path().extension() {
        Some(end) if end == "safetensors" => Ok(given),
        _ => Ok(given.join("training.safetensors")?),
    }
}

fn fit_all(ctx: &Ctx, args: &mut Args) -> Result<Map> {
    let trainer = args.this::<ScriptTrainer>()?;
    let batches: Arc<ScriptBatches> = args.get("batches")?;
    let steps = args.opt("steps")?.or(trainer.steps);
    let steps = steps.ok_or_else(|| args.wrong("steps", "is missing: give it here or to train.new"))?;
    let on_step: Option<Arc<dyn ScriptFn>> = args.opt("on_step")?;
    let every = args.get("save_every")?;
    let save_to = args.opt_file("save_to")?;
    let resume: bool = args.get("resume")?;
    if save_to.is_none() && (every > 0 || resume) {
        return Err(args.wrong("save_to", "is missing: save_every and resume need a place"));
    }
    let path = save_to.map(state_file).transpose()?;
    if let Some(path) = &path {
        trainer.claim(ctx, path.path())?;
    }
    let save = path.as_ref().map(|path| Save { path: path.path().to_path_buf(), every });
    let options = FitOptions { steps, accumulate: trainer.accumulate, save, resume };
    let progress = args.opt("progress")?.unwrap_or(on_step.is_none());
    let host = if progress { ctx.host.clone() } else { without_progress(&ctx.host) };
    let mut stream = batches.stream()?;
    let out = trainer.with(|t, subject, loss| {
        let mut each = |_: &Trainer, step: &StepReport| -> lota_runtime::Result<bool> {
            let Some(on_step) = &on_step else { return Ok(true) };
            Ok(!matches!(on_step.call(&[Value::Map(report(step))]).map_err(of_callback)?, Value::Bool(false)))
        };
        Ok(fit(t, subject, &host, &mut stream, &options, loss, &mut each)?)
    });
    if let (Err(e), Some(path)) = (&out, &path)
        && e.kind() == ErrorKind::Cancelled
        && path.exists()
    {
        let what = format!("the training is kept in {}; resume = true goes on from there", path.display());
        ctx.host.events.notice(what);
    }
    let out = out?;
    Ok(Map::new()
        .with("losses", out.steps.iter().map(|s| s.loss).collect::<Vec<f64>>())
        .with("steps", out.steps.len())
        .with("last", out.steps.last().map(|s| Value::Map(report(s))))
        .with("stopped", out.stopped)
        .with("tokens", out.steps.iter().map(|s| s.tokens).sum::<u64>())
        .with("seconds", out.steps.iter().map(|s| s.seconds).sum::<f64>()))
}

/// The same host without progress: a script that is called at each step shows its own.
fn without_progress(host: &Host) -> Host {
    let events = host.events.clone();
    let filtered = Events::new(move |event| {
        if !matches!(event, Event::Progress { .. }) {
            events.emit(event.clone());
        }
    });
    Host { events: filtered, ..host.clone() }
}

fn save(ctx: &Ctx, args: &mut Args) -> Result<()> {
    let trainer = args.this::<ScriptTrainer>()?;
    let path = args.file("path")?;
    let batches: Option<Arc<ScriptBatches>> = args.opt("batches")?;
    let data = batches.map(|b| b.stream().map(|s| s.state())).transpose()?;
    let companions = Companions { data, ..Companions::default() };
    trainer.claim(ctx, path.path())?;
    trainer.with(|t, subject, _| Ok(t.save(subject, &ctx.host, path.path(), &companions)?))
}

fn load(ctx: &Ctx, args: &mut Args) -> Result<u64> {
    let trainer = args.this::<ScriptTrainer>()?;
    let path = args.file("path")?;
    let batches: Option<Arc<ScriptBatches>> = args.opt("batches")?;
    trainer.with(|t, subject, _| {
        let saved = t.read(subject, &ctx.host, path.path(), None)?;
        // What can be refused comes before anything is changed.
        subject.params.check_free()?;
        match (&batches, &saved.companions().data) {
            (Some(batches), Some(place)) => batches.stream()?.restore(place)?,
            (Some(_), None) => {
                let what = format!("{}: no place of a stream was saved in it", path.display());
                return Err(Error::argument(what));
            }
            (None, _) => {}
        }
        t.resume(subject, saved)?;
        Ok(t.steps())
    })
}

#[cfg(all(test, feature = "lua"))]
mod tests {
    use super::*;
    use crate::{Engine, Language};

    #[test]
    fn a_step_of_a_script_changes_the_weights_once() {
        let engine = Engine::builder(Language::Lua).build().expect("an engine");
        let source = format!(
            "local lota = require 'lota'\n{BEGIN}local t = lota.train.new(m, {{lr = 1e-3, steps = 4}})\n\
             function trainer() return t end\nfunction step() t:step(b:next()) end\n\
             function fit() t:fit(b, {{steps = 3, on_step = function() end}}) end"
        );
        engine.run(&source, "test").expect("runs");
        let trainer: Arc<ScriptTrainer> = engine.call("trainer", ()).expect("a trainer");
        let version = || trainer.model.params.version();
        let before = version();
        engine.call::<()>("step", ()).expect("a step");
        assert_eq!(version(), before + 1);
        engine.call::<()>("fit", ()).expect("two steps");
        assert_eq!(version(), before + 3);
    }
}
