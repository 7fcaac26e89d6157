//! Built-in methods against mergekit's values.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use lota_runtime::merge::{Input, methods};
use serde_json::{Value, json};

use super::{Named, input, merged, values};

#[test]
fn methods_give_what_mergekit_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/merges");
    let read = |name: &str| {
        let tensors: HashMap<String, Tensor> =
            candle_core::safetensors::load(folder.join(name), &Device::Cpu).expect("a fixture");
        tensors
    };
    let (inputs, results) = (read("inputs.safetensors"), read("results.safetensors"));
    let mut models: BTreeMap<String, Named> = BTreeMap::new();
    for (name, tensor) in &inputs {
        let (model, name) = name.split_once('/').expect("model/tensor");
        let entry = (tensor.dims().to_vec(), crate::common::values(tensor));
        models.entry(model.to_string()).or_default().insert(name.to_string(), entry);
    }
    let models: Vec<Arc<dyn Input>> = models.into_iter().map(|(label, all)| input(&label, all)).collect();
    let text = std::fs::read_to_string(folder.join("cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert!(cases.len() >= 40);
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let base = case["base"].as_str();
        let mut others = 0;
        let each: Vec<Value> = case["inputs"]
            .as_array()
            .expect("inputs")
            .iter()
            .map(|model| {
                let mut entry = json!({"model": model});
                for (parameter, given) in case["per_input"].as_object().expect("parameters") {
                    // Lists are for the models that have the parameter, in order.
                    if model.as_str() != base {
                        entry["parameters"][parameter] =
                            given.as_array().map_or(given.clone(), |list| list[others].clone());
                    }
                }
                others += usize::from(model.as_str() != base);
                entry
            })
            .collect();
        let mut config =
            json!({"merge_method": case["method"], "models": each, "parameters": case["shared"]});
        if base.is_some() {
            config["base_model"] = case["base"].clone();
        }
        let made = merged(&config, &models, 0).unwrap_or_else(|e| panic!("{name}: {e}"));
        for tensor in ["matrix", "vector"] {
            let expected = crate::common::values(&results[&format!("{name}/{tensor}")]);
            let made = values(&made, tensor);
            let worst = made.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-6, "{name}, {tensor}: differs by {worst}");
        }
    }
}

#[test]
fn every_method_says_what_it_is() {
    let all = methods();
    assert_eq!(all.len(), 23);
    for method in all {
        let spec = method.spec();
        assert!(!spec.doc.is_empty() && !spec.source.is_empty(), "{}", spec.name);
        assert!(spec.params.iter().all(|p| !p.doc.is_empty()), "{}", spec.name);
    }
}
