//! Factors of low rank beside a model's weights: logits, gradients, dropout, and what is shared with the base.

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use lota_runtime::Result;
use lota_runtime::data::{Batch, NO_LABEL};
use lota_runtime::host::{Host, Rng};
use lota_runtime::lora::{Adapter, Shape, merged, modules};
use lota_runtime::model::decoder::{Attached, Checkpoint, CrossEntropy, Grad, Want};
use lota_runtime::model::{Config, Decoder, Init, Model, Params, Role};
use lota_runtime::ops::{Compute, SparseIndex, scatter};
use lota_runtime::train::{AdamW, Companions, Selection, Subject, TrainOptions, Trainer};
use serde_json::Value;

use crate::common::{bits, decoder, difference, exec, largest, params, tokens};
use crate::zoo;

fn batch(seed: u64) -> Batch {
    let mut rng = Rng::new(seed);
    let mut batch = Batch::new();
    for (example, len) in [9usize, 4, 11].into_iter().enumerate() {
        let ids = tokens(&mut rng, len, 37);
        let label = |_| if rng.uniform() < 0.3 { NO_LABEL } else { rng.below(37) as i32 };
        let labels: Vec<i32> = (0..len).map(label).collect();
        batch.append(&ids, &labels, example as u32);
    }
    batch
}

fn base(json: &Value) -> Model {
    let params = params(&decoder(json), 3);
    Model::new(Config::from_json(json).expect("a configuration"), params, exec(), "base").expect("a model")
}

/// The model with factors that are not zero beside every matrix.
fn attached(model: &Model, names: &[&str], dropout: f64) -> Model {
    let shape = Shape { rank: 3, alpha: 4.0, rslora: true };
    let modules = modules(model, names, &shape).expect("modules");
    let with = model.attach(Attached { modules, dropout, seed: 9 }, Init::Kaiming, 1).expect("attaches");
    let mut rng = Rng::new(5);
    for (spec, tensor) in with.params.universe().specs().iter().zip(with.params.tensors()) {
        if spec.role == Role::Lora {
            let values: Vec<f32> = (0..spec.entries()).map(|_| (0.1 * rng.normal()) as f32).collect();
            let values = Tensor::from_vec(values, spec.shape.clone(), tensor.device()).expect("fits");
            tensor.slice_set(&values, 0, 0).expect("writes");
        }
    }
    with.params.touch();
    with
}

const EVERY: &[&str] = &["adaptable", "embed_tokens", "lm_head"];

fn gradients(
    decoder: &Decoder,
    model: &Model,
    batch: &Batch,
    wants: &[Want],
    checkpoint: Checkpoint,
) -> (f64, HashMap<usize, Tensor>) {
    let mut found = HashMap::new();
    let mut sink = |param: usize, grad: Grad| -> Result<()> {
        assert!(found.insert(param, grad.into_tensor()).is_none(), "parameter {param} came twice");
        Ok(())
    };
    let mut loss = CrossEntropy::default();
    let (exec, host) = (&model.exec, Host::default());
    let out = decoder
        .backward(exec, &host, &model.params, batch, &mut loss, wants, checkpoint, &mut sink)
        .expect("a backward pass");
    (out.loss, found)
}

fn wants(model: &Model, choose: impl Fn(&str, Role) -> bool) -> Vec<Want> {
    let specs = model.params.universe().specs();
    specs.iter().map(|s| if choose(&s.name, s.role) { Want::Dense } else { Want::No }).collect()
}

fn logits(model: &Model, batch: &Batch) -> Tensor {
    model.decoder.logits(&model.exec, &Host::default(), &model.params, batch).expect("runs")
}

fn close(name: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    let (worst, scale) = (difference(found, expected), largest(expected));
    assert!(worst <= tolerance * scale.max(0.1), "{name}: differs by {worst} of {scale}");
}

#[test]
fn merged_factors_give_the_same_logits_and_the_gradients_obey_the_law_of_the_dense_one() {
    for case in zoo::all() {
        let base = base(&case.json);
        let model = attached(&base, EVERY, 0.0);
        let plain = merged(&model).expect("merges");
        let batch = batch(4);
        close(case.name, &logits(&model, &batch), &logits(&plain, &batch), 2e-5);
        assert!(
            difference(&logits(&model, &batch), &logits(&base, &batch)) > 0.01,
            "{}: factors count",
            case.name
        );

        let all = wants(&model, |_, role| role == Role::Lora);
        let (loss, found) = gradients(&model.decoder, &model, &batch, &all, Checkpoint::None);
        let dense = wants(&plain, |_, _| true);
        let (expected, whole) = gradients(&plain.decoder, &plain, &batch, &dense, Checkpoint::None);
        assert!((loss - expected).abs() < 1e-5, "{}: {loss} and {expected}", case.name);
        let factored = &model.decoder.attached().expect("has factors").modules;
        assert_eq!(found.len(), 2 * factored.len(), "{}: the factors and nothing else", case.name);
        for module in factored {
            let index = plain.params.universe().get(&format!("{}.weight", module.module)).expect("is there");
            let dw =
                if module.embedding() { whole[&index].t().expect("turns") } else { whole[&index].clone() };
            let [a, b] = module.names().map(|name| model.params.universe().get(&name).expect("is there"));
            let of = |i: usize| model.params.get(i);
            let law =
                |x: candle_core::Result<Tensor>| (x.expect("multiplies") * module.scale).expect("scales");
            let da = law(of(b).t().and_then(|b| b.matmul(&dw.contiguous()?)));
            let db = law(of(a).t().and_then(|a| dw.contiguous()?.matmul(&a.contiguous()?)));
            close(&format!("{}: A of {}", case.name, module.module), &found[&a], &da, 5e-5);
            close(&format!("{}: B of {}", case.name, module.module), &found[&b], &db, 5e-5);
            assert!(
                largest(&found[&a]) > 1e-5 && largest(&found[&b]) > 1e-5,
                "{}: nothing to compare",
                case.name
            );
        }
    }
}

#[test]
fn weights_below_factors_get_the_gradient_of_the_merged_weight() {
    for case in zoo::all() {
        let model = attached(&base(&case.json), EVERY, 0.0);
        let plain = merged(&model).expect("merges");
        let batch = batch(4);
        let (_, found) =
            gradients(&model.decoder, &model, &batch, &wants(&model, |_, _| true), Checkpoint::Block);
        let (_, whole) =
            gradients(&plain.decoder, &plain, &batch, &wants(&plain, |_, _| true), Checkpoint::None);
        for (index, spec) in plain.params.universe().specs().iter().enumerate() {
            let Some(at) = model.params.universe().index_of(&spec.name) else { continue };
            let mut expected = whole[&index].clone();
            if model.config.tied && spec.role == Role::Embed {
                let head = plain.params.universe().get("lm_head.weight").expect("is its own now");
                expected = (expected + &whole[&head]).expect("adds");
            }
            close(&format!("{}: {}", case.name, spec.name), &found[&at], &expected, 5e-5);
        }
    }
}

#[test]
fn any_factor_alone_masked_or_recomputed_gets_the_same_gradient() {
    for case in zoo::all() {
        for dropout in [0.0, 0.4] {
            let model = attached(&base(&case.json), EVERY, dropout);
            let decoder = model.decoder.in_training(7);
            let batch = batch(4);
            let lora = wants(&model, |_, role| role == Role::Lora);
            let (loss, all) = gradients(&decoder, &model, &batch, &lora, Checkpoint::None);
            let (again, block) = gradients(&decoder, &model, &batch, &lora, Checkpoint::Block);
            assert_eq!(loss.to_bits(), again.to_bits(), "{}", case.name);
            for (index, grad) in &all {
                let spec = model.params.universe().spec(*index);
                let name = format!("{}: {} with dropout {dropout}", case.name, spec.name);
                assert_eq!(bits(grad), bits(&block[index]), "{name}, recomputed");
                let only = wants(&model, |name, _| name == spec.name);
                let (_, one) = gradients(&decoder, &model, &batch, &only, Checkpoint::Block);
                assert_eq!(one.len(), 1, "{name}: only what is wanted is delivered");
                close(&name, &one[index], grad, 1e-5);
                let (rows, cols) = spec.rows_cols();
                let entries = (0..spec.entries() as u32).filter(|i| i % 5 == 2);
                let kept = SparseIndex::from_sorted(rows, cols, entries).expect("an index");
                let expected = scatter::gather(&model.exec, grad, &kept).expect("gathers");
                let mut masked = only;
                masked[*index] = Want::At(kept.into());
                let (_, one) = gradients(&decoder, &model, &batch, &masked, Checkpoint::None);
                close(&format!("{name}, masked"), &one[index], &expected, 1e-5);
            }
        }
    }
}

#[test]
fn dropout_is_the_same_in_forward_and_backward_and_off_outside_training() {
    let case = &zoo::all()[0];
    let (with, without) = (attached(&base(&case.json), EVERY, 0.4), attached(&base(&case.json), EVERY, 0.0));
    let batch = batch(4);
    assert_eq!(bits(&logits(&with, &batch)), bits(&logits(&without, &batch)), "off outside training");
    let lora = wants(&with, |_, role| role == Role::Lora);
    let step = with.decoder.in_training(7);
    let (loss, found) = gradients(&step, &with, &batch, &lora, Checkpoint::None);
    let other = with.decoder.in_training(8);
    assert_ne!(
        loss,
        gradients(&other, &with, &batch, &lora, Checkpoint::None).0,
        "another step, another mask"
    );
    // The derivative along the gradient of each factor is its squared length.
    let at = |by: f64, index: usize| {
        let (old, grad) = (with.params.get(index), &found[&index]);
        let moved = (old + (grad * by).expect("scales")).expect("adds");
        let mut copy = with.params.copy().expect("copies");
        copy.set(index, moved).expect("fits");
        let mut loss = CrossEntropy::default();
        step.loss(&with.exec, &Host::default(), &copy, &batch, &mut loss).expect("runs").loss
    };
    for (&index, grad) in &found {
        let length = grad.sqr().and_then(|g| g.sum_all()).and_then(|g| g.to_scalar::<f32>()).expect("sums");
        // Short enough for a straight line, long enough to be seen in f32.
        let by = 2e-3f64.min(5e-3 / f64::from(length.sqrt())) / f64::from(length.sqrt());
        let slope = (at(by, index) - at(-by, index)) / (2.0 * by);
        let name = &with.params.universe().spec(index).name;
        let off = (slope / f64::from(length) - 1.0).abs();
        assert!(off < 0.02, "{name}: the loss rises by {slope}, the gradient says {length}");
    }
}

#[test]
fn bf16_weights_and_products_stay_near_the_exact_gradient() {
    for case in zoo::all() {
        let exact = attached(&base(&case.json), EVERY, 0.0);
        let halves = |model: &Model| -> Params {
            let specs = model.params.universe().specs();
            let tensors = specs.iter().zip(model.params.tensors()).map(|(spec, tensor)| {
                let dtype = if spec.role == Role::Lora {
                    DType::F32
                } else {
                    Params::dtype_of(spec.role, DType::BF16)
                };
                tensor.to_dtype(dtype).expect("converts")
            });
            Params::new(model.params.universe().clone(), tensors.collect()).expect("fits")
        };
        let half = Model {
            params: halves(&exact),
            exec: exact.exec.clone().with_compute(Compute::BF16),
            ..exact.clone()
        };
        let (batch, lora) = (batch(4), wants(&exact, |_, role| role == Role::Lora));
        let (_, a) = gradients(&exact.decoder, &exact, &batch, &lora, Checkpoint::None);
        let (_, b) = gradients(&half.decoder, &half, &batch, &lora, Checkpoint::None);
        for (index, grad) in &a {
            // The factors are large here, so that roundings grow from layer to layer: directions are compared.
            let dot = |x: &Tensor, y: &Tensor| -> f32 {
                (x * y).and_then(|p| p.sum_all()?.to_scalar()).expect("sums")
            };
            let cosine = dot(grad, &b[index]) / (dot(grad, grad) * dot(&b[index], &b[index])).sqrt();
            let name = &exact.params.universe().spec(*index).name;
            assert!(cosine > 0.95, "{}: {name} has a cosine of {cosine}", case.name);
        }
    }
}

#[test]
fn training_the_factors_leaves_the_shared_weights_and_a_resumed_dropout_goes_on() {
    let case = &zoo::all()[0];
    let base = base(&case.json);
    let print = base.fingerprint().expect("hashes");
    let run = |parts: &[u64]| {
        let model = attached(&base, EVERY, 0.3);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("training.safetensors");
        let new = || {
            let lora =
                Selection::dense(model.params.universe().clone(), |s| s.role == Role::Lora).expect("some");
            let options = TrainOptions::new(AdamW::default().into(), 1e-2);
            Trainer::new(Subject::from(&model), lora, options).expect("a trainer")
        };
        let host = Host::default();
        let mut trainer = new();
        for (at, &steps) in parts.iter().enumerate() {
            if at > 0 {
                trainer = new();
                trainer.load(Subject::from(&model), &host, &file).expect("loads");
            }
            for _ in 0..steps {
                trainer.step(Subject::from(&model), &host, &[batch(4), batch(5)]).expect("steps");
            }
            trainer.save(Subject::from(&model), &host, &file, &Companions::default()).expect("saves");
        }
        model.fingerprint().expect("hashes")
    };
    assert_eq!(run(&[4]), run(&[2, 2]), "a training that is resumed");
    assert_eq!(base.fingerprint().expect("hashes"), print, "the weights of the base");
    let model = attached(&base, &["q_proj"], 0.0);
    let up = "model.layers.0.mlp.up_proj.weight";
    let weight = |m: &Model| m.params.by_name(up).expect("is there").clone();
    let changed = (weight(&base) * 2.0).expect("scales");
    let before = model.params.version();
    weight(&base).slice_set(&changed, 0, 0).expect("writes");
    base.params.touch();
    assert_eq!(bits(&weight(&model)), bits(&changed), "weights are shared");
    assert_ne!(model.params.version(), before, "and so is the count of their changes");
    let _hold = model.params.hold("a test");
    assert!(base.params.check_free().is_err(), "and who holds them");
}

#[test]
fn an_adapter_that_is_read_attached_and_written_keeps_its_bits() {
    for case in zoo::all() {
        let base = base(&case.json);
        let model = attached(&base, EVERY, 0.0);
        let folder = tempfile::tempdir().expect("a folder");
        let adapter = Adapter::of(&model).expect("has factors");
        adapter.save(folder.path(), DType::F32, &Host::default()).expect("writes");
        let again = Adapter::load(folder.path()).expect("reads").attach(&base, 0.0, 0).expect("attaches");
        let pairs = model.params.universe().specs().iter().zip(again.params.universe().specs());
        assert!(pairs.clone().all(|(a, b)| a == b), "{}: the same parameters", case.name);
        assert_eq!(
            model.fingerprint().expect("hashes"),
            again.fingerprint().expect("hashes"),
            "{}",
            case.name
        );
        close(case.name, &logits(&again, &batch(4)), &logits(&model, &batch(4)), 1e-6);
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let tied = zoo::all().into_iter().find(|c| base(&c.json).config.tied).expect("a tied case");
    let base = base(&tied.json);
    let shape = |rank, alpha| Shape { rank, alpha, rslora: false };
    let text = |names: &[&str], rank, alpha| {
        modules(&base, names, &shape(rank, alpha)).expect_err("refused").to_string()
    };
    assert_eq!(text(&["q_proj"], 0, 1.0), "the rank of factors is at least 1");
    assert_eq!(text(&["q_proj"], 1, f64::NAN), "alpha must be a finite number above 0, not NaN");
    assert!(
        text(&["quproj"], 1, 1.0)
            .starts_with("no module with a matrix is called \"quproj\": use \"all-linear\"")
    );
    let model = attached(&base, &["q_proj"], 0.0);
    let q = modules(&base, &["q_proj"], &shape(2, 2.0)).expect("modules");
    let again = model.attach(Attached { modules: q.clone(), dropout: 0.0, seed: 0 }, Init::Kaiming, 0);
    assert!(again.expect_err("refused").to_string().contains("merge them into its weights"));
    let dropout = base.attach(Attached { modules: q, dropout: 1.0, seed: 0 }, Init::Kaiming, 0);
    assert_eq!(dropout.expect_err("refused").to_string(), "dropout must be at least 0 and below 1, not 1");
    let folder = tempfile::tempdir().expect("a folder");
    let saved = model.save(folder.path(), &Default::default(), &Host::default());
    assert!(saved.expect_err("refused").to_string().contains("lora.merge"));
    assert!(Adapter::of(&base).expect_err("refused").to_string().contains("no factors of low rank"));
}
