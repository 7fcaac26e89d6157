//! Training files: resumed to the same bits, and refused where they do not fit.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::data::Batches;
use lota_runtime::host::{Events, Host};
use lota_runtime::train::{
    Clip, Companions, FitOptions, Optimizer, Save, Schedule, Selection, StepReport, TrainOptions, Trainer,
    fit,
};
use serde_json::json;

use super::{Tiny, adamw, stream};

#[test]
fn a_resumed_training_has_the_bits_of_one_that_was_never_interrupted() {
    for (dtype, masked) in
        [(DType::F32, false), (DType::F32, true), (DType::BF16, false), (DType::BF16, true)]
    {
        for optimizer in Optimizer::names() {
            let dir = tempfile::tempdir().expect("a folder");
            let options = || TrainOptions {
                schedule: Schedule::Cosine,
                warmup: 2,
                total: Some(9),
                clip: Clip::Global(0.5),
                ..TrainOptions::new(Optimizer::named(optimizer).expect("known"), 1e-3)
            };
            let start = |tiny: &Tiny| {
                let selection = match masked {
                    true => Selection::masked(&tiny.mask()).expect("not empty"),
                    false => tiny.all(),
                };
                tiny.trainer(selection, options())
            };
            let whole = Tiny::new(dtype);
            let go = |tiny: &Tiny, batches: &mut Batches, options: &FitOptions| {
                let mut trainer = start(tiny);
                fit(&mut trainer, tiny.subject(), &tiny.host, batches, options, None, &mut |_, _| Ok(true))
            };
            let plain = FitOptions { accumulate: 2, ..FitOptions::new(9) };
            let want = go(&whole, &mut stream(11, 2), &plain).expect("trains");

            let cut = Tiny::new(dtype);
            let save = Some(Save { path: dir.path().join("training.safetensors"), every: 3 });
            let kept = FitOptions { save, resume: true, ..plain };
            // Interrupted during step 6, after the save of step 5 by cancellation.
            let (mut trainer, host) = (start(&cut), Host::default());
            let mut on_step = |_: &Trainer, step: &StepReport| {
                if step.step == 5 {
                    host.cancel.cancel();
                }
                Ok(true)
            };
            let stop = fit(&mut trainer, cut.subject(), &host, &mut stream(11, 2), &kept, None, &mut on_step);
            assert!(stop.is_err_and(|error| error.is_cancelled()));
            // A fresh model: all that is known is in the file.
            let fresh = Tiny::new(dtype);
            let got = go(&fresh, &mut stream(11, 2), &kept).expect("goes on");
            let bits = |steps: &[StepReport]| {
                steps.iter().map(|s| (s.step, s.loss.to_bits(), s.lr.to_bits())).collect::<Vec<_>>()
            };
            assert_eq!(bits(&got.steps), bits(&want.steps[5..]));
            assert_eq!(fresh.hash(), whole.hash(), "{dtype:?} masked {masked} {optimizer}");
        }
    }
}

#[test]
fn a_file_that_does_not_fit_is_refused_and_nothing_changes() {
    let tiny = Tiny::new(DType::F32);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("training.safetensors");
    let masked = || Selection::masked(&tiny.mask()).expect("not empty");
    let mut trainer = tiny.trainer(masked(), adamw(1e-3));
    tiny.step(&mut trainer, &[stream(8, 4).next()]);
    let companions =
        Companions { data: None, rng: Some((7, u128::from(u64::MAX) + 9)), extra: json!({"note": [1, 2]}) };
    trainer.save(tiny.subject(), &tiny.host, &path, &companions).expect("saves");
    let fresh = Tiny::new(DType::F32);
    let before = fresh.hash();
    let load = |trainer: &mut Trainer, path| trainer.load(fresh.subject(), &fresh.host, path);
    let refused = |mut trainer: Trainer| load(&mut trainer, &path).expect_err("does not fit").to_string();
    assert!(refused(fresh.trainer(fresh.all(), adamw(1e-3))).contains("other entries"));
    let lion = TrainOptions::new(Optimizer::named("lion").expect("known"), 1e-3);
    assert!(refused(fresh.trainer(masked(), lion)).contains("optimizer"));
    let good = std::fs::read(&path).expect("reads");
    let cut = dir.path().join("cut.safetensors");
    for len in [4, 100, good.len() - 1] {
        std::fs::write(&cut, &good[..len]).expect("writes");
        let mut trainer = fresh.trainer(masked(), adamw(1e-3));
        let text = load(&mut trainer, &cut).expect_err("is cut").to_string();
        assert!(text.contains("cut.safetensors"), "{text}");
    }
    // One bit, anywhere: in the header, in the values, in the optimizer's state, in the hash itself.
    for at in (0..good.len()).step_by(997).chain([good.len() - 1]) {
        let mut damaged = good.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&cut, damaged).expect("writes");
        let mut trainer = fresh.trainer(masked(), adamw(1e-3));
        let text = load(&mut trainer, &cut).expect_err("a bit is wrong").to_string();
        assert!(text.contains("cut.safetensors"), "byte {at}: {text}");
        assert_eq!(trainer.steps(), 0, "byte {at}");
    }
    assert_eq!(fresh.hash(), before);
    let told = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = told.clone();
    let events = Events::new(move |e| heard.lock().expect("not poisoned").push_str(&format!("{e:?}")));
    let host = Host { events, ..Host::default() };
    let mut trainer = fresh.trainer(masked(), adamw(2e-3));
    assert_eq!(trainer.load(fresh.subject(), &host, &path).expect("fits"), companions);
    assert_eq!((trainer.steps(), fresh.hash()), (1, tiny.hash()));
    assert!(told.lock().expect("not poisoned").contains("differ from the saved ones: lr"));
    // A frozen weight that is not the one it was trained with.
    let other = Tiny::new(DType::F32);
    let zeros = Tensor::zeros(other.params.get(1).shape(), DType::F32, &Device::Cpu).expect("a tensor");
    other.params.get(1).slice_set(&zeros, 0, 0).expect("sets");
    let mut trainer = other.trainer(masked(), adamw(1e-3));
    let text = trainer.load(other.subject(), &other.host, &path).expect_err("other weights").to_string();
    assert!(text.contains("frozen"), "{text}");
}

#[test]
fn a_bf16_training_saves_the_weights_that_an_outside_change_left() {
    for masked in [true, false] {
        let tiny = Tiny::new(DType::BF16);
        let selection =
            || if masked { Selection::masked(&tiny.mask()).expect("not empty") } else { tiny.all() };
        let mut trainer = tiny.trainer(selection(), adamw(1e-3));
        tiny.step(&mut trainer, &[stream(8, 4).next()]);
        // Every weight is set to another value between two steps, as a script's set_param does.
        for i in 0..tiny.params.universe().len() {
            let w = tiny.params.get(i);
            let other = Tensor::full(0.5f32, w.shape(), &Device::Cpu).and_then(|t| t.to_dtype(w.dtype()));
            w.slice_set(&other.expect("a tensor"), 0, 0).expect("sets");
        }
        tiny.params.touch();
        let (changed, dir) = (tiny.hash(), tempfile::tempdir().expect("a folder"));
        let path = dir.path().join("training.safetensors");
        trainer.save(tiny.subject(), &tiny.host, &path, &Companions::default()).expect("saves");
        let mut again = tiny.trainer(selection(), adamw(1e-3));
        again.load(tiny.subject(), &tiny.host, &path).expect("fits");
        assert_eq!(
            tiny.hash(),
            changed,
            "masked {masked}: loading brought back weights of before the change"
        );
    }
}
