//! Merging folders: what is written, stopping and going on, layers, vocabularies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lota_runtime::host::{Event, Events, Host};
use lota_runtime::merge::{Config, FolderOptions, Found, Plan, PlanOptions, open_all};
use lota_runtime::model::{
    Config as ModelConfig, Decoder, HubOptions, LoadOptions, Model, SaveOptions, load,
};
use lota_runtime::ops::Exec;
use serde_json::{Value, json};

use crate::common::{decoder, params, values};

fn llama(layers: usize, vocab: usize, tied: bool) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "hidden_act": "silu",
        "tie_word_embeddings": tied
    })
}

/// Writes a random model.
fn saved(folder: &Path, name: &str, config: &Value, seed: u64) -> PathBuf {
    let decoder: Decoder = decoder(config);
    let params = params(&decoder, seed);
    let config = ModelConfig::from_json(config).expect("a config");
    let model = Model::new(config, params, Exec::cpu(), name).expect("a model");
    let path = folder.join(name);
    model.save(&path, &SaveOptions::default(), &Host::default()).expect("saves");
    path
}

fn plan(config: &Value, folder: &Path) -> lota_runtime::Result<Plan> {
    plan_with(config, folder, PlanOptions::default())
}

fn plan_with(config: &Value, folder: &Path, options: PlanOptions) -> lota_runtime::Result<Plan> {
    let config = Config::read(config)?;
    let find = |place: &str| -> lota_runtime::Result<Found> { Ok(Found::Path(folder.join(place))) };
    let inputs = open_all(&config, &HubOptions::default(), &find, &Host::default())?;
    Plan::new(&config, inputs, None, options)
}

fn read(path: &Path) -> Model {
    load(&path.to_string_lossy(), &LoadOptions::default(), &Host::default()).expect("loads")
}

fn of(model: &Model, name: &str) -> Vec<f32> {
    values(model.params.by_name(name).expect("there"))
}

fn two(folder: &Path) {
    saved(folder, "a", &llama(3, 32, false), 1);
    saved(folder, "b", &llama(3, 32, false), 2);
}

fn linear() -> Value {
    json!({"merge_method": "linear", "models": [
        {"model": "a", "parameters": {"weight": 1}}, {"model": "b", "parameters": {"weight": 3}},
    ]})
}

#[test]
fn a_folder_in_shards_loads_as_the_same_model() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let plan = plan(&linear(), dir.path()).expect("plans");
    let whole = dir.path().join("whole");
    let files =
        plan.write(&whole, &FolderOptions::default(), &Exec::cpu(), &Host::default()).expect("writes");
    assert!(files.contains(&whole.join("model.safetensors")) && files.contains(&whole.join("config.json")));
    let cut = dir.path().join("cut");
    let options =
        FolderOptions { shard_bytes: 3000, source: Some("x: 1\n".to_string()), ..FolderOptions::default() };
    let files = plan.write(&cut, &options, &Exec::cpu(), &Host::default()).expect("writes");
    assert!(files.iter().filter(|f| f.to_string_lossy().contains("-of-")).count() > 3);
    assert!(files.iter().all(|f| f.exists()));
    assert_eq!(std::fs::read_to_string(cut.join("mergekit_config.yml")).expect("reads"), "x: 1\n");
    let (whole, cut) = (read(&whole), read(&cut));
    assert_eq!(whole.fingerprint().expect("hashes"), cut.fingerprint().expect("hashes"));
    let (a, b) = (read(&dir.path().join("a")), read(&dir.path().join("b")));
    let name = "model.layers.1.mlp.up_proj.weight";
    for ((m, a), b) in of(&whole, name).iter().zip(of(&a, name)).zip(of(&b, name)) {
        assert!((m - (a + 3.0 * b) / 4.0).abs() < 1e-6);
    }
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("lists").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn a_stopped_merge_leaves_nothing_in_place_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let out = dir.path().join("out");
    let merge = |stop_after: Option<usize>| {
        let seen = Arc::new(AtomicUsize::new(0));
        let notices = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut host = Host::default();
        let (cancel, count, told) = (host.cancel.clone(), seen.clone(), notices.clone());
        host.events = Events::new(move |event| match event {
            Event::Progress { task, .. } if task == "merge" => {
                let seen = count.fetch_add(1, Ordering::SeqCst) + 1;
                if Some(seen) == stop_after {
                    cancel.cancel();
                }
            }
            Event::Notice(text) => told.lock().expect("not poisoned").push(text.clone()),
            _ => {}
        });
        let exec = Exec::new(candle_core::Device::Cpu, 1).expect("a thread");
        let made =
            plan(&linear(), dir.path()).expect("plans").write(&out, &FolderOptions::default(), &exec, &host);
        let told = notices.lock().expect("not poisoned").clone();
        (made, seen.load(Ordering::SeqCst), told)
    };
    let (made, _, _) = merge(Some(7));
    assert!(made.is_err_and(|error| error.is_cancelled()));
    assert!(!out.exists());
    let total = plan(&linear(), dir.path()).expect("plans").tensors();
    let (made, seen, told) = merge(None);
    made.expect("writes");
    assert_eq!(seen, total - 7);
    assert_eq!(told, [format!("going on with the merge that was stopped: 7 of {total} tensors are there")]);
    let straight = dir.path().join("straight");
    let plan = plan(&linear(), dir.path()).expect("plans");
    plan.write(&straight, &FolderOptions::default(), &Exec::cpu(), &Host::default()).expect("writes");
    let bytes = |p: &Path| std::fs::read(p.join("model.safetensors")).expect("reads");
    assert_eq!(bytes(&out), bytes(&straight));
}

#[test]
fn what_was_begun_with_other_settings_is_not_taken_up() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let out = dir.path().join("out");
    let mut host = Host::default();
    let cancel = host.cancel.clone();
    host.events = Events::new(move |_| cancel.cancel());
    let begun = plan(&linear(), dir.path()).expect("plans").write(
        &out,
        &FolderOptions::default(),
        &Exec::cpu(),
        &host,
    );
    assert!(begun.is_err() && dir.path().join(".out.merge").exists());
    let mut other = linear();
    other["models"][0]["parameters"]["weight"] = json!(5);
    let (told, mut host) = (Arc::new(AtomicUsize::new(0)), Host::default());
    let count = told.clone();
    host.events = Events::new(move |event| {
        if matches!(event, Event::Notice(text) if text.contains("going on")) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    plan(&other, dir.path())
        .expect("plans")
        .write(&out, &FolderOptions::default(), &Exec::cpu(), &host)
        .expect("writes");
    assert_eq!(told.load(Ordering::SeqCst), 0);
}

#[test]
fn folders_that_are_there_are_not_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let plan = plan(&linear(), dir.path()).expect("plans");
    let write = |name: &str, replace| {
        let options = FolderOptions { replace, ..FolderOptions::default() };
        plan.write(&dir.path().join(name), &options, &Exec::cpu(), &Host::default())
    };
    let text = write("a", true).expect_err("an input").to_string();
    assert!(text.contains("is one of the models that are merged"), "{text}");
    write("out", false).expect("writes");
    let text = write("out", false).expect_err("there").to_string();
    assert!(text.contains("is there already"), "{text}");
    std::fs::write(dir.path().join("out/stale"), "x").expect("writes");
    write("out", true).expect("replaces");
    assert!(!dir.path().join("out/stale").exists() && dir.path().join("out/config.json").exists());
}

#[test]
fn layers_are_stacked_and_settings_go_by_layer() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let stack = json!({"merge_method": "passthrough", "slices": [
        {"sources": [{"model": "a", "layer_range": [0, 2]}]},
        {"sources": [{"model": "b", "layer_range": [1, 3], "parameters":
            {"scale": [{"filter": "down_proj", "value": [1.0, 3.0]}, {"value": 1.0}]}}]},
    ]});
    let out = dir.path().join("stack");
    plan(&stack, dir.path())
        .expect("plans")
        .write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default())
        .expect("writes");
    let (a, b, out) = (read(&dir.path().join("a")), read(&dir.path().join("b")), read(&out));
    assert_eq!(out.config.layers.len(), 4);
    let name = |layer: usize, part: &str| format!("model.layers.{layer}.{part}.weight");
    for (made, from, layer) in [(0, &a, 0), (1, &a, 1), (2, &b, 1), (3, &b, 2)] {
        assert_eq!(of(&out, &name(made, "mlp.up_proj")), of(from, &name(layer, "mlp.up_proj")));
    }
    assert_eq!(of(&out, &name(2, "mlp.down_proj")), of(&b, &name(1, "mlp.down_proj")));
    let tripled: Vec<f32> = of(&b, &name(2, "mlp.down_proj")).iter().map(|v| v * 3.0).collect();
    assert_eq!(of(&out, &name(3, "mlp.down_proj")), tripled);
    // What lies outside of layers comes from the first slice, or the last.
    assert_eq!(of(&out, "model.embed_tokens.weight"), of(&a, "model.embed_tokens.weight"));
    assert_eq!(of(&out, "lm_head.weight"), of(&b, "lm_head.weight"));
}

#[test]
fn heads_that_are_tied_in_some_models_only_become_a_head() {
    let dir = tempfile::tempdir().expect("a folder");
    saved(dir.path(), "a", &llama(1, 32, true), 1);
    saved(dir.path(), "b", &llama(1, 32, false), 2);
    let out = dir.path().join("out");
    let plan = plan(&linear(), dir.path()).expect("plans");
    assert!(plan.notices().iter().any(|n| n.contains("a head of their own")), "{:?}", plan.notices());
    plan.write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default()).expect("writes");
    let (a, b, out) = (read(&dir.path().join("a")), read(&dir.path().join("b")), read(&out));
    let (embed, head) = (of(&a, "model.embed_tokens.weight"), of(&b, "lm_head.weight"));
    for ((m, a), b) in of(&out, "lm_head.weight").iter().zip(embed).zip(head) {
        assert!((m - (a + 3.0 * b) / 4.0).abs() < 1e-6);
    }
}

#[test]
fn what_does_not_fit_is_said_before_any_work() {
    let dir = tempfile::tempdir().expect("a folder");
    saved(dir.path(), "a", &llama(2, 32, true), 1);
    let refused = |config: &Value| match plan(&linear(), dir.path()) {
        Ok(_) => panic!("not refused: {config}"),
        Err(e) => e.to_string(),
    };
    saved(dir.path(), "b", &llama(3, 32, true), 2);
    assert_eq!(
        refused(&linear()),
        "these models cannot be merged: the models differ in their layers: a has 2, b has 3"
    );
    saved(dir.path(), "b", &llama(2, 40, true), 2);
    assert_eq!(
        refused(&linear()),
        "these models cannot be merged: model.embed_tokens.weight: the vocabularies differ in size: a has 32, b has 40; say \
         tokenizer_source: base or union, which pairs rows by token"
    );
    let options = PlanOptions { truncate_vocabulary: true, ..PlanOptions::default() };
    let cut = plan_with(&linear(), dir.path(), options).expect("plans");
    let out = dir.path().join("cut");
    cut.write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default()).expect("writes");
    assert_eq!(read(&out).config.vocab_size, 32);
    let mut mistral = llama(2, 32, true);
    mistral["architectures"] = json!(["MistralForCausalLM"]);
    mistral["model_type"] = json!("mistral");
    mistral["sliding_window"] = Value::Null;
    saved(dir.path(), "b", &mistral, 2);
    assert!(refused(&linear()).contains("a is a LlamaForCausalLM and b a MistralForCausalLM"));
    let options = PlanOptions { mixed_architectures: true, ..PlanOptions::default() };
    assert!(plan_with(&linear(), dir.path(), options).is_ok());
}

#[test]
fn gradients_run_from_the_first_layer_to_the_last() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let config = json!({"merge_method": "slerp", "base_model": "a", "models": [{"model": "a"}, {"model": "b"}],
        "parameters": {"t": [{"filter": "mlp", "value": [0, 1]}, {"value": 0}]}});
    let out = dir.path().join("out");
    plan(&config, dir.path())
        .expect("plans")
        .write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default())
        .expect("writes");
    let (a, b, out) = (read(&dir.path().join("a")), read(&dir.path().join("b")), read(&out));
    let close = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-6);
    let name = |layer: usize| format!("model.layers.{layer}.mlp.up_proj.weight");
    assert!(close(&of(&out, &name(0)), &of(&a, &name(0))));
    assert!(close(&of(&out, &name(2)), &of(&b, &name(2))));
    assert!(!close(&of(&out, &name(1)), &of(&a, &name(1))) && !close(&of(&out, &name(1)), &of(&b, &name(1))));
    assert!(close(&of(&out, "lm_head.weight"), &of(&a, "lm_head.weight")));
}

#[test]
fn vocabularies_are_paired_by_token_as_mergekit_does() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merges/vocabulary");
    let cases = std::fs::read_to_string(fixtures.join("cases.json")).expect("cases");
    let cases: serde_json::Map<String, Value> = serde_json::from_str(&cases).expect("JSON");
    assert_eq!(cases.len(), 6);
    let dir = tempfile::tempdir().expect("a folder");
    for (name, config) in &cases {
        let out = dir.path().join(name);
        plan(config, &fixtures)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default())
            .expect("writes");
        let tokenizer =
            |path: &Path| tokenizers::Tokenizer::from_file(path).expect("a tokenizer").get_vocab(true);
        let own = tokenizer(&out.join("tokenizer.json"));
        let theirs = tokenizer(&fixtures.join(format!("results/{name}.tokenizer.json")));
        let sorted = |v: &std::collections::HashMap<String, u32>| {
            v.keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(sorted(&own), sorted(&theirs), "{name}");
        let load =
            |path: &Path| candle_core::safetensors::load(path, &candle_core::Device::Cpu).expect("weights");
        let made = load(&out.join("model.safetensors"));
        let expected = load(&fixtures.join(format!("results/{name}.safetensors")));
        for (tensor, expected) in &expected {
            let made = &made[tensor];
            assert_eq!(made.dims(), expected.dims(), "{name}: {tensor}");
            let (a, b) = (values(made), values(expected));
            let by_token = tensor.contains("embed_tokens") || tensor.contains("lm_head");
            let rows: Vec<(usize, usize)> = if by_token {
                let pairs = own.iter().map(|(token, id)| (*id as usize, theirs[token] as usize));
                // Rows that fill up are those of no token, at the end.
                pairs.chain((own.len()..made.dims()[0]).map(|row| (row, row))).collect()
            } else {
                vec![(0, 0)]
            };
            let cols = if by_token { made.dims()[1] } else { a.len() };
            for (i, j) in rows {
                let (a, b) = (&a[i * cols..(i + 1) * cols], &b[j * cols..(j + 1) * cols]);
                let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= 1e-6, "{name}: row {i} of {tensor} differs by {worst}");
            }
        }
    }
}
