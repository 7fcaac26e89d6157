//! `train.*` and `Trainer`.

use lota_script::{Args, Registry, Result};

mod doors;
mod grad_scores;
mod loss;
mod optimizer;
mod options;
mod penalty;
mod rows;
mod trainer;

pub use trainer::ScriptTrainer;
pub(crate) use trainer::subject;

/// How examples begin: a model, and a stream of batches.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local rows = {}\n\
                     for i = 1, 8 do rows[i] = {prompt = i .. '+1=', target = tostring(i + 1)} end\n\
                     local b = lota.data.batches(lota.data.examples(m, rows), {size = 4})\n";

/// What is told where a training is given a number of epochs.
const EPOCHS: &str = "give `steps`: an epoch is as many steps as the batches of a stream are (its length)";

pub(super) fn register(r: &mut Registry) {
    r.area("train", "Training: optimizers, schedules, losses, and scores from gradients.");
    r.object("Trainer", "Trains some entries of a model, step by step.");
    options::register(r);
    optimizer::register(r);
    trainer::register(r);
    doors::register(r);
    grad_scores::register(r);
    rows::register(r);
}

/// An option that is one of a few words.
pub(crate) fn word(args: &mut Args, name: &str, known: &[&str]) -> Result<String> {
    let given: String = args.get(name)?;
    if known.contains(&given.as_str()) { Ok(given) } else { Err(args.not_one_of(name, &given, known)) }
}
