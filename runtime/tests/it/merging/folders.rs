//! Merging folders: what is written, heads, vocabularies, and what does not fit.

use std::path::{Path, PathBuf};

use lota_runtime::host::Host;
use lota_runtime::merge::{Config, FolderOptions, Found, Plan, PlanOptions, open_all};
use lota_runtime::model::{
    Config as ModelConfig, Decoder, HubOptions, LoadOptions, Model, SaveOptions, load,
};
use lota_runtime::ops::Exec;
use serde_json::{Value, json};

use crate::common::{decoder, params, values};

pub(super) fn llama(layers: usize, vocab: usize, tied: bool) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "hidden_act": "silu",
        "tie_word_embeddings": tied
    })
}

/// Writes a random model.
pub(super) fn saved(folder: &Path, name: &str, config: &Value, seed: u64) -> PathBuf {
    let decoder: Decoder = decoder(config);
    let params = params(&decoder, seed);
    let config = ModelConfig::from_json(config).expect("a config");
    let model = Model::new(config, params, Exec::cpu(), name).expect("a model");
    let path = folder.join(name);
    model.save(&path, &SaveOptions::default(), &Host::default()).expect("saves");
    path
}

pub(super) fn plan(config: &Value, folder: &Path) -> lota_runtime::Result<Plan> {
    plan_with(config, folder, PlanOptions::default())
}

pub(super) fn plan_with(config: &Value, folder: &Path, options: PlanOptions) -> lota_runtime::Result<Plan> {
    let config = Config::read(config)?;
    let find = |place: &str| -> lota_runtime::Result<Found> { Ok(Found::Path(folder.join(place))) };
    let inputs = open_all(&config, &HubOptions::default(), &find, &Host::default())?;
    Plan::new(&config, inputs, None, options)
}

pub(super) fn read(path: &Path) -> Model {
    load(&path.to_string_lossy(), &LoadOptions::default(), &Host::default()).expect("loads")
}

pub(super) fn of(model: &Model, name: &str) -> Vec<f32> {
    values(model.params.by_name(name).expect("there"))
}

pub(super) fn two(folder: &Path) {
    saved(folder, "a", &llama(3, 32, false), 1);
    saved(folder, "b", &llama(3, 32, false), 2);
}

pub(super) fn linear() -> Value {
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
fn a_result_that_is_not_finite_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let config = json!({
        "merge_method": "task_arithmetic", "base_model": "a", "parameters": {"lambda": 1e30},
        "models": [{"model": "b", "parameters": {"weight": 1e30}}],
    });
    for dtype in ["float32", "bfloat16", "float16"] {
        let mut config = config.clone();
        config["out_dtype"] = json!(dtype);
        let plan = plan(&config, dir.path()).expect("plans");
        let made =
            plan.write(&dir.path().join("out"), &FolderOptions::default(), &Exec::cpu(), &Host::default());
        let text = made.expect_err("is infinite").to_string();
        assert!(text.starts_with("tensor model.") && text.contains("task_arithmetic makes"), "{text}");
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).expect("lists").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "b"]);
    }
}

#[test]
fn a_filter_that_fits_no_tensor_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    let config = json!({
        "merge_method": "linear",
        "models": [
            {"model": "a", "parameters": {"weight": [{"filter": "self_atn", "value": 2.0}, {"value": 1.0}]}},
            {"model": "b", "parameters": {"weight": [{"filter": "mlp", "value": 0.5}, {"filter": "*", "value": 1.0}]}},
        ],
    });
    let plan = plan(&config, dir.path()).expect("plans");
    assert_eq!(
        plan.notices(),
        [
            r#"parameter "weight": the filter "self_atn" is part of no tensor's name, so its value is never used"#
        ]
    );
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

#[test]
fn rows_of_a_model_without_a_tokenizer_are_paired_only_where_there_are_as_many() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merges/vocabulary");
    let dir = tempfile::tempdir().expect("a folder");
    for model in ["a", "b"] {
        std::fs::create_dir(dir.path().join(model)).expect("a folder");
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(fixtures.join(model).join(file), dir.path().join(model).join(file))
                .expect("copies");
        }
    }
    std::fs::copy(fixtures.join("a/tokenizer.json"), dir.path().join("a/tokenizer.json")).expect("copies");
    let mut config = linear();
    config["tokenizer_source"] = json!("union");
    let refused = match plan(&config, dir.path()) {
        Ok(_) => panic!("not refused"),
        Err(e) => e.to_string(),
    };
    assert!(
        refused.starts_with(
            "b has no tokenizer.json, and its 16 rows are not the 14 of a: which row is which token"
        ),
        "{refused}"
    );
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixtures.join("a").join(file), dir.path().join("b").join(file)).expect("copies");
    }
    let plan = plan(&config, dir.path()).expect("plans");
    assert_eq!(plan.notices(), ["b has no tokenizer.json: its tokens are taken to be those of a"]);
}
