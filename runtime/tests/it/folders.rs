//! Model folders: what is written is read back, by this crate and by others; and damaged files are
//! refused with the file and the tensor named.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::DType;
use lota_runtime::host::{Event, Events, Host, Room};
use lota_runtime::model::{Config, LoadOptions, Model, SaveOptions, Tokenizer, load};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{decoder, difference, exec, params, values};
use crate::zoo;

/// A random tiny model of a family.
pub fn model(model_type: &str, more: Value) -> Model {
    let json = zoo::tiny(model_type, more);
    let config = Config::from_json(&json).expect("a valid configuration");
    let params = params(&decoder(&json), 5);
    Model::new(config, params, exec(), "test").expect("they belong together")
}

/// A tokenizer whose 37 tokens are `w0` to `w36`, separated by spaces; `w2` ends a text.
pub fn words(folder: &Path) -> Arc<Tokenizer> {
    let vocab: serde_json::Map<String, Value> = (0..37).map(|i| (format!("w{i}"), json!(i))).collect();
    let added = json!([{"id": 2, "content": "w2", "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false}]);
    let tokenizer = json!({"version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0,
        "direction": "Right"}, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).expect("writes");
    let config = json!({"eos_token": {"content": "w2"}, "unk_token": "w0"});
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).expect("writes");
    Arc::new(Tokenizer::open(&folder.join("tokenizer.json"), &Room::default()).expect("reads"))
}

fn options(dtype: DType) -> LoadOptions {
    LoadOptions { dtype, exec: exec(), ..LoadOptions::default() }
}

fn read(folder: &Path) -> lota_runtime::Result<Model> {
    load(&folder.to_string_lossy(), &options(DType::F32), &Host::default())
}

/// A saved Llama in a folder that goes when this value does.
fn saved() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("model");
    model("llama", json!({})).save(&folder, &SaveOptions::default(), &Host::default()).expect("writes");
    (dir, folder)
}

#[test]
fn a_saved_model_is_read_back() {
    for (model_type, more) in [
        ("llama", json!({})),
        ("phi3", json!({"head_dim": "absent", "hidden_size": 32})),
        ("qwen2", json!({})),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("new/model");
        let original = model(model_type, more).with_tokenizer(words(dir.path()));
        let files = original.save(&folder, &SaveOptions::default(), &Host::default()).expect("writes");
        assert!(files.iter().all(|f| f.exists()), "{files:?}");
        let back = read(&folder).expect("reads");
        assert_eq!(back.fingerprint().expect("hashes"), original.fingerprint().expect("hashes"));
        assert_eq!(back.generation.eos, [2]);
        // Truncation that a tokenizer file asks for is not applied.
        let ids =
            back.tokenizer().expect("came along").encode("w5 w6 w7 w8 nothing", true).expect("tokenizes");
        assert_eq!(ids, [5, 6, 7, 8, 0]);
    }
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    words(dir.path());
    let path = dir.path().join("tokenizer.json");
    let whole: Value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
    let refusal = |key: &str, inner: &str, value: Value| {
        let mut changed = whole.clone();
        match inner {
            "" => changed[key] = value,
            inner => changed[key]["vocab"][inner] = value,
        }
        std::fs::write(&path, changed.to_string()).expect("writes");
        let text = Tokenizer::open(&path, &Room::default()).expect_err("is refused").to_string();
        text.strip_prefix(&format!("{}: ", path.display())).expect("names the file").to_string()
    };
    assert_eq!(refusal("model", "w5", json!(4)), r#"tokens "w4" and "w5" have the same id 4"#);
    let around = json!({"type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
        "single": [{"SpecialToken": {"id": "w1", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {}});
    let text = refusal("post_processor", "", around);
    assert!(text.starts_with("is damaged, or not a tokenizer"), "{text}");
}

#[test]
fn types_are_rounded_on_the_way_out_and_in() {
    let original = model("llama", json!({}));
    for dtype in [DType::BF16, DType::F16] {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("model");
        let save = SaveOptions { dtype: Some(dtype), ..SaveOptions::default() };
        original.save(&folder, &save, &Host::default()).expect("writes");
        let config: Value =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("reads")).expect("JSON");
        assert_eq!(config["torch_dtype"], if dtype == DType::BF16 { "bfloat16" } else { "float16" });
        // Another reader sees the same.
        let others =
            candle_core::safetensors::load(folder.join("model.safetensors"), &candle_core::Device::Cpu);
        let others = others.expect("reads");
        let back = read(&folder).expect("reads");
        let halves = load(&folder.to_string_lossy(), &options(DType::BF16), &Host::default()).expect("reads");
        for (i, spec) in original.params.universe().specs().iter().enumerate() {
            assert_eq!(others[&spec.name].dtype(), dtype, "{}", spec.name);
            let rounded = original.params.get(i).to_dtype(dtype).expect("rounds");
            assert_eq!(values(back.params.get(i)), values(&rounded), "{}", spec.name);
            let small = spec.shape.len() == 1;
            assert_eq!(halves.params.get(i).dtype(), if small { DType::F32 } else { DType::BF16 });
            assert!(difference(halves.params.get(i), &rounded) < 0.01, "{}", spec.name);
        }
    }
}

#[test]
fn shards_have_an_index_and_replace_a_former_model() {
    let (_dir, folder) = saved();
    let original = model("llama", json!({}));
    let save = SaveOptions { dtype: None, shard_bytes: 20_000 };
    let files = original.save(&folder, &save, &Host::default()).expect("writes");
    let shards = files.iter().filter(|f| f.to_string_lossy().contains("-of-0000")).count();
    assert!(shards > 1, "{files:?}");
    assert!(!folder.join("model.safetensors").exists(), "the former weights are gone");
    assert_eq!(read(&folder).expect("reads").fingerprint().unwrap(), original.fingerprint().unwrap());
    let second = format!("model-00002-of-{shards:05}.safetensors");
    std::fs::remove_file(folder.join(&second)).expect("was there");
    let text = read(&folder).expect_err("a shard is missing").to_string();
    assert!(text.contains(&format!("lies in {second}, which is not there")), "{text}");
}

#[test]
fn weights_of_a_bare_decoder_or_of_a_model_that_sees_are_found() {
    let (_dir, folder) = saved();
    let expected = read(&folder).expect("reads").fingerprint().expect("hashes");
    for prefix in ["", "language_model.model.", "model.language_model."] {
        rewrite(&folder.join("model.safetensors"), |header| {
            let renamed = std::mem::take(header).into_iter().map(|(name, entry)| {
                let bare = ["model.", "language_model.", "model."]
                    .iter()
                    .fold(name.as_str(), |n, p| n.trim_start_matches(p));
                let name = if bare.starts_with("lm_head") || bare == "__metadata__" {
                    bare.to_string()
                } else {
                    format!("{prefix}{bare}")
                };
                (name, entry)
            });
            *header = renamed.collect();
        });
        assert_eq!(read(&folder).expect("reads").fingerprint().expect("hashes"), expected, "{prefix:?}");
    }
}

/// Changes the header of a safetensors file.
fn rewrite(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let bytes = std::fs::read(path).expect("reads");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let mut header = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    change(&mut header);
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header);
    out.extend(&bytes[8 + length..]);
    std::fs::write(path, out).expect("writes");
}

/// Gives the tensor `name` another one, so that its bytes still belong to a tensor.
fn renamed(header: &mut serde_json::Map<String, Value>, name: &str) {
    let tensor = header.shift_remove(name).expect("is there");
    header.insert("other".to_string(), tensor);
}

#[test]
fn a_tensor_that_lies_in_two_shards_is_refused() {
    let (_dir, folder) = saved();
    let (first, second) = ("model-1.safetensors", "model-2.safetensors");
    std::fs::rename(folder.join("model.safetensors"), folder.join(first)).expect("renames");
    std::fs::copy(folder.join(first), folder.join(second)).expect("copies");
    let index = json!({ "weight_map": { "lm_head.weight": first, "model.norm.weight": second } });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("writes");
    let text = read(&folder).expect_err("is refused").to_string();
    assert!(text.starts_with(&folder.join(second).display().to_string()), "{text}");
    assert!(text.ends_with(&format!(" is also in {}", folder.join(first).display())), "{text}");
}

#[test]
fn damaged_weights_are_refused_by_name() {
    let up = "model.layers.1.mlp.up_proj.weight";
    let damaged = |change: &dyn Fn(&Path)| {
        let (_dir, folder) = saved();
        let file = folder.join("model.safetensors");
        change(&file);
        let text = read(&folder).expect_err("damaged").to_string();
        let place = file.display().to_string();
        assert!(text.starts_with(&place), "{text}");
        text[place.len() + 2..].to_string()
    };
    let header = |change: fn(&mut serde_json::Map<String, Value>)| damaged(&|path| rewrite(path, change));
    assert_eq!(
        header(|h| renamed(h, "model.layers.1.mlp.up_proj.weight")),
        format!("tensor {up} of shape [40, 24] is missing")
    );
    assert_eq!(
        header(|h| renamed(h, "lm_head.weight")),
        "tensor lm_head.weight of shape [37, 24] is missing (if the output head is the embedding, config.json must \
         say tie_word_embeddings)"
    );
    assert_eq!(
        header(|h| h["model.layers.1.mlp.up_proj.weight"]["shape"] = json!([24, 40])),
        format!("tensor {up} has shape [24, 40], but the configuration asks for [40, 24]")
    );
    assert_eq!(
        header(|h| h["model.layers.1.mlp.up_proj.weight"]["dtype"] = json!("I32")),
        format!(
            "tensor {up} is stored as I32, which are whole numbers where weights are wanted: only F64, F32, F16, BF16, F8_E4M3, F8_E5M2 are read"
        )
    );
    assert_eq!(
        header(|h| h["model.layers.1.mlp.up_proj.weight"]["dtype"] = json!("F16")),
        format!("tensor {up} has shape [40, 24] and type F16, which does not fit its 3840 bytes")
    );
    assert_eq!(
        header(|h| h["model.layers.1.mlp.up_proj.weight"]["data_offsets"] = json!([8, 4])),
        format!("tensor {up}: the header does not say its dtype, shape and data_offsets")
    );
    assert!(header(|h| drop(h.shift_remove("lm_head.weight"))).ends_with(" bytes too many"));
    assert!(
        header(|h| drop(h.shift_remove("model.layers.1.mlp.up_proj.weight")))
            .ends_with("does not follow the one before: 3840 bytes lie between")
    );
    let truncated = damaged(&|path| {
        let bytes = std::fs::read(path).expect("reads");
        std::fs::write(path, &bytes[..bytes.len() - 1]).expect("writes");
    });
    assert!(truncated.starts_with("tensor lm_head.weight ends at byte "), "{truncated}");
    assert!(truncated.ends_with(": it is truncated"), "{truncated}");
    let write = |bytes: &'static [u8]| damaged(&move |path| std::fs::write(path, bytes).expect("writes"));
    assert_eq!(write(b"\x05"), "not a safetensors file: it ends inside its header");
    assert_eq!(write(b"\xff\0\0\0\0\0\0\0{}"), "not a safetensors file: it ends inside its header");
    assert!(write(b"\x02\0\0\0\0\0\0\0{]").starts_with("not a safetensors file: its header is not JSON"));
    assert_eq!(
        write(b"\xff\xff\xff\xff\xff\0\0\0{}"),
        "not a safetensors file: a header of 1099511627775 bytes"
    );
}

#[test]
fn a_folder_that_lacks_something_says_what() {
    let (_dir, folder) = saved();
    let text = |result: lota_runtime::Result<Model>| result.expect_err("refused").to_string();
    std::fs::remove_file(folder.join("model.safetensors")).expect("was there");
    assert!(
        text(read(&folder))
            .ends_with("none of model.safetensors, model.safetensors.index.json, pytorch_model.bin and pytorch_model.bin.index.json is in this folder")
    );
    std::fs::write(folder.join("model.safetensors.index.json"), "{}").expect("writes");
    assert!(text(read(&folder)).ends_with("has no weight_map that says which file holds which tensor"));
    let outside = r#"{"weight_map": {"lm_head.weight": "../x.safetensors"}}"#;
    std::fs::write(folder.join("model.safetensors.index.json"), outside).expect("writes");
    assert!(
        text(read(&folder))
            .ends_with("tensor lm_head.weight: \"../x.safetensors\" is not the name of a file")
    );
    std::fs::write(folder.join("config.json"), r#"{"model_type": "rwkv"}"#).expect("writes");
    assert!(text(read(&folder)).contains("config.json: unknown architecture `rwkv`; known are llama, "));
    assert!(text(read(&folder.join("x.gguf"))).contains("there is no such file or folder"));
    let wrong = load(&folder.to_string_lossy(), &options(DType::F16), &Host::default());
    assert!(text(wrong).len() > 5);
}

#[test]
fn a_tensor_that_belongs_nowhere_is_reported_unless_it_is_known_to_be_of_no_use() {
    let (_dir, folder) = saved();
    rewrite(&folder.join("model.safetensors"), |header| {
        let entry = json!({ "dtype": "F32", "shape": [0], "data_offsets": [0, 0] });
        header.insert("model.layers.0.self_attn.rotary_emb.inv_freq".into(), entry.clone());
        header.insert("model.layers.3.mlp.up_proj.weight".into(), entry);
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let events = Events::new(move |event| {
        if let Event::Notice(text) = event {
            sink.lock().expect("not poisoned").push(text.clone());
        }
    });
    let host = Host { events, ..Host::default() };
    load(&folder.to_string_lossy(), &options(DType::F32), &host).expect("reads");
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(
        seen[0].ends_with(
            "tensor model.layers.3.mlp.up_proj.weight belongs to no parameter of this architecture and is ignored"
        ),
        "{seen:?}"
    );
}

#[test]
fn a_value_f16_cannot_hold_is_an_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut m = model("llama", json!({}));
    let norm = (m.params.by_name("model.norm.weight").expect("there") * 1e6).expect("multiplies");
    m.set_param("model.norm.weight", &norm).expect("fits");
    let save = SaveOptions { dtype: Some(DType::F16), ..SaveOptions::default() };
    let text = m.save(&dir.path().join("model"), &save, &Host::default()).expect_err("too large").to_string();
    assert!(text.starts_with("parameter model.norm.weight holds "), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 0);
}
