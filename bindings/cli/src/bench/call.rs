//! `bench call`: what a script costs in each language: an engine, and a call of a primitive that does nothing.

use std::time::Instant;

use clap::Args;
use lota::Result;
use lota::api::Primitive;
use lota::{Engine, Language};

use super::Figures;

#[derive(Args)]
pub(crate) struct Call {
    /// Calls that are timed at once
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// How often each is timed
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    /// Measure Rhai, not Lua
    #[arg(long)]
    rhai: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The loops: nothing in it, so that it can be taken off, a call without arguments, and one with a number.
const LUA: &str = "local lota = require 'lota'\n\
    local empty, number = lota.empty, lota.number\n\
    function nothing(n) for i = 1, n do end end\n\
    function bare(n) for i = 1, n do empty() end end\n\
    function one(n) for i = 1, n do number(i) end end";
const RHAI: &str = "fn nothing(n) { for i in 0..n { } }\n\
    fn bare(n) { for i in 0..n { lota::empty(); } }\n\
    fn one(n) { for i in 0..n { lota::number(i); } }\n\
    nothing(1);";

impl Call {
    pub(super) fn run(&self) -> Result<()> {
        let language = if self.rhai { Language::Rhai } else { Language::Lua };
        let loops = if self.rhai { RHAI } else { LUA };
        let mut made = Vec::new();
        let mut per_call = [Vec::new(), Vec::new()];
        for _ in 0..self.repeats.max(1) {
            let begin = Instant::now();
            let engine = Engine::builder(language)
                .primitive(Primitive::new("empty", "Does nothing.").call(|_, _| Ok(())))
                .primitive(
                    Primitive::new("number", "Gives a number back.")
                        .arg("x", "number", "the number")
                        .returns("number", "the same")
                        .call(|_, args| args.get::<f64>("x")),
                )
                .build()?;
            engine.run(loops, "bench")?;
            made.push(begin.elapsed().as_secs_f64());
            let time = |name: &str| -> Result<f64> {
                let begin = Instant::now();
                engine.call::<()>(name, (self.calls,))?;
                Ok(begin.elapsed().as_secs_f64() * 1e9 / self.calls as f64)
            };
            let base = time("nothing")?;
            for (all, name) in per_call.iter_mut().zip(["bare", "one"]) {
                all.push(time(name)? - base);
            }
        }
        let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
        Figures::new("call")
            .with("language", language.name())
            .with("empty_call_ns", least(&per_call[0]))
            .with("call_with_a_number_ns", least(&per_call[1]))
            .with("engine_with_table_ms", least(&made) * 1e3)
            .print(self.json);
        Ok(())
    }
}
