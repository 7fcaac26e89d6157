//! `bench loop`: what it costs to write a training loop in a script instead of in Rust.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use lota::Language;
use lota::Result;
use lota::api::{IntoValue as _, ScriptTrainer};
use lota::builtin;
use lota::runtime::host::Host;
use lota::runtime::model::LoadOptions;

use super::work::random_batch;
use super::{Figures, median};
use crate::common::Common;
use crate::run::builder;

#[derive(Args)]
pub(crate) struct Loop {
    /// Steps that are timed at once
    #[arg(long, default_value_t = 10)]
    steps: u64,
    /// How often each loop is timed, in turn
    #[arg(long, default_value_t = 41)]
    repeats: usize,
    /// Sequences of a batch
    #[arg(long, default_value_t = 12)]
    sequences: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 24)]
    tokens: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The loop of the script. What it does with the report of a step is what a script would: keep the losses.
const LUA: &str = "local lota = require 'lota'\n\
    local model, batch = lota.model.builtin(), nil\n\
    trainer = lota.train.new(model, {params = 'adaptable', optimizer = 'rmsprop', lr = 1e-6})\n\
    function begin(given) batch = given return trainer end\n\
    function steps(n)\n\
      local losses = {}\n\
      for i = 1, n do losses[i] = trainer:step(batch).loss end\n\
      return losses[n]\n\
    end";

impl Loop {
    /// Both loops drive the same trainer of the built-in model, which is so small that a step takes a few
    /// milliseconds: the most that a script can cost.
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let engine = builder(common, Language::Lua, "", Vec::new())?.build()?;
        engine.run(LUA, "bench")?;
        let vocab = builtin::load_model(&LoadOptions::default(), &Host::default())?.config.vocab_size;
        let batch = random_batch(vocab, self.sequences, self.tokens);
        let trainer: Arc<ScriptTrainer> = engine.call("begin", (batch.clone().into_value(),))?;

        let (steps, host) = (self.steps.max(1), Host::default());
        let batches = std::slice::from_ref(&batch);
        let in_rust = || {
            trainer.with(|trainer, subject, _| {
                let mut losses = Vec::new();
                for _ in 0..steps {
                    losses.push(trainer.step(subject, &host, batches)?.loss);
                }
                Ok(losses)
            })
        };
        let (mut ratios, mut rust, mut lua) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.repeats.max(1) {
            // They change places, so that neither always comes second.
            let mut seconds = [0.0; 2];
            for turn in 0..2 {
                let script = (round + turn) % 2;
                let begin = Instant::now();
                if script == 1 {
                    engine.call::<f64>("steps", (steps,))?;
                } else {
                    in_rust()?;
                }
                seconds[script] = begin.elapsed().as_secs_f64() / steps as f64;
            }
            if round > 0 {
                rust.push(seconds[0]);
                lua.push(seconds[1]);
                ratios.push(seconds[1] / seconds[0]);
            }
        }
        Figures::new("loop")
            .with("tokens", batch.len())
            .with("rust_ms", median(rust) * 1e3)
            .with("lua_ms", median(lua) * 1e3)
            .with("lua_to_rust", median(ratios))
            .print(self.json);
        Ok(())
    }
}
