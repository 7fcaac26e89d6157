//! A training that was saved and goes on in a fresh model has the bits of one that was never interrupted, whatever it is
//! made of: every optimizer, way of putting a step together, type of weights and selection.

use std::path::Path;

use candle_core::DType;
use lota_runtime::data::Batches;
use lota_runtime::train::{
    Clip, FitOptions, Optimizer, Save, Schedule, Selection, StepReport, TrainOptions, Trainer, fit,
};

use super::{Tiny, stream};

/// What a training is made of.
#[derive(Clone, Copy, Debug)]
struct Made {
    optimizer: &'static str,
    dtype: DType,
    masked: bool,
    accumulate: usize,
    per_block: bool,
    keep_packed: bool,
}

fn all() -> Vec<Made> {
    let mut all = Vec::new();
    for optimizer in Optimizer::names() {
        for bits in 0..32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let dtype = if bit(0) { DType::BF16 } else { DType::F32 };
            let accumulate = if bit(2) { 2 } else { 1 };
            let (masked, per_block, keep_packed) = (bit(1), bit(3), bit(4));
            all.push(Made { optimizer, dtype, masked, accumulate, per_block, keep_packed });
        }
    }
    all
}

/// The losses and rates of steps, and the file that says all of the training at its end: trained values, the state of the
/// optimizer, the step and the place in the data.
#[derive(Debug, PartialEq)]
struct Trained {
    steps: Vec<(u64, u64, u64)>,
    weights: String,
    file: Vec<u8>,
}

/// Trains a fresh model to this step, from where `path` stands if it is there.
fn train(made: Made, steps: u64, path: &Path) -> lota_runtime::Result<Trained> {
    let tiny = Tiny::new(made.dtype);
    let selection = match made.masked {
        true => Selection::masked(&tiny.mask()).expect("not empty"),
        false => tiny.all(),
    };
    let options = TrainOptions {
        schedule: Schedule::Cosine,
        warmup: 1,
        total: Some(4),
        clip: if made.per_block { Clip::PerParameter(0.5) } else { Clip::Global(0.5) },
        per_block: made.per_block,
        keep_packed: made.keep_packed,
        ..TrainOptions::new(Optimizer::named(made.optimizer).expect("known"), 1e-2)
    };
    let mut trainer = tiny.trainer(selection, options);
    let save = Some(Save { path: path.to_path_buf(), every: 0 });
    let options = FitOptions { steps, accumulate: made.accumulate, save, resume: true };
    let mut batches: Batches = stream(11, 2);
    let mut on_step = |_: &Trainer, _: &StepReport| Ok(true);
    let report = fit(&mut trainer, tiny.subject(), &tiny.host, &mut batches, &options, None, &mut on_step)?;
    let steps = report.steps.iter().map(|s| (s.step, s.loss.to_bits(), s.lr.to_bits())).collect();
    Ok(Trained { steps, weights: tiny.hash(), file: std::fs::read(path).expect("reads") })
}

#[test]
fn two_steps_and_two_more_have_the_bits_of_four_however_the_training_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let (mut same, mut refused) = (0, 0);
    for made in all() {
        for name in ["whole", "parts"] {
            drop(std::fs::remove_file(at(name)));
        }
        if made.per_block && made.accumulate > 1 {
            let told = train(made, 4, &at("whole")).expect_err("contradict each other").to_string();
            assert!(told.contains("give one batch a step, or turn per_block off"), "{made:?}: {told}");
            refused += 1;
            continue;
        }
        let whole = train(made, 4, &at("whole")).expect("trains");
        let first = train(made, 2, &at("parts")).expect("trains");
        let second = train(made, 4, &at("parts")).expect("goes on");
        assert_eq!((first.steps.len(), second.steps.len()), (2, 2), "{made:?}");
        assert_eq!([first.steps, second.steps].concat(), whole.steps, "{made:?}");
        assert_eq!(second.weights, whole.weights, "{made:?}");
        assert_ne!(first.weights, whole.weights, "{made:?}: the last two steps changed nothing");
        assert!(second.file == whole.file, "{made:?}: the files differ");
        same += 1;
    }
    println!("{same} ways to train have the same bits, {refused} are refused");
    assert_eq!((same, refused), (96, 32));
}
