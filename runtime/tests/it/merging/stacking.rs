//! Layers of several models stacked: weights, settings by layer, and what `config.json` says of each layer.

use candle_core::DType;
use lota_runtime::host::Host;
use lota_runtime::merge::FolderOptions;
use lota_runtime::model::Config as ModelConfig;
use lota_runtime::ops::Exec;
use serde_json::{Value, json};

use super::folders::{llama, of, plan, read, saved, two};

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

/// Writes a stack of slices and gives its `config.json`.
fn stacked(dir: &std::path::Path, slices: Value) -> Value {
    let config = json!({"merge_method": "passthrough", "slices": slices, "dtype": "float32"});
    let out = dir.join("out");
    plan(&config, dir)
        .expect("plans")
        .write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default())
        .expect("writes");
    serde_json::from_slice(&std::fs::read(out.join("config.json")).expect("reads")).expect("JSON")
}

fn gemma2(layers: usize) -> Value {
    let mut config = llama(layers, 32, true);
    config.as_object_mut().expect("a map").shift_remove("hidden_act");
    for (key, value) in [
        ("architectures", json!(["Gemma2ForCausalLM"])),
        ("model_type", json!("gemma2")),
        ("sliding_window", json!(4)),
        ("query_pre_attn_scalar", json!(8)),
        ("head_dim", json!(8)),
        ("hidden_activation", json!("gelu_pytorch_tanh")),
        ("attn_logit_softcapping", json!(50.0)),
        ("final_logit_softcapping", json!(30.0)),
    ] {
        config[key] = value;
    }
    config
}

#[test]
fn each_layer_keeps_its_kind_of_attention() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = gemma2(2);
    saved(dir.path(), "a", &config, 1);
    let slices = json!([
        {"sources": [{"model": "a", "layer_range": [0, 2]}]}, {"sources": [{"model": "a", "layer_range": [1, 2]}]},
    ]);
    let expected = json!(["sliding_attention", "full_attention", "full_attention"]);
    for stated in [true, false] {
        // What is not said is told from the architecture.
        let path = dir.path().join("a/config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
        match stated {
            true => config["layer_types"] = json!(["sliding_attention", "full_attention"]),
            false => drop(config.as_object_mut().expect("a map").shift_remove("layer_types")),
        }
        std::fs::write(&path, config.to_string()).expect("writes");
        let made = stacked(dir.path(), slices.clone());
        assert_eq!(made["layer_types"], expected, "stated: {stated}");
        assert_eq!(made["num_hidden_layers"], 3);
        let windows: Vec<bool> = ModelConfig::from_json(&made)
            .expect("a configuration")
            .layers
            .iter()
            .map(|layer| layer.window.is_some())
            .collect();
        assert_eq!(windows, [true, false, false]);
        std::fs::remove_dir_all(dir.path().join("out")).expect("removes");
    }
}

#[test]
fn an_empty_slice_at_the_end_gives_what_comes_after_the_layers() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    saved(dir.path(), "keep", &llama(3, 32, false), 3);
    let config = json!({"merge_method": "linear", "parameters": {"weight": 1}, "slices": [
        {"sources": [{"model": "a", "layer_range": [0, 3]}, {"model": "b", "layer_range": [0, 3]}]},
        {"sources": [{"model": "keep", "layer_range": [3, 3]}]},
    ]});
    let out = dir.path().join("out");
    plan(&config, dir.path())
        .expect("plans")
        .write(&out, &FolderOptions::default(), &Exec::cpu(), &Host::default())
        .expect("writes");
    let (a, b, keep) =
        (read(&dir.path().join("a")), read(&dir.path().join("b")), read(&dir.path().join("keep")));
    let out = read(&out);
    assert_eq!((out.config.layers.len(), out.params.dtype()), (3, DType::F32));
    for name in ["lm_head.weight", "model.norm.weight"] {
        assert_eq!(of(&out, name), of(&keep, name));
    }
    let name = "model.layers.2.mlp.up_proj.weight";
    for ((made, a), b) in of(&out, name).iter().zip(of(&a, name)).zip(of(&b, name)) {
        assert!((made - (a + b) / 2.0).abs() < 1e-6);
    }
}

#[test]
fn a_base_that_is_not_in_a_slice_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    two(dir.path());
    saved(dir.path(), "base", &llama(3, 32, false), 3);
    let config = json!({"merge_method": "slerp", "base_model": "base", "parameters": {"t": 0.5}, "slices": [
        {"sources": [{"model": "base", "layer_range": [0, 1]}, {"model": "a", "layer_range": [0, 1]}]},
        {"sources": [{"model": "b", "layer_range": [1, 3]}, {"model": "a", "layer_range": [1, 3]}]},
    ]});
    let refused = match plan(&config, dir.path()) {
        Ok(_) => panic!("not refused"),
        Err(e) => e.to_string(),
    };
    assert_eq!(
        refused,
        "slerp (slices[1]) needs base, the base_model, among its sources: add it there, or name another base_model in this \
         slice"
    );
}
