//! The training step on a small decoder: what it sums, what it must not touch, and how it goes on.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::data::{Batch, BatchOptions, Batches, Example};
use lota_runtime::host::{Events, Host, Rng};
use lota_runtime::mask::{Budget, Mask, Scope, top};
use lota_runtime::model::decoder::{Checkpoint, LossFn, Reduction};
use lota_runtime::model::{Config, Decoder, ParamSpec, Params, Role};
use lota_runtime::ops::{Compute, Exec};
use lota_runtime::train::{
    AdamW, Clip, Companions, FitOptions, Optimizer, Save, Schedule, ScoreKind, Selection, Sgd, StepReport,
    Subject, TrainOptions, Trainer, fit, frozen_fingerprint, grad_scores,
};
use serde_json::json;

struct Tiny {
    exec: Exec,
    decoder: Decoder,
    params: Params,
    host: Host,
}

impl Tiny {
    fn new(dtype: DType) -> Self {
        let config = Config::from_json(&json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
            "bos_token_id": 1, "eos_token_id": 2
        }))
        .expect("a configuration");
        let decoder = Decoder::new(&config).expect("a decoder");
        let mut rng = Rng::new(3);
        let mut tensor = |spec: &ParamSpec| {
            let one = matches!(spec.role, Role::Norm);
            let value = |x: f64| if one { 1.0 + 0.1 * x } else { 0.2 * x } as f32;
            let values: Vec<f32> = (0..spec.entries()).map(|_| value(rng.normal())).collect();
            let dtype = if one { DType::F32 } else { dtype };
            let tensor = Tensor::from_vec(values, spec.shape.clone(), &Device::Cpu);
            tensor.and_then(|t| t.to_dtype(dtype)).expect("a tensor")
        };
        let tensors = decoder.universe().specs().iter().map(&mut tensor).collect();
        let params = Params::new(decoder.universe().clone(), tensors).expect("fits");
        Self { exec: Exec::cpu(), decoder, params, host: Host::default() }
    }

    fn reference(mut self) -> Self {
        self.exec = self.exec.with_reference(true);
        self
    }

    fn subject(&self) -> Subject<'_> {
        Subject { exec: &self.exec, decoder: &self.decoder, params: &self.params }
    }

    fn all(&self) -> Selection {
        Selection::dense(self.decoder.universe().clone(), |_| true).expect("not empty")
    }

    /// A random mask over every parameter, norms and the embedding too.
    fn mask(&self) -> Mask {
        let mut rng = Rng::new(8);
        let universe = self.decoder.universe();
        let mut sets = Vec::new();
        for spec in universe.specs() {
            sets.push((0..spec.entries() as u32).filter(|_| rng.below(5) == 0).collect());
        }
        Mask::new(universe.clone(), sets).expect("fits")
    }

    fn trainer(&self, selection: Selection, options: TrainOptions) -> Trainer {
        Trainer::new(self.subject(), selection, options).expect("fits")
    }

    fn step(&self, trainer: &mut Trainer, batches: &[Batch]) -> StepReport {
        trainer.step(self.subject(), &self.host, batches).expect("a step")
    }

    fn values(&self) -> Vec<Vec<f32>> {
        let flat = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        self.params.tensors().iter().map(|t| flat(t).expect("numbers")).collect()
    }

    fn hash(&self) -> String {
        let all: Vec<u8> = self.values().iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        blake3::hash(&all).to_hex().to_string()
    }
}

/// Examples of differing lengths and numbers of targets.
fn some_examples(n: u64) -> Arc<Vec<Example>> {
    let mut rng = Rng::new(n);
    let mut ids = |n: u64| (0..n).map(|_| 3 + rng.below(37) as u32).collect::<Vec<_>>();
    Arc::new((0..n).map(|i| Example::new(&ids(2 + i % 4), &ids(1 + (i * i) % 6))).collect())
}

fn stream(n: u64, size: usize) -> Batches {
    Batches::new(some_examples(n), BatchOptions { size, seed: 4, ..Default::default() }).expect("fits")
}

fn adamw(lr: f64) -> TrainOptions {
    let optimizer = AdamW { weight_decay: 0.1, ..AdamW::default() }.into();
    TrainOptions::new(optimizer, lr)
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn training_learns() {
    let tiny = Tiny::new(DType::F32);
    for selection in [tiny.all(), Selection::masked(&tiny.mask()).expect("not empty")] {
        let mut trainer = tiny.trainer(selection, adamw(3e-3));
        let mut batches = stream(8, 4);
        let losses: Vec<f64> = (0..60).map(|_| tiny.step(&mut trainer, &[batches.next()]).loss).collect();
        assert!(losses[59] < 0.7 * losses[0], "{losses:?}");
    }
}

#[test]
fn a_batch_cut_into_micro_batches_gives_the_same_step() {
    for reduction in [Reduction::Mean, Reduction::Sum] {
        // SGD, so that the step is the gradient itself and not its sign.
        let options = || {
            let sgd = Optimizer::from(Sgd { momentum: 0.0, ..Sgd::default() });
            TrainOptions { reduction, ..TrainOptions::new(sgd, 0.5) }
        };
        let (one, many) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
        let mut whole = one.trainer(one.all(), options());
        let whole = one.step(&mut whole, &[stream(9, 9).next()]);
        let mut parts = stream(9, 2);
        let split = Batches::new(
            some_examples(9),
            BatchOptions { size: 2, order: lota_runtime::data::Order::Sequential, ..parts.options().clone() },
        )
        .expect("fits");
        parts = split;
        let micro: Vec<Batch> = parts.epoch().collect();
        assert_eq!(micro.len(), 5);
        let mut cut = many.trainer(many.all(), options());
        let cut = many.step(&mut cut, &micro);
        assert!((whole.loss - cut.loss).abs() < 1e-5, "{} {}", whole.loss, cut.loss);
        assert!((whole.grad_norm / cut.grad_norm - 1.0).abs() < 1e-5);
        assert_eq!((whole.tokens, whole.labelled), (cut.tokens, cut.labelled));
        let difference = largest_difference(&one.values(), &many.values());
        assert!(difference < 1e-5, "{difference}");
        assert_ne!(one.values(), Tiny::new(DType::F32).values());
    }
}

#[test]
fn entries_outside_the_mask_keep_their_bits() {
    for dtype in [DType::F32, DType::BF16] {
        for tiny in [Tiny::new(dtype), Tiny::new(dtype).reference()] {
            let mask = tiny.mask();
            let selection = Selection::masked(&mask).expect("not empty");
            let (before, frozen) =
                (tiny.values(), frozen_fingerprint(&tiny.params, &selection).expect("hashes"));
            let mut trainer = tiny.trainer(selection, adamw(1e-2));
            let mut batches = stream(8, 4);
            for _ in 0..4 {
                tiny.step(&mut trainer, &[batches.next()]);
            }
            let after = frozen_fingerprint(&tiny.params, trainer.selection()).expect("hashes");
            assert_eq!(frozen, after);
            let mut changed = 0;
            for (i, (old, new)) in before.iter().zip(tiny.values()).enumerate() {
                for (k, (a, b)) in old.iter().zip(&new).enumerate() {
                    let free = mask.set(i).contains(k as u32);
                    assert!(free || a.to_bits() == b.to_bits());
                    changed += u64::from(a != b);
                }
            }
            assert!(changed * 10 > mask.count() * 8, "{changed} of {} moved", mask.count());
        }
    }
}

#[test]
fn a_mask_of_everything_trains_like_whole_parameters() {
    let (whole, masked) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
    let mut dense = whole.trainer(whole.all(), adamw(1e-3));
    // All but one entry, so that the sampled path is taken.
    let universe = masked.decoder.universe();
    let sets = universe.specs().iter().map(|s| (1..s.entries() as u32).collect()).collect();
    let almost = Selection::masked(&Mask::new(universe.clone(), sets).expect("fits")).expect("not empty");
    let mut sparse = masked.trainer(almost, adamw(1e-3));
    let mut batches = stream(8, 4);
    for _ in 0..3 {
        let batch = batches.next();
        whole.step(&mut dense, std::slice::from_ref(&batch));
        masked.step(&mut sparse, &[batch]);
    }
    for (a, b) in whole.values().iter().zip(masked.values()) {
        let difference = a[1..].iter().zip(&b[1..]).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{difference}");
    }
}

#[test]
fn the_reference_path_takes_the_same_steps() {
    for dtype in [DType::F32, DType::BF16] {
        let (fast, slow) = (Tiny::new(dtype), Tiny::new(dtype).reference());
        let run = |tiny: &Tiny| {
            let mut trainer = tiny.trainer(Selection::masked(&tiny.mask()).expect("not empty"), adamw(1e-3));
            let mut batches = stream(8, 4);
            (0..3).map(|_| tiny.step(&mut trainer, &[batches.next()]).loss).collect::<Vec<_>>()
        };
        for (a, b) in run(&fast).iter().zip(run(&slow)) {
            assert!((a - b).abs() < 1e-4, "{dtype:?}: {a} {b}");
        }
        if dtype == DType::BF16 {
            // Both paths round alike, so nearly every weight has the same bits in the end.
            let (a, b) = (fast.values().concat(), slow.values().concat());
            let apart = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            assert!(apart * 100 <= a.len(), "{apart} of {} weights differ", a.len());
        }
    }
}

#[test]
fn matrices_that_are_kept_packed_take_the_same_steps() {
    for (dtype, compute) in
        [(DType::F32, Compute::F32), (DType::BF16, Compute::BF16), (DType::F32, Compute::BF16)]
    {
        let run = |keep_packed: bool, per_block: bool| {
            let mut tiny = Tiny::new(dtype);
            tiny.exec = tiny.exec.with_compute(compute);
            let universe = tiny.decoder.universe().clone();
            // Few entries of some matrices, many of others, none of the rest.
            let sets = universe.specs().iter().enumerate().map(|(i, spec)| {
                let every = [37, 3, 0][i % 3];
                (0..spec.entries() as u32).filter(|k| every != 0 && k % every == 1).collect()
            });
            let mask = Mask::new(universe.clone(), sets.collect()).expect("fits");
            let options = TrainOptions { keep_packed, per_block, ..adamw(1e-2) };
            let mut trainer = tiny.trainer(Selection::masked(&mask).expect("not empty"), options);
            let mut batches = stream(16, 8);
            let mut losses = Vec::new();
            for step in 0..6 {
                if step == 3 {
                    // Somebody else changes what the copies are of.
                    let w = tiny.params.get(2);
                    w.slice_set(&(w * 0.5).expect("a product"), 0, 0).expect("fits");
                    tiny.params.touch();
                }
                losses.push(tiny.step(&mut trainer, &[batches.next()]).loss.to_bits());
            }
            (losses, tiny.hash())
        };
        let plain = run(false, false);
        assert_eq!(plain, run(true, false), "{dtype:?} {compute:?}");
        assert_eq!(plain, run(true, true), "{dtype:?} {compute:?}, block by block");
    }
}

#[test]
fn blocks_updated_as_they_come_take_the_same_step() {
    for checkpoint in [Checkpoint::None, Checkpoint::Block] {
        let (a, b) = (Tiny::new(DType::F32), Tiny::new(DType::F32));
        let clip = Clip::PerParameter(0.05);
        let mut together = a.trainer(a.all(), TrainOptions { clip, ..adamw(1e-3) });
        let mut apart = b.trainer(b.all(), TrainOptions { clip, per_block: true, checkpoint, ..adamw(1e-3) });
        let mut batches = stream(8, 4);
        for _ in 0..3 {
            let batch = batches.next();
            let x = a.step(&mut together, std::slice::from_ref(&batch));
            let y = b.step(&mut apart, &[batch]);
            assert!((x.grad_norm - y.grad_norm).abs() < 1e-6 && x.loss == y.loss);
        }
        assert_eq!(a.hash(), b.hash());
    }
}

#[test]
fn options_that_contradict_each_other_are_explained() {
    let tiny = Tiny::new(DType::F32);
    let refused =
        |options| Trainer::new(tiny.subject(), tiny.all(), options).expect_err("is wrong").to_string();
    let text = refused(TrainOptions { per_block: true, clip: Clip::Global(1.0), ..adamw(1e-3) });
    assert!(text.contains("per_block") && text.contains("clip per parameter"), "{text}");
    assert!(refused(TrainOptions { schedule: Schedule::Linear, ..adamw(1e-3) }).contains("steps"));
    assert!(refused(adamw(f64::NAN)).contains("learning rate"));
    assert!(refused(TrainOptions { clip: Clip::Global(0.0), ..adamw(1.0) }).contains("above 0"));
    let mut trainer = tiny.trainer(tiny.all(), TrainOptions { per_block: true, ..adamw(1e-3) });
    let (mut batches, before) = (stream(8, 4), tiny.hash());
    let two = [batches.next(), batches.next()];
    let text = trainer.step(tiny.subject(), &tiny.host, &two).expect_err("two batches").to_string();
    assert!(text.contains("per_block"), "{text}");
    let empty = trainer.step(tiny.subject(), &tiny.host, &[Batch::of_tokens(&[[5u32, 6]])]);
    assert!(empty.expect_err("no label").to_string().contains("label"));
    assert_eq!(before, tiny.hash());
}

#[test]
fn clipping_bounds_the_step() {
    let moved = |clip: Clip| {
        let tiny = Tiny::new(DType::F32);
        let before = tiny.values();
        let sgd = Optimizer::from(Sgd { momentum: 0.0, ..Sgd::default() });
        let mut trainer = tiny.trainer(tiny.all(), TrainOptions { clip, ..TrainOptions::new(sgd, 1.0) });
        let report = tiny.step(&mut trainer, &[stream(8, 4).next()]);
        let norm = |pair: (&Vec<f32>, &Vec<f32>)| {
            pair.0.iter().zip(pair.1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        (report.grad_norm, before.iter().zip(&tiny.values()).map(norm).collect::<Vec<f64>>())
    };
    let (norm, free) = moved(Clip::None);
    assert!((free.iter().sum::<f64>().sqrt() / norm - 1.0).abs() < 1e-4);
    let (same_norm, global) = moved(Clip::Global(0.01));
    assert!((norm - same_norm).abs() < 1e-9);
    assert!((global.iter().sum::<f64>().sqrt() - 0.01).abs() < 1e-4);
    let (_, each) = moved(Clip::PerParameter(0.01));
    for (free, clipped) in free.iter().zip(each) {
        assert!((clipped.sqrt() - free.sqrt().min(0.01)).abs() < 1e-4);
    }
}

#[test]
fn a_cancelled_step_leaves_everything_as_it_was() {
    let mut tiny = Tiny::new(DType::F32);
    let mut trainer = tiny.trainer(tiny.all(), adamw(1e-2));
    let mut batches = stream(8, 4);
    tiny.step(&mut trainer, &[batches.next()]);
    let (before, dir) = (tiny.hash(), tempfile::tempdir().expect("a folder"));
    let file = |name: &str| dir.path().join(name);
    let save = |trainer: &Trainer, name| {
        trainer.save(tiny.subject(), &tiny.host, &file(name), &Companions::default()).expect("saves");
        std::fs::read(file(name)).expect("reads")
    };
    let state = save(&trainer, "before");
    let host = Host::default();
    // Cancelled by the loss function: in the middle of the pass.
    struct Stop(Host);
    impl LossFn for Stop {
        fn weights(&mut self, _: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            self.0.cancel.cancel();
            Ok((0.0, logp.ones_like()?))
        }
    }
    let stopped = trainer.step_with(tiny.subject(), &host, &[batches.next()], &mut Stop(host.clone()));
    assert!(stopped.is_err_and(|error| error.is_cancelled()));
    assert_eq!((before, state), (tiny.hash(), save(&trainer, "after")));
    tiny.host = Host::default();
    tiny.step(&mut trainer, &[batches.next()]);
    assert_eq!(trainer.steps(), 2);
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_and_named() {
    let tiny = Tiny::new(DType::F32);
    let mut trainer = tiny.trainer(tiny.all(), adamw(1e-2));
    struct Bad;
    impl LossFn for Bad {
        fn weights(&mut self, _: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            Ok((f64::NAN, (logp.ones_like()? * f64::NAN)?))
        }
    }
    let before = tiny.hash();
    let text = trainer.step_with(tiny.subject(), &tiny.host, &[stream(8, 4).next()], &mut Bad);
    let text = text.expect_err("is not finite").to_string();
    assert!(text.contains("model.embed_tokens.weight") && text.contains("not finite"), "{text}");
    assert_eq!((before, 0), (tiny.hash(), trainer.steps()));
}

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

#[test]
fn schedules_rise_and_fall_where_they_should() {
    let factors = |mut schedule: Schedule, warmup, total| -> Vec<f64> {
        (0..8).map(|step| schedule.factor(step, warmup, total).expect("a factor")).collect()
    };
    assert_eq!(factors(Schedule::Constant, 3, None), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(factors(Schedule::Linear, 1, Some(6)), [0.5, 1.0, 0.8, 0.6, 0.4, 1.0 - 0.8, 0.0, 0.0]);
    let cosine = factors(Schedule::Cosine, 0, Some(4));
    let want = [1.0, 0.5 + 0.5f64.sqrt() / 2.0, 0.5, 0.5 - 0.5f64.sqrt() / 2.0, 0.0];
    assert!(cosine.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{cosine:?}");
    let halves =
        Schedule::Custom(Box::new(|step, total| Ok(0.5f64.powi(step as i32) * total.map_or(1.0, |_| 2.0))));
    assert_eq!(factors(halves, 1, Some(9))[..3], [1.0, 1.0, 0.5]);
    let mut negative = Schedule::Custom(Box::new(|_, _| Ok(-1.0)));
    assert!(negative.factor(0, 0, None).is_err_and(|e| e.to_string().contains("-1")));
}

#[test]
fn fit_stops_when_the_callback_says_so_and_uses_the_schedule() {
    let tiny = Tiny::new(DType::F32);
    let options = TrainOptions { schedule: Schedule::Linear, total: Some(10), ..adamw(1.0) };
    let mut trainer = tiny.trainer(tiny.all(), options);
    let mut on_step = |_: &Trainer, step: &StepReport| Ok(step.step < 3);
    let fitted = FitOptions::new(10);
    let done = fit(&mut trainer, tiny.subject(), &tiny.host, &mut stream(8, 4), &fitted, None, &mut on_step);
    let done = done.expect("trains");
    assert!(done.stopped);
    let rates: Vec<f64> = done.steps.iter().map(|s| s.lr).collect();
    assert_eq!(rates, [1.0, 0.9, 0.8]);
}

#[test]
fn scores_from_gradients_are_what_their_names_say() {
    for tiny in [Tiny::new(DType::F32), Tiny::new(DType::F32).reference()] {
        let batches: Vec<Batch> = stream(9, 2).epoch().collect();
        let choose = |spec: &ParamSpec| spec.adaptable();
        let score = |batches: &[Batch], kind: ScoreKind<'_>| {
            grad_scores(tiny.subject(), &tiny.host, batches, &choose, kind, None, Checkpoint::None)
                .expect("scores")
        };
        let read = |scores: &lota_runtime::vectors::Scores| -> Vec<Option<Vec<f32>>> {
            let flat = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
            scores.values().iter().map(|t| t.as_ref().map(flat)).collect()
        };
        // The gradients of each batch on its own, by the callback.
        let mut each: Vec<Vec<Vec<f32>>> = vec![Vec::new(); tiny.params.tensors().len()];
        let universe = tiny.decoder.universe().clone();
        let mut keep = |spec: &ParamSpec, grad: &Tensor, sum: Option<Tensor>| {
            let index = universe.index_of(&spec.name).expect("is there");
            each[index].push(grad.flatten_all()?.to_vec1()?);
            assert_eq!(sum.is_none(), each[index].len() == 1);
            Ok(grad.copy()?)
        };
        score(&batches, ScoreKind::Custom(&mut keep));
        let labelled: Vec<f32> = batches.iter().map(|b| b.labelled() as f32).collect();
        let total: f32 = labelled.iter().sum();
        let gradient = read(&score(&batches, ScoreKind::Gradient));
        let fisher = read(&score(&batches, ScoreKind::Fisher));
        for (i, spec) in universe.specs().iter().enumerate() {
            assert_eq!(gradient[i].is_some(), spec.adaptable());
            let (Some(gradient), Some(fisher)) = (&gradient[i], &fisher[i]) else { continue };
            for k in 0..gradient.len() {
                let parts = each[i].iter().map(|g| g[k]);
                let mean: f32 = parts.clone().zip(&labelled).map(|(g, n)| g * n / total).sum();
                let square: f32 = parts.map(|g| g * g / batches.len() as f32).sum();
                assert!((gradient[k] - mean.abs()).abs() < 1e-5, "{} {mean}", gradient[k]);
                assert!((fisher[k] - square).abs() < 1e-5 * square.max(1.0));
            }
        }
        let mask = top(
            &score(&batches, ScoreKind::Gradient),
            Budget::Density(0.1),
            Scope::Global,
            None,
            None,
            true,
            &tiny.host,
        );
        assert!(mask.expect("selects").count() > 0);
    }
}

#[test]
fn the_weights_are_held_while_a_step_works_with_them() {
    /// A loss that tries to take a step of another trainer.
    struct Nested<'a> {
        tiny: &'a Tiny,
        other: Trainer,
        told: Vec<String>,
    }
    impl LossFn for Nested<'_> {
        fn weights(&mut self, batch: &Batch, logp: &Tensor) -> lota_runtime::Result<(f64, Tensor)> {
            let step = self.other.step(self.tiny.subject(), &self.tiny.host, std::slice::from_ref(batch));
            self.told.push(step.expect_err("the weights are held").to_string());
            self.told.push(self.tiny.params.check_free().expect_err("the same").to_string());
            Ok((0.0, logp.zeros_like()?))
        }
    }
    let tiny = Tiny::new(DType::F32);
    let before = tiny.hash();
    let mut trainer = tiny.trainer(tiny.all(), TrainOptions { lr: 0.0, ..adamw(1e-3) });
    let mut loss = Nested { tiny: &tiny, other: tiny.trainer(tiny.all(), adamw(1e-3)), told: Vec::new() };
    trainer.step_with(tiny.subject(), &tiny.host, &[stream(8, 4).next()], &mut loss).expect("a step");
    assert_eq!(loss.told.len(), 2);
    assert!(loss.told.iter().all(|told| told.contains("while a training step computes")), "{:?}", loss.told);
    assert_eq!((tiny.hash(), loss.other.steps()), (before, 0));
    tiny.params.check_free().expect("the step is over");
    loss.other.step(tiny.subject(), &tiny.host, &[stream(8, 4).next()]).expect("a step");
}
