//! Tickets of two models' files.

use std::path::Path;

use super::*;
use crate::model::{Config, Decoder, HubOptions, Model, SaveOptions, WeightFiles, init};
use crate::ticket::FromOptions;
use crate::vectors::Delta;

fn config(vocab: usize) -> Config {
    Config::from_json(&serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256, "hidden_act": "silu",
        "tie_word_embeddings": true,
    }))
    .expect("a configuration")
}

fn model(vocab: usize, seed: u64) -> Model {
    let (exec, config) = (Exec::cpu(), config(vocab));
    let decoder = Decoder::new(&config).expect("a decoder");
    let params = init::random(&decoder, seed, DType::F32, &exec, &Host::default()).expect("weights");
    Model::new(config, params, exec, "test").expect("a model")
}

/// Some of every parameter moved, by amounts of which many are equal.
fn tuned(base: &Model, seed: u64) -> Model {
    let copy = base.duplicate().expect("copies");
    let mut rng = Rng::new(seed);
    for tensor in copy.params.tensors() {
        let old: Vec<f32> = tensor.flatten_all().and_then(|t| t.to_vec1()).expect("floats");
        let new: Vec<f32> = old.iter().map(|v| v + 0.25 * (rng.below(9) as f32 - 4.0)).collect();
        let new = Tensor::from_vec(new, tensor.shape(), &Device::Cpu).expect("fits");
        tensor.slice_set(&new, 0, 0).expect("writes");
    }
    copy.params.touch();
    copy
}

fn written(model: &Model, folder: &Path, dtype: DType, shard_bytes: u64) -> WeightFiles {
    let options = SaveOptions { dtype: Some(dtype), shard_bytes };
    model.save(folder, &options, &Host::default()).expect("saves");
    open(folder)
}

fn open(folder: &Path) -> WeightFiles {
    WeightFiles::open(&folder.to_string_lossy(), &HubOptions::default(), &Host::default()).expect("opens")
}

fn adaptable(universe: &Universe) -> Vec<usize> {
    mask::matching_params(universe, &["adaptable"]).expect("some")
}

fn options(universe: &Universe, density: f64) -> FromOptions {
    FromOptions {
        budget: Budget::Density(density).into(),
        scope: Scope::Global,
        params: adaptable(universe),
        shared_rows: false,
    }
}

#[test]
fn it_is_the_ticket_that_the_models_in_memory_give() {
    let (exec, host) = (Exec::cpu(), Host::default());
    let dir = tempfile::tempdir().expect("a folder");
    let base = model(50, 1);
    let after = tuned(&base, 2);
    // In one file and in several; f32, and both rounded to bf16.
    for (dtype, shard) in [(DType::F32, u64::MAX), (DType::BF16, 9000)] {
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let (base_files, tuned_files) = (written(&base, &a, dtype, shard), written(&after, &b, dtype, shard));
        let round = |model: &Model| -> Vec<Option<Tensor>> {
            let specs = model.params.universe().specs();
            let one = |(spec, t): (&ParamSpec, &Tensor)| {
                spec.adaptable().then(|| t.to_dtype(dtype)?.to_dtype(DType::F32)).transpose()
            };
            specs
                .iter()
                .zip(model.params.tensors())
                .map(one)
                .collect::<candle_core::Result<_>>()
                .expect("rounds")
        };
        let universe = base.params.universe();
        let delta = Delta::new(universe.clone(), round(&after), round(&base)).expect("fits");
        for density in [0.1, 0.003, 0.8] {
            let ticket =
                Ticket::from_models(&base_files, &tuned_files, &options(universe, density), &exec, &host)
                    .expect("made");
            let expected =
                mask::top(&delta, Budget::Density(density), Scope::Global, None, None, true, &host)
                    .expect("enough");
            assert_eq!(ticket.mask(), &expected);
            // The values are those of the model after, and the base is known by its fingerprint.
            let loaded = |folder: &Path| {
                let options = crate::model::LoadOptions::default();
                crate::model::load(&folder.to_string_lossy(), &options, &host).expect("loads")
            };
            assert_eq!(ticket.meta().base, loaded(&a).fingerprint().expect("hashes"));
            let tuned = loaded(&b);
            let values =
                Ticket::extract(&exec, &tuned.params, &expected, ticket.meta().clone()).expect("fits");
            assert_eq!(ticket, values);
            assert_eq!(ticket.meta().settings["density"], density);
        }
    }
}

#[test]
fn progress_is_told_and_a_cancelled_run_stops() {
    use std::sync::Mutex;
    let dir = tempfile::tempdir().expect("a folder");
    let base = model(50, 1);
    let (a, b) = (
        written(&base, &dir.path().join("a"), DType::F32, u64::MAX),
        written(&tuned(&base, 2), &dir.path().join("b"), DType::F32, u64::MAX),
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let events = crate::host::Events::new(move |event| {
        if let crate::host::Event::Progress { task, done, total, .. } = event {
            sink.lock().expect("not poisoned").push((task.clone(), *done, *total));
        }
    });
    let host = Host { events, ..Host::default() };
    let options = options(base.params.universe(), 0.1);
    Ticket::from_models(&a, &b, &options, &Exec::cpu(), &host).expect("made");
    let seen = seen.lock().expect("not poisoned").clone();
    for task in ["compare", "values", "fingerprint"] {
        assert!(seen.iter().any(|(t, done, total)| t == task && done == total), "{task}: {seen:?}");
    }
    host.cancel.cancel();
    let stopped = Ticket::from_models(&a, &b, &options, &Exec::cpu(), &host);
    assert!(matches!(&stopped, Err(error) if error.is_cancelled()), "{stopped:?}");
}

#[test]
fn vocabularies_of_other_sizes_are_compared_only_when_asked() {
    let (exec, host) = (Exec::cpu(), Host::default());
    let dir = tempfile::tempdir().expect("a folder");
    let base = model(50, 1);
    for rows in [53usize, 47] {
        let after = model(rows, 1);
        // The rows that both have are the base's, but for one entry.
        let embed = |m: &Model| m.params.get(0).clone();
        let common = rows.min(50);
        embed(&after).slice_set(&embed(&base).narrow(0, 0, common).expect("rows"), 0, 0).expect("writes");
        for (new, old) in after.params.tensors().iter().zip(base.params.tensors()).skip(1) {
            new.slice_set(old, 0, 0).expect("writes");
        }
        let changed = Tensor::full(7f32, (1, 32), &Device::Cpu).expect("full");
        embed(&after).slice_set(&changed, 0, 40).expect("writes");
        let up = "model.layers.1.mlp.up_proj.weight";
        let moved = (after.params.by_name(up).expect("is there") + 1.0).expect("adds");
        after.params.by_name(up).expect("is there").slice_set(&moved, 0, 0).expect("writes");
        let (a, b) = (dir.path().join("a"), dir.path().join(format!("b{rows}")));
        let (a, b) = (written(&base, &a, DType::F32, u64::MAX), written(&after, &b, DType::F32, u64::MAX));
        let universe = base.params.universe();
        // Not among the parameters: no matter.
        let mut options = options(universe, 0.01);
        let ticket = Ticket::from_models(&a, &b, &options, &exec, &host).expect("made");
        assert_eq!(ticket.mask().selected().map(|(_, spec, _)| spec.name.as_str()).collect::<Vec<_>>(), [up]);
        // Among them: refused, or the rows that both have.
        options.params.insert(0, 0);
        let refused = text(Ticket::from_models(&a, &b, &options, &exec, &host));
        assert!(
            refused.ends_with(&format!(
                "model.safetensors: parameter model.embed_tokens.weight has {rows} rows, and 50 in the base (the vocabulary was \
                 changed): leave it out of the parameters, or ask for the rows that both have (shared_rows)"
            )),
            "{refused}"
        );
        options.shared_rows = true;
        options.budget = Budget::Count(32).into();
        let ticket = Ticket::from_models(&a, &b, &options, &exec, &host).expect("made");
        assert_eq!(ticket.mask().set(0).iter().collect::<Vec<_>>(), (40 * 32..41 * 32).collect::<Vec<_>>());
        assert_eq!(ticket.values(0), [7.0; 32]);
    }
}

#[test]
fn models_that_are_not_of_one_kind_are_refused_by_parameter() {
    let (exec, host) = (Exec::cpu(), Host::default());
    let dir = tempfile::tempdir().expect("a folder");
    let base = model(50, 1);
    let a = written(&base, &dir.path().join("a"), DType::F32, u64::MAX);
    let mut json = config(50).to_json("float32");
    json["intermediate_size"] = 80.into();
    let other = Config::from_json(&json).expect("a configuration");
    let params = init::random(&Decoder::new(&other).expect("a decoder"), 1, DType::F32, &exec, &host)
        .expect("weights");
    let other = Model::new(other, params, Exec::cpu(), "test").expect("a model");
    let b = written(&other, &dir.path().join("b"), DType::F32, u64::MAX);
    let options = options(base.params.universe(), 0.1);
    let refused = text(Ticket::from_models(&a, &b, &options, &exec, &host));
    assert!(
        refused.ends_with(
            "model.safetensors: parameter model.layers.0.mlp.gate_proj.weight has shape [80, 32], and [64, 32] in the base: a \
             ticket is made from two models of one architecture"
        ),
        "{refused}"
    );
    // The same model twice has no differences to choose.
    let same = text(Ticket::from_models(&a, &a, &options, &exec, &host));
    assert!(same.starts_with("asked for the "), "{same}");
    assert!(same.contains("largest scores, but only 0 of "), "{same}");
    // A file alone is not read in pieces.
    let file = dir.path().join("model.gguf");
    std::fs::write(&file, "GGUF").expect("writes");
    let refused = text(WeightFiles::open(&file.to_string_lossy(), &HubOptions::default(), &host).map(drop));
    assert!(refused.contains("is read in pieces, which takes a folder"), "{refused}");
}
