//! `bench generate`: tokens a second of greedy generation.

use std::time::Instant;

use clap::Args;
use lota::Result;
use lota::runtime::host::{Host, Rng};
use lota::runtime::model::GenerateOptions;

use super::Figures;
use crate::common::Common;

#[derive(Args)]
pub(crate) struct Generate {
    /// A folder, a GGUF file, a hub id, or a config.json, which gets random weights
    model: String,
    /// How weights are held: f32 or bf16
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Sequences generated together
    #[arg(long, default_value_t = 1)]
    sequences: usize,
    /// Random tokens of each prompt
    #[arg(long, default_value_t = 16)]
    prompt: usize,
    /// Tokens generated for each
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Times it is done, after one that is not counted
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Generate {
    pub(super) fn run(&self, common: &Common) -> Result<()> {
        let model = super::load(common, &self.model, &self.dtype)?;
        let mut rng = Rng::new(3);
        let vocab = model.config.vocab_size as u64;
        let prompts: Vec<Vec<u32>> = (0..self.sequences.max(1))
            .map(|_| (0..self.prompt.max(1)).map(|_| rng.below(vocab) as u32).collect())
            .collect();
        let options = GenerateOptions {
            max_tokens: self.tokens,
            eos: Some(Vec::new()),
            batch: self.sequences.max(1),
            ..GenerateOptions::default()
        };
        let mut seconds = Vec::new();
        let mut count = 0;
        for i in 0..=self.runs.max(1) {
            let start = Instant::now();
            let generated = model.generate(&prompts, &options, &Host::default(), None)?;
            if i > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
            count = generated.iter().map(|g| g.tokens.len()).sum();
        }
        let figures = Figures::new("generate")
            .with("dtype", self.dtype.as_str())
            .with("compute", common.compute.as_str())
            .with("sequences", self.sequences)
            .with("tokens", count)
            .seconds(seconds);
        let rate = count as f64 / figures.0["seconds"].as_f64().unwrap_or(f64::NAN);
        figures.with("tokens_per_second", rate).peak().print(self.json);
        Ok(())
    }
}
