//! Adapters that peft saved, against the weights that peft makes of them (see
//! `fixtures/make_lora.py`).

use std::path::PathBuf;

use lota_runtime::host::Host;
use lota_runtime::lora::Adapter;
use lota_runtime::model::{LoadOptions, Model, load};
use safetensors::SafeTensors;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lora").join(name)
}

fn base() -> Model {
    load(&folder("base").to_string_lossy(), &LoadOptions::default(), &Host::default()).expect("loads")
}

fn values(model: &Model, name: &str) -> Vec<f32> {
    let tensor = model.params.by_name(name).expect("is there");
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("f32")
}

#[test]
fn merging_makes_the_weights_that_peft_makes() {
    for (kind, modules, replaced) in
        [("plain", 4, 0), ("rslora", 14, 0), ("patterns", 10, 0), ("whole", 3, 15)]
    {
        let adapter = Adapter::load(&folder(kind)).expect("loads");
        assert_eq!((adapter.modules.len(), adapter.replaced.len()), (modules, replaced), "{kind}");
        let (before, model) = (base(), base());
        adapter.apply(&model.exec, &model.params, 1.0).expect("applies");
        let bytes = std::fs::read(folder(kind).join("merged.safetensors")).expect("reads");
        let merged = SafeTensors::deserialize(&bytes).expect("is one");
        for spec in model.params.universe().specs() {
            let got = values(&model, &spec.name);
            let Ok(expected) = merged.tensor(&spec.name) else {
                assert_eq!(got, values(&before, &spec.name), "{kind}: {}", spec.name);
                continue;
            };
            let expected =
                expected.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{kind}: {}: {got}, not {expected}", spec.name);
            }
        }
        let changed = merged.names().len();
        assert!(changed >= adapter.modules.len(), "{kind}: {changed}");
    }
}

#[test]
fn what_is_written_has_the_names_that_peft_gives() {
    let dir = tempfile::tempdir().expect("a folder");
    for kind in ["plain", "rslora", "patterns", "whole"] {
        let out = dir.path().join(kind);
        let adapter = Adapter::load(&folder(kind)).expect("loads");
        adapter.save(&out, candle_core::DType::F32, &Host::default()).expect("saves");
        let file = |at: PathBuf| std::fs::read(at.join("adapter_model.safetensors")).expect("reads");
        let (theirs, ours) = (file(folder(kind)), file(out.clone()));
        let [theirs, ours] = [&theirs, &ours].map(|bytes| SafeTensors::deserialize(bytes).expect("is one"));
        let mut names = [&theirs, &ours].map(|file| file.names());
        names.iter_mut().for_each(|names| names.sort_unstable());
        assert_eq!(names[0], names[1]);
        for name in &names[0] {
            let [a, b] = [&theirs, &ours].map(|file| file.tensor(name).expect("is there"));
            assert!(a.shape() == b.shape() && a.data() == b.data(), "{kind}: {name}");
        }
        let config = |at: PathBuf| -> serde_json::Value {
            let text = std::fs::read(at.join("adapter_config.json")).expect("reads");
            serde_json::from_slice(&text).expect("is JSON")
        };
        let (theirs, ours) = (config(folder(kind)), config(out));
        for (key, value) in ours.as_object().expect("an object") {
            // How the factors were begun matters no more.
            if key != "init_lora_weights" {
                assert_eq!(value.as_f64(), theirs[key].as_f64(), "{kind}: {key}");
                assert!(value == &theirs[key] || value.is_number(), "{kind}: {key}: {value}");
            }
        }
    }
}
