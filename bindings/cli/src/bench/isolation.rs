//! `bench isolation`: what it costs that an engine has a process of its own: its start, and a call of a function that does nothing.

use std::time::Instant;

use clap::Args;
use lota::isolation::{Isolation, Process};
use lota::{Engine, Language, Limits, Result};

use super::Figures;

#[derive(Args)]
pub(crate) struct Apart {
    /// Calls that are timed in one engine
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// How many engines are made
    #[arg(long, default_value_t = 15)]
    repeats: usize,
    /// Measure Rhai, not Lua
    #[arg(long)]
    rhai: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The median of some times.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Apart {
    pub(super) fn run(&self) -> Result<()> {
        let (language, source) = if self.rhai {
            (Language::Rhai, "fn empty() { }")
        } else {
            (Language::Lua, "function empty() end")
        };
        let measure = |isolation: fn() -> Isolation| -> Result<(f64, f64)> {
            let (mut starts, mut calls) = (Vec::new(), Vec::new());
            for _ in 0..self.repeats.max(1) {
                let begin = Instant::now();
                let engine =
                    Engine::builder(language).limits(Limits::untrusted()).isolation(isolation()).build()?;
                engine.run(source, "bench")?;
                starts.push(begin.elapsed().as_secs_f64());
                for _ in 0..self.calls.max(1) {
                    let begin = Instant::now();
                    engine.call::<()>("empty", ())?;
                    calls.push(begin.elapsed().as_secs_f64());
                }
            }
            Ok((median(starts) * 1e3, median(calls) * 1e6))
        };
        let (here, call_here) = measure(|| Isolation::Thread)?;
        let (apart, call_apart) = measure(|| Isolation::Process(Process::new()))?;
        Figures::new("isolation")
            .with("language", language.name())
            .with("thread_start_ms", here)
            .with("thread_call_us", call_here)
            .with("process_start_ms", apart)
            .with("process_call_us", call_apart)
            .print(self.json);
        Ok(())
    }
}
