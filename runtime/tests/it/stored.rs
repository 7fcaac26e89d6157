//! Weights as checkpoints store them, against the numbers that torch and transformers make of them (see
//! `fixtures/stored/make.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lota_runtime::host::Host;
use lota_runtime::model::{HubOptions, LoadOptions, WeightFiles, load};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stored").join(name)
}

/// A model's folder with these files and a configuration that asks for nothing in particular.
fn folder(config: Value, files: &[(&str, &Path)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let mut all = json!({
        "model_type": "llama", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 8, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "hidden_act": "silu",
    });
    all.as_object_mut().expect("an object").extend(config.as_object().expect("an object").clone());
    std::fs::write(dir.path().join("config.json"), all.to_string()).expect("writes");
    for (name, file) in files {
        std::fs::copy(file, dir.path().join(name)).expect("copies");
    }
    dir
}

fn open(dir: &tempfile::TempDir) -> lota_runtime::Result<WeightFiles> {
    WeightFiles::open(&dir.path().to_string_lossy(), &HubOptions::default(), &Host::default())
}

/// The numbers of a file of f32 tensors.
fn numbers(file: &Path, prefix: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(file).expect("reads");
    let file = SafeTensors::deserialize(&bytes).expect("is one");
    let f32s = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let tensors = file.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
    tensors.map(|(name, tensor)| (name.to_string(), f32s(tensor.data()))).collect()
}

/// Compares all tensors of a folder, whole and in parts, bit for bit.
fn same(files: &WeightFiles, want: &BTreeMap<String, Vec<f32>>) {
    assert!(!want.is_empty());
    for (name, want) in want {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        for start in [0, want.len() / 3, want.len()] {
            let mut got = vec![0.5];
            files.read(name, start, want.len() - start, &mut got).expect("reads");
            assert_eq!(bits(&got[1..]), bits(&want[start..]), "{name} from {start}");
        }
        let told = files.read(name, 1, want.len(), &mut Vec::new()).expect_err("ends before").to_string();
        assert!(told.contains("ends before entry"), "{told}");
    }
}

#[test]
fn floats_of_64_and_of_8_bits_are_read_by_their_values() {
    let dir = folder(json!({}), &[("model.safetensors", &fixture("types.safetensors"))]);
    let mut want = numbers(&fixture("types.safetensors"), "want.");
    // The bits of a NaN are nobody's business.
    let files = open(&dir).expect("opens");
    for (name, want) in &mut want {
        let mut got = Vec::new();
        files.read(name, 0, want.len(), &mut got).expect("reads");
        for (got, want) in got.iter().zip(want.iter_mut()).filter(|(_, want)| want.is_nan()) {
            assert!(got.is_nan(), "{name}");
            *want = *got;
        }
    }
    same(&files, &want);
}

#[test]
fn floats_with_scales_are_the_numbers_of_transformers() {
    let fp8 = |settings: Value| json!({"quantization_config": settings});
    for (settings, name) in [
        (json!({"quant_method": "fp8", "weight_block_size": [4, 4]}), "scaled"),
        (json!({"quant_method": "fp8", "weight_block_size": null}), "scaled"),
        (
            json!({"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": {
                "weights": {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true}}}}),
            "rows",
        ),
    ] {
        let dir = folder(fp8(settings), &[("model.safetensors", &fixture(&format!("{name}.safetensors")))]);
        let files = open(&dir).expect("opens");
        same(&files, &numbers(&fixture(&format!("{name}_want.safetensors")), ""));
        assert!(files.names().iter().all(|name| name.ends_with(".weight")), "{:?}", files.names());
    }
    let plain = folder(json!({}), &[("model.safetensors", &fixture("scaled.safetensors"))]);
    let told = open(&plain).err().expect("is refused").to_string();
    assert!(
        told.contains("tensor blocks.weight has scales (blocks.weight_scale_inv), and config.json has no"),
        "{told}"
    );
    let bare =
        folder(fp8(json!({"quant_method": "fp8"})), &[("model.safetensors", &fixture("types.safetensors"))]);
    let told = open(&bare).err().expect("is refused").to_string();
    assert!(told.contains("tensor e4m3 is stored as F8_E4M3 and lacks its scales, e4m3_scale_inv"), "{told}");
}

#[test]
fn files_of_torch_are_read_however_their_tensors_lie() {
    let saved = fixture("torch/pytorch_model.bin");
    let want = numbers(&fixture("torch/want.safetensors"), "");
    let dir = folder(json!({}), &[("pytorch_model.bin", &saved)]);
    let files = open(&dir).expect("opens");
    same(&files, &want.clone().into_iter().filter(|(_, values)| !values.is_empty()).collect());
    assert_eq!(files.names().len(), want.len());
    assert_eq!(files.shape("transposed"), Some(vec![8, 6]));
    assert_eq!(files.shape("empty"), Some(vec![0, 4]));

    // In several files, by their index.
    let dir = folder(json!({}), &[("pytorch_model-00001-of-00001.bin", &saved)]);
    let map: BTreeMap<&String, &str> =
        want.keys().map(|name| (name, "pytorch_model-00001-of-00001.bin")).collect();
    let index = json!({"weight_map": map}).to_string();
    std::fs::write(dir.path().join("pytorch_model.bin.index.json"), index).expect("writes");
    same(&open(&dir).expect("opens"), &want.into_iter().filter(|(_, values)| !values.is_empty()).collect());
}

#[test]
fn files_of_torch_that_are_not_read_are_refused_by_name() {
    for (name, told) in [
        ("legacy.bin", "is of the format that torch wrote before version 1.6"),
        ("repeated.bin", "under \"a\": of shape [1000, 1000] repeats what it stores (steps of [0, 0])"),
        ("nested.bin", "under \"model\": is a dictionary, not a tensor"),
        ("want.safetensors", "it does not begin as a zip archive"),
    ] {
        let dir = folder(json!({}), &[("pytorch_model.bin", &fixture("torch").join(name))]);
        let error = open(&dir).err().expect("is refused").to_string();
        assert!(error.contains("pytorch_model.bin: ") && error.contains(told), "{error}");
    }
    // A file that ends too early, anywhere.
    let whole = std::fs::read(fixture("torch/pytorch_model.bin")).expect("reads");
    let dir = folder(json!({}), &[]);
    for end in (0..whole.len()).step_by(97) {
        std::fs::write(dir.path().join("pytorch_model.bin"), &whole[..end]).expect("writes");
        let error = open(&dir).err().expect("is refused").to_string();
        assert!(error.contains("pytorch_model.bin: "), "{error}");
    }
}

#[test]
fn whole_numbers_where_weights_are_wanted_are_named() {
    let dir = folder(json!({}), &[]);
    let ones = [1u8; 512];
    let view = TensorView::new(Dtype::I64, vec![8, 8], &ones).expect("fits");
    safetensors::serialize_to_file([("norm.weight", view)], None, &dir.path().join("model.safetensors"))
        .expect("writes");
    let told = open(&dir)
        .expect("opens")
        .read("model.norm.weight", 0, 1, &mut Vec::new())
        .expect_err("whole numbers");
    let what = "tensor model.norm.weight is stored as I64, which are whole numbers where weights are wanted";
    assert!(told.to_string().contains(what), "{told}");
}

#[test]
fn pointers_and_other_forms_are_told_before_anything_else() {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 42\n", "0".repeat(64));
    let what = "is a Git LFS pointer, not the file itself: fetch it (git lfs pull)";
    let saved = fixture("torch/pytorch_model.bin");
    for name in ["model.safetensors", "pytorch_model.bin", "config.json", "model.safetensors.index.json"] {
        let dir = folder(json!({}), &[]);
        let path = dir.path().join(name);
        std::fs::write(&path, &pointer).expect("writes");
        for told in [
            open(&dir).err().expect("is refused").to_string(),
            load(&dir.path().to_string_lossy(), &LoadOptions::default(), &Host::default())
                .expect_err("is refused")
                .to_string(),
        ] {
            assert_eq!(told, format!("{}: {what}", path.display()));
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, &pointer).expect("writes");
    let told =
        load(&path.to_string_lossy(), &LoadOptions::default(), &Host::default()).expect_err("is refused");
    assert_eq!(told.to_string(), format!("{}: {what}", path.display()));

    // A form that is not read, even if nothing else of the configuration makes sense.
    let dir = folder(
        json!({"hidden_size": 0, "quantization_config": {"quant_method": "gptq"}}),
        &[("pytorch_model.bin", &saved)],
    );
    let told = open(&dir).err().expect("is refused").to_string();
    assert!(
        told.contains("the checkpoint is quantised (GPTQ), by quantization_config of config.json"),
        "{told}"
    );
}
