//! Training SmolLM2-135M for 16 steps against losses made with PyTorch.
//!
//! Needs the model's GGUF file (`LOTA_TEST_SMOLLM2`) and a folder with the reference values
//! (`LOTA_TEST_SHARED`, with `oracles/` in it); without them it says so and passes. Takes a few
//! minutes in the release profile.

use std::path::PathBuf;
use std::time::Duration;

use candle_core::Tensor;
use lota_runtime::data::{Batch, Padded};
use lota_runtime::host::Host;
use lota_runtime::mask::{Budget, Delta, Mask, Scope, top};
use lota_runtime::model::{LoadOptions, Model, ParamSpec, load};
use lota_runtime::train::{Optimizer, Selection, TrainOptions, Trainer, frozen_fingerprint};

struct Setup {
    model: Model,
    batches: Vec<Batch>,
    oracles: PathBuf,
    reference: serde_json::Value,
}

fn setup() -> Option<Setup> {
    let (Ok(model), Ok(shared)) = (std::env::var("LOTA_TEST_SMOLLM2"), std::env::var("LOTA_TEST_SHARED"))
    else {
        eprintln!("skipped: LOTA_TEST_SMOLLM2 (a GGUF file) and LOTA_TEST_SHARED (a folder) are not set");
        return None;
    };
    if std::env::var_os("LOTA_TEST_TRAJECTORY").is_none() {
        eprintln!("skipped: 48 steps on SmolLM2 take minutes; set LOTA_TEST_TRAJECTORY to run them");
        return None;
    }
    let oracles = PathBuf::from(shared).join("oracles");
    let model = load(&model, &LoadOptions::default(), &Host::default()).expect("loads");
    let batches = Padded::read(&oracles.join("batches_gsm8k.safetensors")).and_then(|p| p.batches());
    let text = std::fs::read_to_string(oracles.join("trajectory_gsm8k.json")).expect("reads");
    let reference = serde_json::from_str(&text).expect("is JSON");
    Some(Setup { model, batches: batches.expect("reads"), oracles, reference })
}

impl Setup {
    /// 16 steps; their losses are compared with those of `run`.
    fn train(&self, model: &Model, selection: Selection, optimizer: Optimizer, run: &str) {
        let mut trainer =
            Trainer::new(model.into(), selection, TrainOptions::new(optimizer, 1e-5)).expect("fits");
        let want = self.reference[run]["losses"].as_array().expect("a list");
        assert_eq!(want.len(), self.batches.len());
        let (mut worst, mut times) = (0f64, Vec::new());
        for (batch, want) in self.batches.iter().zip(want) {
            let step =
                trainer.step(model.into(), &Host::default(), std::slice::from_ref(batch)).expect("a step");
            let want = want.as_f64().expect("a number");
            eprintln!(
                "{run} step {:2}: loss {:.7} reference {want:.7} {:.2} s",
                step.step, step.loss, step.seconds
            );
            worst = worst.max((step.loss - want).abs());
            times.push(Duration::from_secs_f64(step.seconds));
        }
        times.sort();
        eprintln!("{run}: largest difference {worst:.2e}, median step {:?}", times[times.len() / 2]);
        assert!(worst < 2e-4, "{run}: {worst}");
    }

    fn reference_mask(&self, own: &Mask) -> Mask {
        let bytes = std::fs::read(self.oracles.join("mask_gsm8k_10pct.safetensors")).expect("reads");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("is safetensors");
        let set = |spec: &ParamSpec| match file.tensor(&spec.name) {
            Ok(bits) => {
                let bits = bits.data();
                (0..spec.entries() as u32).filter(|i| bits[*i as usize / 8] >> (i % 8) & 1 == 1).collect()
            }
            Err(_) => Default::default(),
        };
        let sets = own.universe().specs().iter().map(set).collect();
        Mask::new(own.universe().clone(), sets).expect("fits")
    }
}

#[test]
fn smollm2_follows_the_reference_from_full_fine_tuning_to_masked_training() {
    let Some(setup) = setup() else { return };
    let rmsprop = Optimizer::named("rmsprop").expect("known");
    let adamw = Optimizer::AdamW { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 };
    let base = &setup.model;
    let universe = base.params.universe().clone();

    let tuned = base.duplicate().expect("copies");
    let all = Selection::dense(universe.clone(), |_| true).expect("not empty");
    setup.train(&tuned, all, rmsprop, "full_ft_rmsprop_lr1e-5");

    let choose = |model: &Model| -> Vec<Option<Tensor>> {
        let tensors = universe.specs().iter().zip(model.params.tensors());
        tensors.map(|(spec, t)| spec.adaptable().then(|| t.clone())).collect()
    };
    let delta = Delta::new(universe.clone(), choose(&tuned), choose(base)).expect("fits");
    let host = Host::default();
    let mask = top(&delta, Budget::Density(0.1), Scope::Global, None, None, true, &host).expect("selects");
    drop((delta, tuned));
    let reference = setup.reference_mask(&mask);
    let jaccard = mask.jaccard(&reference).expect("of one model");
    eprintln!(
        "mask: {} entries, Jaccard index {jaccard:.6} with the reference's {}",
        mask.count(),
        reference.count()
    );
    assert!(jaccard >= 0.999, "{jaccard}");

    for (optimizer, run) in [(rmsprop, "lota_rmsprop_lr1e-5_10pct"), (adamw, "lota_adamw_lr1e-5_10pct")] {
        let model = base.duplicate().expect("copies");
        let selection = Selection::masked(&mask).expect("not empty");
        let before = frozen_fingerprint(&model.params, &selection).expect("hashes");
        setup.train(&model, selection.clone(), optimizer, run);
        assert_eq!(before, frozen_fingerprint(&model.params, &selection).expect("hashes"));
    }
}
