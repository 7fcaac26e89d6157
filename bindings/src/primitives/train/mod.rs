//! `train.*` and `Trainer`.

use lota_script::Registry;

mod grad_scores;
mod loss;
mod optimizer;
mod options;
mod trainer;

pub use trainer::ScriptTrainer;

/// How examples begin: a model, and a stream of batches.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local rows = {}\n\
                     for i = 1, 8 do rows[i] = {prompt = i .. '+1=', target = tostring(i + 1)} end\n\
                     local b = lota.data.batches(lota.data.examples(m, rows), {size = 4})\n";

pub(super) fn register(r: &mut Registry) {
    r.area("train", "Training: optimizers, schedules, losses, and scores from gradients.");
    r.object("Trainer", "Trains some entries of a model, step by step.");
    options::register(r);
    optimizer::register(r);
    trainer::register(r);
    grad_scores::register(r);
}
