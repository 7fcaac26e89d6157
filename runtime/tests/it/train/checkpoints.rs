//! Training files: resumed to the same bits, and refused where they do not fit.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::data::{Batch, Batches};
use lota_runtime::host::{Events, Host};
use lota_runtime::model::decoder::LossFn;
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
    let companions = Companions {
        rng: Some((7, u128::from(u64::MAX) + 9)),
        extra: json!({"note": [1, 2]}),
        ..Companions::default()
    };
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

#[test]
fn what_differs_from_the_saved_training_is_named() {
    use lota_runtime::train::{Accumulation, Group, Penalty, Strength};
    use lota_runtime::vectors::Values;

    struct Mean;
    impl LossFn for Mean {
        fn weights(&mut self, _: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            let each = -1.0 / logp.elem_count() as f64;
            let loss = f64::from(logp.sum_all()?.to_scalar::<f32>()?) * each;
            Ok((loss, Tensor::full(each as f32, logp.shape(), logp.device())?))
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let pulled = |tiny: &Tiny, to: f64, weight: f64| {
        let specs = tiny.params.universe().specs().iter();
        let tensors = specs.map(|spec| Tensor::full(to as f32, spec.shape.clone(), &Device::Cpu).ok());
        let anchor = Values::new(tiny.params.universe().clone(), tensors.collect()).expect("fits");
        Some(Penalty { anchor: Arc::new(anchor), weight: Strength::Number(weight) })
    };
    let group =
        |lr| vec![Group { name: "*norm*".to_string(), params: vec![1], lr: Some(lr), weight_decay: None }];
    // What a training was saved with, what it goes on with, and what is said of it.
    type Change<'a> = (&'a str, &'a dyn Fn(&Tiny, &mut TrainOptions), usize, bool);
    let same = |_: &Tiny, _: &mut TrainOptions| {};
    let changes: [Change<'_>; 9] = [
        ("", &same, 2, false),
        ("penalty", &|tiny, o| o.penalty = pulled(tiny, 0.0, 0.2), 2, false),
        ("penalty", &|tiny, o| o.penalty = pulled(tiny, 0.1, 0.1), 2, false),
        ("penalty", &|_, o| o.penalty = None, 2, false),
        ("groups", &|_, o| o.groups = group(2e-3), 2, false),
        ("groups", &|_, o| o.groups = Vec::new(), 2, false),
        ("accumulation", &|_, o| o.accumulation = Accumulation::Sum, 2, false),
        ("accumulate", &same, 3, false),
        ("loss", &same, 2, true),
    ];
    for (k, (name, change, accumulate, own_loss)) in changes.into_iter().enumerate() {
        let save = Some(Save { path: dir.path().join(format!("{k}.safetensors")), every: 0 });
        let run = |change: &dyn Fn(&Tiny, &mut TrainOptions), accumulate, own_loss: bool, steps| {
            let tiny = Tiny::new(DType::F32);
            let mut options =
                TrainOptions { penalty: pulled(&tiny, 0.0, 0.1), groups: group(1e-3), ..adamw(1e-3) };
            change(&tiny, &mut options);
            let mut trainer = tiny.trainer(tiny.all(), options);
            let told = Arc::new(std::sync::Mutex::new(Vec::new()));
            let heard = told.clone();
            let events = Events::new(move |e| heard.lock().expect("not poisoned").push(format!("{e:?}")));
            let host = Host { events, ..Host::default() };
            let options = FitOptions { accumulate, save: save.clone(), resume: true, steps };
            let mut mean = Mean;
            let loss = own_loss.then_some(&mut mean as &mut dyn LossFn);
            let mut on_step = |_: &Trainer, _: &StepReport| Ok(true);
            let batches = &mut stream(11, 2);
            fit(&mut trainer, tiny.subject(), &host, batches, &options, loss, &mut on_step).expect("trains");
            let told = told.lock().expect("not poisoned");
            told.iter().find(|e| e.contains("settings that differ")).cloned()
        };
        assert_eq!(run(&same, 2, false, 1), None);
        let told = run(change, accumulate, own_loss, 2);
        match name {
            "" => assert_eq!(told, None),
            _ => assert!(
                told.as_ref().is_some_and(|t| t.contains(&format!("saved ones: {name}\""))),
                "{name}: {told:?}"
            ),
        }
    }
}
