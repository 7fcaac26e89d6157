//! `bench`: how long the things people wait for take on this machine, and the memory they need.
//!
//! Each call measures one thing in one process and prints one line, or one JSON object with `--json`, so that another
//! program can run it in turn with its own measurement of the same work. It compares nothing and judges nothing.

mod call;
mod choice;
mod generate;
#[cfg(unix)]
mod isolation;
mod loss;
mod select;
mod step;
mod training;
mod work;

use clap::Subcommand;
use lota::runtime::host::Host;
use lota::runtime::model::{Config, Decoder, LoadOptions, Model, init};
use lota::{Error, Result};
use serde_json::{Map, Value, json};

use super::common::Common;
use super::failure::usage;
use super::output::write_out;

#[derive(Subcommand)]
pub(super) enum Bench {
    /// An engine, and a call of a primitive that does nothing
    Call(call::Call),
    /// An engine in a process of its own: its start, and a call of a function that does nothing
    #[cfg(unix)]
    Isolation(isolation::Apart),
    /// The same training loop in Lua and in Rust, on the built-in model
    Loop(training::Loop),
    /// A training step: forward, backward, optimizer
    Step(step::Step),
    /// Generation of text, greedy
    Generate(generate::Generate),
    /// The choice of the largest scores as a mask
    Select(select::Select),
    /// A training step with cross-entropy built in, written in Lua over log-probabilities and over logits, and taken from gradients in Lua
    Loss(loss::Loss),
    /// A question with one choice, and the same with several
    Choice(choice::Choice),
}

pub(super) fn run(common: &Common, bench: &Bench) -> Result<()> {
    match bench {
        Bench::Call(call) => call.run(),
        #[cfg(unix)]
        Bench::Isolation(apart) => apart.run(),
        Bench::Loop(training) => training.run(common),
        Bench::Step(step) => step.run(common),
        Bench::Generate(generate) => generate.run(common),
        Bench::Select(select) => select.run(common),
        Bench::Loss(loss) => loss.run(common),
        Bench::Choice(choice) => choice.run(common),
    }
}

/// What came of a measurement: names and figures, in order.
struct Figures(Map<String, Value>);

impl Figures {
    fn new(what: &str) -> Self {
        Self(Map::from_iter([("bench".to_string(), json!(what))]))
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_string(), value.into());
        self
    }

    /// The median, least and largest of some seconds.
    fn seconds(self, seconds: Vec<f64>) -> Self {
        let fold = |f: fn(f64, f64) -> f64| seconds.iter().copied().reduce(f).unwrap_or(f64::NAN);
        let (least, most) = (fold(f64::min), fold(f64::max));
        self.with("seconds", median(seconds)).with("seconds_least", least).with("seconds_most", most)
    }

    /// The peak of this process so far, in MiB, where the system tells.
    fn peak(self) -> Self {
        match resident("VmHWM") {
            Some(peak) => self.with("peak_mib", peak),
            None => self,
        }
    }

    fn print(self, as_json: bool) {
        let text = if as_json {
            Value::Object(self.0).to_string()
        } else {
            let parts = self.0.into_iter().map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                Value::Number(n) if n.is_f64() => format!("{name} {:.4}", n.as_f64().unwrap_or_default()),
                value => format!("{name} {value}"),
            });
            parts.collect::<Vec<_>>().join(", ")
        };
        write_out(&(text + "\n"));
    }
}

/// The middle of some figures, at least one.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// A figure of this process in MiB, as Linux tells it.
fn resident(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// The type of weights by its name.
fn dtype(name: &str) -> Result<candle_core::DType> {
    match name {
        "f32" => Ok(candle_core::DType::F32),
        "bf16" => Ok(candle_core::DType::BF16),
        other => Err(usage(format!("--dtype must be f32 or bf16, not {other}"))),
    }
}

/// Loads a model as a measurement wants it; a config.json alone gives the shape of one with random weights.
fn load(common: &Common, source: &str, name: &str) -> Result<Model> {
    let (dtype, exec) = (dtype(name)?, super::health::exec(common)?);
    if source == "builtin" {
        return Err(usage("the built-in model is too small to be measured: name another"));
    }
    let host = Host::default();
    if source.ends_with(".json") {
        let wrong = |e: &dyn std::fmt::Display| Error::runtime(format!("{source}: {e}"));
        let text = std::fs::read(source).map_err(|e| lota::runtime::Error::io(source, e))?;
        let json = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
        let config = Config::from_json(&json)?;
        let params = init::random(&Decoder::new(&config)?, 1, dtype, &exec, &host)?;
        return Ok(Model::new(config, params, exec, source)?);
    }
    let options = LoadOptions { dtype, exec, hub: lota::hub_from_environment(), ..LoadOptions::default() };
    Ok(lota::runtime::model::load(source, &options, &host)?)
}

/// The same, where the built-in model is large enough too.
fn load_or_builtin(common: &Common, source: &str, name: &str) -> Result<Model> {
    if source != "builtin" {
        return load(common, source, name);
    }
    let options =
        LoadOptions { dtype: dtype(name)?, exec: super::health::exec(common)?, ..LoadOptions::default() };
    lota::builtin::load_model(&options, &Host::default())
}
