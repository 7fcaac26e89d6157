//! Seconds a training step takes, and the memory it needs at its peak.
//!
//! `cargo bench -p lota-runtime --bench step -- <model> [full | density] [f32 | bf16] [steps] [none | block]`
//!
//! Four sequences of 256 tokens, every token a target of its predecessor; RMSprop; a random mask over
//! the attention and MLP matrices.

use std::process::ExitCode;

use candle_core::DType;
use lota_runtime::data::{Example, collate};
use lota_runtime::host::{Host, Rng};
use lota_runtime::mask::Mask;
use lota_runtime::model::decoder::Checkpoint;
use lota_runtime::model::{LoadOptions, load};
use lota_runtime::train::{Optimizer, Selection, TrainOptions, Trainer};
use lota_runtime::{Error, Result};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench" && a != "--test").collect();
    let Some(model) = args.first() else {
        println!("no model was named: nothing is measured");
        return ExitCode::SUCCESS;
    };
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or_else(|| default.to_string());
    match run(model, &arg(1, "0.01"), &arg(2, "f32"), &arg(3, "5"), &arg(4, "none")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(source: &str, what: &str, dtype: &str, steps: &str, checkpoint: &str) -> Result<()> {
    let wrong = |text: &str| Error::argument(format!("{text} is not a number"));
    let dtype = if dtype == "bf16" { DType::BF16 } else { DType::F32 };
    let model = load(source, &LoadOptions { dtype, ..LoadOptions::default() }, &Host::default())?;
    let universe = model.params.universe().clone();
    let selection = if what == "full" {
        Selection::dense(universe, |_| true)?
    } else {
        let density: f64 = what.parse().map_err(|_| wrong(what))?;
        let mut rng = Rng::new(1);
        let mut sets = Vec::new();
        for spec in universe.specs() {
            let chosen = |_: &u32| spec.adaptable() && rng.uniform() < density;
            sets.push((0..spec.entries() as u32).filter(chosen).collect());
        }
        Selection::masked(&Mask::new(universe, sets)?)?
    };
    let entries = selection.entries();
    let mut rng = Rng::new(2);
    let vocab = model.config.vocab_size as u64;
    let text: Vec<Vec<u32>> = (0..4).map(|_| (0..256).map(|_| rng.below(vocab) as u32).collect()).collect();
    let examples: Vec<Example> = text.iter().map(|t| Example::new(&t[..1], &t[1..])).collect();
    let batch = collate((0..).zip(&examples));
    let checkpoint: Checkpoint = checkpoint.parse()?;
    let optimizer = Optimizer::named("rmsprop")?;
    let options = TrainOptions { checkpoint, ..TrainOptions::new(optimizer, 1e-5) };
    let before = resident("VmRSS");
    let mut trainer = Trainer::new((&model).into(), selection, options)?;
    let mut times = Vec::new();
    for _ in 0..steps.parse::<usize>().map_err(|_| wrong(steps))?.max(1) {
        times.push(trainer.step((&model).into(), &Host::default(), std::slice::from_ref(&batch))?.seconds);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{what} {dtype:?} {entries} entries: {:.2} s/step (fastest {:.2}), peak {} MiB, before training {} MiB",
        times[times.len() / 2],
        times[0],
        resident("VmHWM"),
        before
    );
    Ok(())
}

/// A figure of the process in MiB; 0 where the system does not tell.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}
