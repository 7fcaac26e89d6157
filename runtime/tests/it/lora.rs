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
        [("plain", 4, 0), ("rslora", 14, 0), ("patterns", 10, 0), ("whole", 3, 10)]
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
