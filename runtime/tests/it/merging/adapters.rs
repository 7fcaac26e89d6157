//! LoRA adapters as inputs of a merge, against the weights that peft makes of them (see
//! `fixtures/make_lora.py`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use lota_runtime::host::Host;
use lota_runtime::lora::{Adapter, Module};
use lota_runtime::merge::{
    Config, Existing, Folder, FolderOptions, Found, Input, Overlay, Plan, PlanOptions, open_all,
};
use lota_runtime::model::{HubOptions, LoadOptions, Model, load};
use lota_runtime::ops::Exec;
use serde_json::{Value, json};

use crate::common::values;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lora")
}

fn base() -> Model {
    load(&fixtures().join("base").to_string_lossy(), &LoadOptions::default(), &Host::default())
        .expect("loads")
}

fn plan(config: &Value) -> lota_runtime::Result<Plan> {
    let config = Config::read(config)?;
    let find = |place: &str| -> lota_runtime::Result<Found> {
        let path = fixtures().join(place);
        Ok(if path.exists() { Found::Path(path) } else { Found::Hub })
    };
    let inputs = open_all(&config, &HubOptions::default(), &find, &Host::default())?;
    Plan::new(&config, inputs, None, PlanOptions::default())
}

fn merged(config: &Value, folder: &Path) -> Model {
    let out = folder.join("out");
    let options = FolderOptions { existing: Existing::Replace, ..FolderOptions::default() };
    plan(config).expect("plans").write(&out, &options, &Exec::cpu(), &Host::default()).expect("writes");
    load(&out.to_string_lossy(), &LoadOptions::default(), &Host::default()).expect("loads")
}

fn near(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{what}: {got}, not {expected}");
    }
}

#[test]
fn an_adapter_on_its_model_is_the_model_that_peft_makes() {
    let dir = tempfile::tempdir().expect("a folder");
    let before = base();
    for kind in ["plain", "rslora", "patterns", "whole"] {
        for model in [json!(format!("base+{kind}")), json!({"model": "base", "lora": {"path": kind}})] {
            let made =
                merged(&json!({"merge_method": "passthrough", "models": [{"model": model}]}), dir.path());
            let expected = candle_core::safetensors::load(
                fixtures().join(kind).join("merged.safetensors"),
                &Device::Cpu,
            )
            .expect("reads");
            for spec in made.params.universe().specs() {
                let got = values(made.params.by_name(&spec.name).expect("there"));
                match expected.get(&spec.name) {
                    Some(expected) => near(&format!("{kind}: {}", spec.name), &got, &values(expected)),
                    None => assert_eq!(got, values(before.params.by_name(&spec.name).expect("there"))),
                }
            }
        }
    }
}

#[test]
fn adapters_of_one_model_are_added_as_task_vectors() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = merged(
        &json!({"merge_method": "task_arithmetic", "base_model": "base", "models": [
            {"model": "base+plain", "parameters": {"weight": 0.5}},
            {"model": "base+patterns@main", "parameters": {"weight": -2}},
        ]}),
        dir.path(),
    );
    let before = base();
    let expected = base();
    for (kind, weight) in [("plain", 0.5), ("patterns", -2.0)] {
        let adapter = Adapter::load(&fixtures().join(kind)).expect("loads");
        adapter.apply(&expected.exec, &expected.params, weight).expect("applies");
    }
    let mut changed = 0;
    for (i, spec) in before.params.universe().specs().iter().enumerate() {
        let [got, expected, old] =
            [&made, &expected, &before].map(|m| values(m.params.by_name(&spec.name).expect("there")));
        near(&format!("{i}: {}", spec.name), &got, &expected);
        changed += usize::from(got != old);
    }
    assert!(changed >= 10, "{changed}");
}

/// Factors that are no multiples of anything.
fn factor(rows: usize, columns: usize) -> Tensor {
    let values = (0..rows * columns).map(|i| ((i * 37 + 11) % 29) as f32 / 29.0 - 0.4).collect();
    Tensor::from_vec::<_, f32>(values, (rows, columns), &Device::Cpu).expect("a tensor")
}

#[test]
fn where_a_stretch_begins_does_not_matter() {
    let model = base();
    let name = "model.embed_tokens.weight";
    let shape = model.params.by_name(name).expect("there").dims().to_vec();
    let mut adapter = Adapter::load(&fixtures().join("plain")).expect("loads");
    // An embedding's change is the transpose of its product.
    adapter.modules.push(Module {
        name: "model.embed_tokens".to_string(),
        a: factor(3, shape[0]),
        b: factor(shape[1], 3),
        scale: 0.75,
        transposed: true,
        embedding: true,
    });
    adapter.apply(&model.exec, &model.params, 1.0).expect("applies");
    let folder: Arc<dyn Input> = Arc::new(Folder::open(&fixtures().join("base"), "base").expect("opens"));
    let over = Overlay::adapter("base+plain", folder, Arc::new(adapter.clone())).expect("fits");
    for module in &adapter.modules {
        let name = module.param();
        let expected = values(model.params.by_name(&name).expect("there"));
        let reader = over.reader(&name).expect("reads");
        let mut scratch = Vec::new();
        let whole = reader.read(0, expected.len(), &mut scratch).expect("reads").to_vec();
        near(&name, &whole, &expected);
        for step in [1, 7, 31, 257] {
            let mut scratch = Vec::new();
            let mut got = Vec::new();
            for start in (0..expected.len()).step_by(step) {
                let len = step.min(expected.len() - start);
                got.extend_from_slice(reader.read(start, len, &mut scratch).expect("reads"));
            }
            assert_eq!(got, whole, "{name} by {step}");
        }
    }
}

#[test]
fn what_is_no_adapter_is_said() {
    let refused = |model: &str| {
        let config = json!({"merge_method": "passthrough", "models": [{"model": model}]});
        plan(&config).err().map(|e| e.to_string()).unwrap_or_else(|| panic!("not refused: {model}"))
    };
    assert_eq!(
        refused("plain"),
        "plain is an adapter, which is merged with the model it is of: write MODEL+plain"
    );
    assert_eq!(
        refused("base+./nothing"),
        "\"./nothing\" is not an adapter: there is no such folder or file, and ids of the hub look like org/name"
    );
    let text = refused("base+base");
    assert!(text.contains("adapter_config.json"), "{text}");

    let dir = tempfile::tempdir().expect("a folder");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(fixtures().join("plain").join(file), dir.path().join(file)).expect("copies");
    }
    let config: Value = json!({"merge_method": "passthrough", "models": [
        {"model": {"model": "base", "lora": dir.path().to_string_lossy()}}]});
    assert!(plan(&config).is_ok());
    let other = Adapter::load(dir.path()).expect("loads");
    let narrow = Module { b: factor(5, other.modules[0].rank()), ..other.modules[0].clone() };
    let other = Adapter { modules: vec![narrow], ..other };
    let folder: Arc<dyn Input> = Arc::new(Folder::open(&fixtures().join("base"), "base").expect("opens"));
    let text = Overlay::adapter("base+other", folder, Arc::new(other)).err().map(|e| e.to_string());
    let text = text.unwrap_or_else(|| panic!("not refused"));
    assert!(text.starts_with("base+other: the adapter is of another model: it changes a [5, "), "{text}");
}

#[test]
fn an_adapter_that_was_written_anew_is_another_input() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = ["adapter_config.json", "adapter_model.safetensors"];
    for file in files {
        std::fs::copy(fixtures().join("plain").join(file), dir.path().join(file)).expect("copies");
    }
    let config = json!({"merge_method": "passthrough", "models": [
        {"model": {"model": "base", "lora": dir.path().to_string_lossy()}}]});
    // What a stopped merge is told apart by.
    let identity = || plan(&config).expect("plans").inputs()[0].identity().expect("has one");
    let before = identity();
    assert_eq!(identity(), before);
    let file = std::fs::File::options().append(true).open(dir.path().join(files[1])).expect("opens");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("is given another time");
    assert_ne!(identity(), before);
}
