//! `bench choice`: a question whose choices share the work of their prompt.

use std::time::Instant;

use clap::Args;
use lota::Result;
use lota::runtime::eval::{self, Normalize, choose};
use lota::runtime::host::{Host, Rng};

use super::{Figures, median};
use crate::common::Common;

#[derive(Args)]
pub(crate) struct Choice {
    /// `builtin`, a folder, a GGUF file, a hub id, or a config.json, which gets random weights
    #[arg(default_value = "builtin")]
    model: String,
    /// How weights are held: f32 or bf16
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Random tokens of the prompt
    #[arg(long, default_value_t = 400)]
    prompt: usize,
    /// Choices
    #[arg(long, default_value_t = 8)]
    choices: usize,
    /// Random tokens of each
    #[arg(long, default_value_t = 8)]
    tokens: usize,
    /// Times both are done, in turn, after one that is not counted
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Choice {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let model = super::load_or_builtin(common, &self.model, &self.dtype)?;
        let (mut rng, vocab) = (Rng::new(3), model.config.vocab_size as u64);
        let mut tokens =
            |count: usize| (0..count.max(1)).map(|_| rng.below(vocab) as u32).collect::<Vec<_>>();
        let (prompt, choices) = (tokens(self.prompt), (0..self.choices.max(1)).map(|_| tokens(self.tokens)));
        let all = eval::Choice { prompt, choices: choices.collect() };
        let one = eval::Choice { choices: all.choices[..1].to_vec(), ..all.clone() };
        let time = |question: &eval::Choice| -> Result<f64> {
            let begin = Instant::now();
            choose(&model, std::slice::from_ref(question), Normalize::Token, &Host::default())?;
            Ok(begin.elapsed().as_secs_f64())
        };
        let (mut ones, mut alls, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.runs.max(1) {
            let (first, several) = (time(&one)?, time(&all)?);
            if round > 0 {
                ones.push(first);
                alls.push(several);
                ratios.push(several / first);
            }
        }
        Figures::new("choice")
            .with("dtype", self.dtype.as_str())
            .with("compute", common.compute.as_str())
            .with("prompt", self.prompt)
            .with("choices", self.choices)
            .with("choice_tokens", self.tokens)
            .with("one_seconds", median(ones))
            .with("all_seconds", median(alls))
            .with("all_to_one", median(ratios))
            .peak()
            .print(self.json);
        Ok(())
    }
}
