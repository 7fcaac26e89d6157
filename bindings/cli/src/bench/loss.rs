//! `bench loss`: what it costs to write the loss of a training in a script instead of taking the one that is built in.

use clap::Args;
use lota::Language;
use lota::Result;
use lota::api::IntoValue as _;

use super::work::Work;
use super::{Figures, median};
use crate::common::Common;
use crate::run::builder;

#[derive(Args)]
pub(crate) struct Loss {
    /// `builtin`, a folder, a GGUF file, a hub id, or a config.json, which gets random weights
    #[arg(default_value = "builtin")]
    model: String,
    /// The fraction of attention and MLP entries that are trained, at random
    #[arg(long, default_value_t = 0.01)]
    density: f64,
    #[command(flatten)]
    work: Work,
}

/// Cross-entropy in three ways, each with a trainer of its own on the same entries.
const LUA: &str = "local lota = require 'lota'\n\
    local batch, trainers = nil, {}\n\
    local losses = {\n\
      function(logp) return -logp:mean() end,\n\
      {on = 'logits', fn = function(logits, rows) return -rows:pick(logits:log_softmax()) end},\n\
    }\n\
    function begin(model, given, density)\n\
      batch = given\n\
      local mask = lota.mask.random(model, {density = density, params = 'adaptable'})\n\
      for i = 0, 2 do trainers[i] = lota.train.new(model, {mask = mask, lr = 1e-9, loss = losses[i]}) end\n\
    end\n\
    function step(kind) return trainers[kind]:step(batch).seconds end";

impl Loss {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let model = super::load_or_builtin(common, &self.model, &self.work.dtype)?;
        let batch = self.work.batch(model.config.vocab_size);
        let (tokens, vocab) = (batch.len(), model.config.vocab_size);
        let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
        engine.run(LUA, "bench")?;
        engine.call::<()>("begin", (model.into_value(), batch.into_value(), self.density))?;
        let mut seconds = [const { Vec::new() }; 3];
        let mut ratios = [const { Vec::new() }; 3];
        for round in self.work.rounds() {
            let mut taken = [0.0; 3];
            // They change places, so that none always comes last.
            for turn in 0..3 {
                let kind = (round + turn) % 3;
                taken[kind] = engine.call::<f64>("step", (kind,))?;
            }
            if round > 0 {
                for kind in 0..3 {
                    seconds[kind].push(taken[kind]);
                    ratios[kind].push(taken[kind] / taken[0]);
                }
            }
        }
        let [built_in, logp, logits] = seconds.map(median);
        let [_, logp_ratio, logits_ratio] = ratios.map(median);
        Figures::new("loss")
            .with("dtype", self.work.dtype.as_str())
            .with("compute", common.compute.as_str())
            .with("tokens", tokens)
            .with("vocab", vocab)
            .with("built_in_seconds", built_in)
            .with("logp_seconds", logp)
            .with("logits_seconds", logits)
            .with("logp_to_built_in", logp_ratio)
            .with("logits_to_built_in", logits_ratio)
            .peak()
            .print(self.work.json);
        Ok(())
    }
}
