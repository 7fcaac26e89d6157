//! `bench loss`: what it costs to write the loss of a training in a script instead of taking the one that is built in, and to
//! take its step from the gradients in a script (`update(gradients(batch))`).

use std::time::Instant;

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

/// The ways to take a step: plain, with the loss over log-probabilities, over logits, and from the gradients.
const KINDS: usize = 4;

/// Each way has a trainer of its own on the same entries; the last one's loss is that which is built in.
const LUA: &str = "local lota = require 'lota'\n\
    local batch, trainers = nil, {}\n\
    local losses = {\n\
      function(logp) return -logp:mean() end,\n\
      {on = 'logits', fn = function(logits, rows) return -rows:pick(logits:log_softmax()) end},\n\
    }\n\
    function begin(model, given, density)\n\
      batch = given\n\
      local mask = lota.mask.random(model, {density = density, params = 'adaptable'})\n\
      for i = 0, 3 do trainers[i] = lota.train.new(model, {mask = mask, lr = 1e-9, loss = losses[i]}) end\n\
    end\n\
    function step(kind)\n\
      local trainer = trainers[kind]\n\
      if kind < 3 then trainer:step(batch) else trainer:update(trainer:gradients(batch)) end\n\
    end";

impl Loss {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let model = super::load_or_builtin(common, &self.model, &self.work.dtype)?;
        let batch = self.work.batch(model.config.vocab_size);
        let (tokens, vocab) = (batch.len(), model.config.vocab_size);
        let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
        engine.run(LUA, "bench")?;
        engine.call::<()>("begin", (model.into_value(), batch.into_value(), self.density))?;
        let mut seconds = [const { Vec::new() }; KINDS];
        let mut ratios = [const { Vec::new() }; KINDS];
        for round in self.work.rounds() {
            let mut taken = [0.0; KINDS];
            // They change places, so that none always comes last.
            for turn in 0..KINDS {
                let kind = (round + turn) % KINDS;
                let began = Instant::now();
                engine.call::<()>("step", (kind,))?;
                taken[kind] = began.elapsed().as_secs_f64();
            }
            if round > 0 {
                for kind in 0..KINDS {
                    seconds[kind].push(taken[kind]);
                    ratios[kind].push(taken[kind] / taken[0]);
                }
            }
        }
        let [built_in, logp, logits, update] = seconds.map(median);
        let [_, logp_ratio, logits_ratio, update_ratio] = ratios.map(median);
        Figures::new("loss")
            .with("dtype", self.work.dtype.as_str())
            .with("compute", common.compute.as_str())
            .with("tokens", tokens)
            .with("vocab", vocab)
            .with("built_in_seconds", built_in)
            .with("logp_seconds", logp)
            .with("logits_seconds", logits)
            .with("update_seconds", update)
            .with("logp_to_built_in", logp_ratio)
            .with("logits_to_built_in", logits_ratio)
            .with("update_to_built_in", update_ratio)
            .peak()
            .print(self.work.json);
        Ok(())
    }
}
