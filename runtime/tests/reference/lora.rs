//! Factors of low rank on SmolLM2-135M, trained against losses and norms made with PyTorch and peft.

use candle_core::{DType, Tensor};
use lota_runtime::data::Padded;
use lota_runtime::host::Host;
use lota_runtime::lora::{Adapter, Shape, modules};
use lota_runtime::model::decoder::{Attached, CrossEntropy};
use lota_runtime::model::{Init, LoadOptions, Role, load};
use lota_runtime::train::{AdamW, Selection, TrainOptions, Trainer};
use serde_json::Value;

use crate::common::exec;
use crate::data::{Need, whole_trajectories};

/// Runs of the folder of reference values, and the file with the start of A of each. The first tells most: the scale by
/// alpha, weight decay, the larger rate.
const RUNS: &[(&str, &str)] = &[
    ("lora_r8_alpha4_lr1e-3_wd0.5", "lora_r8_A"),
    ("lora_r64_qv_rslora", "lora_r64_qv_A"),
    ("lora_r8", "lora_r8_A"),
    ("lora_r8_wd0.01", "lora_r8_A"),
];

pub fn follows_the_reference() {
    let runs = if whole_trajectories() { RUNS } else { &RUNS[..1] };
    for (run, start) in runs {
        follow(run, start);
    }
}

fn follow(run: &str, start: &str) {
    let oracles = Need::Shared.path().join("oracles");
    let methods = oracles.join("methods");
    let text = std::fs::read_to_string(methods.join(format!("{run}.json"))).expect("reads");
    let reference: Value = serde_json::from_str(&text).expect("is JSON");
    let number = |value: &Value| value.as_f64().expect("a number");
    let host = Host::default();
    let options = LoadOptions { exec: exec(), ..LoadOptions::default() };
    let base = load(&Need::SmolLm2.path().to_string_lossy(), &options, &host).expect("loads");
    let targets: Vec<&str> =
        reference["targets"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let shape = Shape {
        rank: number(&reference["r"]) as usize,
        alpha: number(&reference["alpha"]),
        rslora: reference["use_rslora"] == true,
    };
    let modules = modules(&base, &targets, &shape).expect("modules");
    let model = base.attach(Attached { modules, dropout: 0.0, seed: 0 }, Init::Kaiming, 0).expect("attaches");
    let file = methods.join(format!("{start}.safetensors"));
    let begin = candle_core::safetensors::load(file, model.params.device()).expect("reads");
    for (name, a) in &begin {
        let name = name.strip_prefix("base_model.model.").expect("peft's prefix");
        let here = model.params.by_name(name).expect("peft's names");
        let a = a.to_dtype(DType::F32).expect("converts").contiguous().expect("copies");
        here.slice_set(&a, 0, 0).expect("fits");
    }
    model.params.touch();
    let before = Adapter::of(&model).expect("has factors");

    let lora = Selection::dense(model.params.universe().clone(), |s| s.role == Role::Lora).expect("some");
    assert_eq!(lora.entries() as f64, number(&reference["trained_entries"]));
    let optimizer = &reference["optimizer"];
    let adamw = AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: number(&optimizer["weight_decay"]) };
    let options = TrainOptions::new(adamw.into(), number(&optimizer["lr"]));
    let mut trainer = Trainer::new((&model).into(), lora, options).expect("fits");
    let batches =
        Padded::read(&oracles.join("batches_gsm8k.safetensors")).and_then(|p| p.batches()).expect("reads");
    let losses = reference["losses"].as_array().expect("a list");
    let print = base.fingerprint().expect("hashes");
    let mut worst = 0f64;
    for (batch, want) in batches.iter().zip(losses) {
        let step = trainer.step((&model).into(), &host, std::slice::from_ref(batch)).expect("a step");
        let off = (step.loss - number(want)).abs();
        eprintln!(
            "{run} step {:2}: loss {:.7} off by {off:.1e}, {:.2} s",
            step.step, step.loss, step.seconds
        );
        assert!(off < 1e-4, "{run}, step {}: {} is not {want}", step.step, step.loss);
        worst = worst.max(off);
    }
    assert_eq!(base.fingerprint().expect("hashes"), print, "the weights stay as they are");
    let mut entropy = CrossEntropy::default();
    let end =
        model.decoder.loss(&model.exec, &host, &model.params, &batches[0], &mut entropy).expect("runs").loss;
    let want = number(&reference["loss_of_batch_0_at_the_end"]);
    assert!((end - want).abs() < 1e-4, "{run}: the loss of batch 0 is {end} at the end, not {want}");

    let after = Adapter::of(&model).expect("has factors");
    let norm = |x: &Tensor| -> f64 {
        let squares = x.to_dtype(DType::F64).and_then(|x| x.sqr()?.sum_all()?.to_scalar::<f64>());
        squares.expect("sums").sqrt()
    };
    let mut relative = 0f64;
    // What the norm of A may be off by: small enough to tell a run's weight decay from none. At 1e-4 with a decay of
    // 0.01 that changes A by 1.6e-5 of itself; a larger rate moves A further, and its rounding with it.
    let a_allowed = if number(&optimizer["lr"]) > 1e-4 { 1e-4 } else { 5e-6 };
    for (module, first) in after.modules.iter().zip(&before.modules) {
        let want = &reference["modules"][&module.name];
        let moved = (&module.a - &first.a).expect("one shape");
        let delta = module.delta(&exec()).expect("multiplies");
        for (what, found, allowed) in [
            ("A", norm(&module.a), a_allowed),
            ("B", norm(&module.b), 1e-3),
            ("A_moved", norm(&moved), 1e-3),
            ("delta", norm(&delta), 1e-3),
        ] {
            let want = number(&want[what]);
            let off = (found / want - 1.0).abs();
            assert!(off < allowed, "{run}: the norm of {what} of {} is {found}, not {want}", module.name);
            relative = relative.max(off);
        }
    }
    eprintln!("{run}: losses off by {worst:.1e}, norms by {relative:.1e} of themselves");
}
