//! Heads that are the embedding, and what gives a model a head of its own: files that hold one, adapters that change one of the two.

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};
use lota_runtime::host::{Event, Events, Host};
use lota_runtime::lora::{Adapter, ExtractOptions, LEFT_OUT, Module};
use lota_runtime::mask::{Budget, Scope, matching_params};
use lota_runtime::merge::{
    Config as Merge, Existing, Folder, FolderOptions, Found, Input, Plan, PlanOptions, open_all,
};
use lota_runtime::model::{HubOptions, LoadOptions, Model, SaveOptions, WeightFiles, load};
use lota_runtime::ops::Exec;
use lota_runtime::ticket::{FileDelta, FromOptions, Ticket};
use lota_runtime::vectors::Delta;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Value, json};

use crate::common::values;
use crate::folders::model;

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// A host, and what it is told.
fn listening() -> (Host, Arc<Mutex<Vec<String>>>) {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = told.clone();
    let events = Events::new(move |event| {
        if let Event::Notice(text) = event {
            heard.lock().expect("nobody panicked").push(text.clone());
        }
    });
    (Host { events, ..Host::default() }, told)
}

fn read(folder: &Path, host: &Host) -> Model {
    load(&folder.to_string_lossy(), &LoadOptions::default(), host).expect("loads")
}

fn files(folder: &Path, host: &Host) -> WeightFiles {
    WeightFiles::open(&folder.to_string_lossy(), &HubOptions::default(), host).expect("opens")
}

/// A model with a head of its own, in a folder whose configuration says what `change` makes of it.
fn written(folder: &Path, model: &Model, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    model.save(folder, &SaveOptions::default(), &Host::default()).expect("writes");
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    change(config.as_object_mut().expect("an object"));
    std::fs::write(&path, config.to_string()).expect("writes");
}

fn untied(model_type: &str) -> Model {
    model(model_type, json!({"tie_word_embeddings": false, "head_dim": 8}))
}

#[test]
fn a_head_that_is_stored_counts() {
    // As it is said, and as the class of the model takes it for granted.
    for (model_type, says) in [("llama", Some(true)), ("gemma", None)] {
        let dir = tempfile::tempdir().expect("a folder");
        let original = untied(model_type);
        written(dir.path(), &original, |config| match says {
            Some(tied) => drop(config.insert("tie_word_embeddings".into(), json!(tied))),
            None => drop(config.remove("tie_word_embeddings")),
        });
        let (host, told) = listening();
        let back = read(dir.path(), &host);
        assert_eq!(back.fingerprint().expect("hashes"), original.fingerprint().expect("hashes"));
        assert!(!back.info().tied);
        assert_eq!(
            *told.lock().expect("nobody panicked"),
            [format!(
                "{}: lm_head.weight differs from model.embed_tokens.weight, and config.json says that they are one \
                 (tie_word_embeddings): the head that is stored counts, and the model has one of its own",
                dir.path().join("model.safetensors").display()
            )]
        );
        // What is written says so, for readers that believe the configuration.
        let again = dir.path().join("again");
        back.save(&again, &SaveOptions::default(), &Host::default()).expect("writes");
        let config: Value =
            serde_json::from_slice(&std::fs::read(again.join("config.json")).expect("reads")).expect("JSON");
        assert_eq!(config["tie_word_embeddings"], json!(false));
        assert!(files(dir.path(), &Host::default()).universe().index_of(HEAD).is_some());
        let input = Folder::open(dir.path(), "it").expect("opens");
        assert_eq!(input.config().expect("has one")["tie_word_embeddings"], json!(false));
        assert!(input.notice().expect("is told").contains("the head that is stored counts"));
    }
}

#[test]
fn a_head_that_repeats_the_embedding_is_no_head() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut original = untied("llama");
    // Not in the same type: the numbers are compared.
    let embedding = original.params.by_name(EMBEDDING).expect("there");
    let rounded = embedding.to_dtype(DType::BF16).and_then(|t| t.to_dtype(DType::F32)).expect("casts");
    original.set_param(EMBEDDING, &rounded).expect("sets");
    original.set_param(HEAD, &rounded).expect("sets");
    written(dir.path(), &original, |config| drop(config.insert("tie_word_embeddings".into(), json!(true))));
    let path = dir.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("reads");
    let head = tensors[HEAD].to_dtype(DType::BF16).expect("casts");
    tensors.insert(HEAD.to_string(), head);
    candle_core::safetensors::save(&tensors, &path).expect("writes");
    let (host, told) = listening();
    let back = read(dir.path(), &host);
    assert!(back.info().tied && told.lock().expect("nobody panicked").is_empty());
    let input = Folder::open(dir.path(), "it").expect("opens");
    assert!(input.notice().is_none() && input.info(HEAD).is_none());
    assert!(!input.names().iter().any(|name| name == HEAD));
}

#[test]
fn a_head_of_the_same_bytes_with_other_scales_is_another_head() {
    let dir = tempfile::tempdir().expect("a folder");
    written(dir.path(), &untied("llama"), |config| {
        config.insert("tie_word_embeddings".into(), json!(true));
        config.insert("quantization_config".into(), json!({"quant_method": "fp8"}));
    });
    let path = dir.path().join("model.safetensors");
    let stored = std::fs::read(&path).expect("reads");
    let stored = SafeTensors::deserialize(&stored).expect("a safetensors file");
    let shape = stored.tensor(HEAD).expect("there").shape().to_vec();
    // One in eight bits, each of them, and scales that differ.
    let ones = vec![0x38; shape.iter().product()];
    for (scale, tied) in [(2.0f32, false), (1.0, true)] {
        let scales = [1.0f32.to_le_bytes(), scale.to_le_bytes()];
        let mut tensors: Vec<(String, TensorView<'_>)> =
            stored.tensors().into_iter().filter(|(name, _)| name != HEAD && name != EMBEDDING).collect();
        for (name, scale) in [EMBEDDING, HEAD].iter().zip(&scales) {
            let weight = TensorView::new(Dtype::F8_E4M3, shape.clone(), &ones).expect("fits");
            tensors.push(((*name).to_string(), weight));
            let scale = TensorView::new(Dtype::F32, vec![1], scale).expect("fits");
            tensors.push((format!("{name}_scale_inv"), scale));
        }
        std::fs::write(&path, serialize(tensors, None).expect("serialises")).expect("writes");
        let back = read(dir.path(), &Host::default());
        assert_eq!(back.info().tied, tied);
        if !tied {
            assert!(values(back.params.by_name(HEAD).expect("there")).iter().all(|v| *v == 2.0));
            assert!(values(back.params.by_name(EMBEDDING).expect("there")).iter().all(|v| *v == 1.0));
        }
    }
}

/// Factors for the embedding or the head of this model.
fn module(model: &Model, name: &str) -> Module {
    let [vocab, hidden] = model.params.by_name(EMBEDDING).expect("there").dims() else { panic!("a matrix") };
    let factor = |rows: usize, columns: usize| {
        let values = (0..rows * columns).map(|i| ((i * 37 + 11) % 29) as f32 / 29.0 - 0.4).collect();
        Tensor::from_vec::<_, f32>(values, (rows, columns), &Device::Cpu).expect("a tensor")
    };
    let embedding = name == "model.embed_tokens";
    let (a, b) = if embedding {
        (factor(2, *vocab), factor(*hidden, 2))
    } else {
        (factor(2, *hidden), factor(*vocab, 2))
    };
    Module { name: name.to_string(), a, b, scale: 0.5, transposed: embedding, embedding }
}

#[test]
fn an_adapter_of_the_embedding_or_the_head_alone_unties_a_merge() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = model("llama", json!({"tie_word_embeddings": true}));
    base.save(&dir.path().join("base"), &SaveOptions::default(), &Host::default()).expect("writes");
    let shape =
        json!({"peft_type": "LORA", "r": 2, "lora_alpha": 1, "target_modules": ["embed_tokens", "lm_head"]});
    for name in ["model.embed_tokens", "lm_head"] {
        let adapter = Adapter {
            config: lota_runtime::lora::Config::from_json(&shape).expect("a configuration"),
            modules: vec![module(&base, name)],
            replaced: Vec::new(),
        };
        let plain = base.untied().expect("copies");
        let expected = base.untied().expect("copies");
        adapter.apply(&Exec::cpu(), &expected.params, 1.0).expect("applies");
        adapter.save(&dir.path().join("adapter"), DType::F32, &Host::default()).expect("writes");
        // Alone, and half and half with the base, which has no head.
        for (method, models, share) in [
            ("passthrough", json!([{"model": "base+adapter"}]), 1.0),
            (
                "linear",
                json!([
                    {"model": "base+adapter", "parameters": {"weight": 0.5}},
                    {"model": "base", "parameters": {"weight": 0.5}},
                ]),
                0.5,
            ),
        ] {
            let config = json!({"merge_method": method, "models": models});
            let config = Merge::read(&config).expect("a configuration");
            let find = |place: &str| Ok(Found::Path(dir.path().join(place)));
            let inputs = open_all(&config, &HubOptions::default(), &find, &Host::default()).expect("opens");
            let options = FolderOptions { existing: Existing::Replace, ..FolderOptions::default() };
            let out = dir.path().join("out");
            Plan::new(&config, inputs, None, PlanOptions::default())
                .expect("plans")
                .write(&out, &options, &Exec::cpu(), &Host::default())
                .expect("writes");
            let made = read(&out, &Host::default());
            assert!(!made.info().tied);
            for param in [EMBEDDING, HEAD] {
                let got = values(made.params.by_name(param).expect("there"));
                let adapted = values(expected.params.by_name(param).expect("there"));
                let plain = values(plain.params.by_name(param).expect("there"));
                for (got, (adapted, plain)) in got.iter().zip(adapted.iter().zip(&plain)) {
                    let expected = share * adapted + (1.0 - share) * plain;
                    assert!(
                        (got - expected).abs() < 1e-6,
                        "{name}, {method}: {param}: {got}, not {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_compared_and_differs_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = model("llama", json!({"tie_word_embeddings": true}));
    let mut tuned = base.untied().expect("copies");
    for name in ["model.layers.0.mlp.up_proj.weight", "model.norm.weight", HEAD] {
        let twice = (tuned.params.by_name(name).expect("there") * 2.0).expect("multiplies");
        tuned.set_param(name, &twice).expect("sets");
    }
    let (one, two) = (dir.path().join("base"), dir.path().join("tuned"));
    base.save(&one, &SaveOptions::default(), &Host::default()).expect("writes");
    tuned.save(&two, &SaveOptions::default(), &Host::default()).expect("writes");
    let (host, told) = listening();
    let (before, after) = (files(&one, &host), files(&two, &host));
    let params = matching_params(before.universe(), &["adaptable"]).expect("some");
    let options = FromOptions {
        budget: Budget::Count(10).into(),
        scope: Scope::Global,
        params: params.clone(),
        shared_rows: false,
    };
    Ticket::from_models(&before, &after, &options, &Exec::cpu(), &host).expect("is made");
    let what = format!("differ between {} and {}, and ", one.display(), two.display());
    assert_eq!(
        told.lock().expect("nobody panicked")[0],
        format!(
            "model.norm.weight, lm_head.weight {what}the ticket has nothing of it: `params` says which parameters are compared"
        )
    );
    let delta = FileDelta::new(&before, &after, &params, false, &host).expect("compares");
    delta.tell_elsewhere(LEFT_OUT).expect("tells");
    assert_eq!(
        told.lock().expect("nobody panicked")[1],
        format!("model.norm.weight, lm_head.weight {what}{LEFT_OUT}")
    );

    // The ticket of a tied base cannot hold a change of the embedding that is none of the head.
    let all = FromOptions { params: (0..before.universe().len()).collect(), ..options };
    let error =
        Ticket::from_models(&before, &after, &all, &Exec::cpu(), &host).expect_err("refused").to_string();
    assert!(
        error.contains(
            "has a head of its own: a change of the one embedding would be a change of the head too"
        ),
        "{error}"
    );

    // The other way round the embedding is the new head.
    let back = FromOptions {
        budget: Budget::Density(1.0).into(),
        params: (0..after.universe().len()).collect(),
        ..all
    };
    let ticket = Ticket::from_models(&after, &before, &back, &Exec::cpu(), &host).expect("is made");
    let head = after.universe().index_of(HEAD).expect("there");
    assert_eq!(ticket.values(head), values(base.params.by_name(EMBEDDING).expect("there")));

    // In memory too.
    let (host, told) = listening();
    let held = |model: &Model| model.params.tensors().iter().cloned().map(Some).collect();
    let before = base.untied().expect("copies");
    let delta = Delta::new(tuned.params.universe().clone(), held(&tuned), held(&before));
    let delta = delta.expect("the same parameters");
    let extract = ExtractOptions { rank: 2, oversample: 4, power: 1, seed: 0 };
    Adapter::extract(&delta, &params, &extract, &Exec::cpu(), &host).expect("extracts");
    assert_eq!(
        *told.lock().expect("nobody panicked"),
        [format!("model.norm.weight, lm_head.weight changed too, and {LEFT_OUT}")]
    );
}
