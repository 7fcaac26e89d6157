//! `stats.*` and `Stats`: what flows through the linear layers of a model.

mod collect;
mod contents;

use lota_runtime::stats::Kind;
use lota_script::{Args, Registry, Result};

/// The first lines of every example: a model, and two batches.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local b = {lota.data.batch({m:tokenize('hello')}), lota.data.batch({m:tokenize('to you')})}\n\
                     local up = 'model.layers.0.mlp.up_proj.weight'\n";

fn example(code: &str) -> String {
    format!("{BEGIN}{code}")
}

/// The kind that an argument names.
fn kind(args: &Args, name: &str, word: &str) -> Result<Kind> {
    Kind::named(word).ok_or_else(|| args.not_one_of(name, word, &Kind::ALL.map(Kind::as_str)))
}

pub(super) fn register(r: &mut Registry) {
    r.area("stats", "Statistics of what flows through the linear layers of a model: norms, Gram matrices, Fisher information.");
    r.object("Stats", "Statistics of the linear layers of a model over some data.");
    collect::register(r);
    contents::register(r);
}
