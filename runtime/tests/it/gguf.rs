//! GGUF files: every family and every quantisation comes out as it went in, tokenizers are rebuilt
//! from the metadata, and damage is named.

use std::io::Cursor;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::{self, Value as Meta};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use lota_runtime::data::Batch;
use lota_runtime::host::Host;
use lota_runtime::model::{LoadOptions, Model, Params, load};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{decoder, difference, exec, params};
use crate::zoo;

pub type Metadata = Vec<(String, Meta)>;
pub type Tensors = Vec<(String, QTensor)>;

fn number(json: &Value, key: &str) -> u32 {
    json[key].as_u64().unwrap_or_else(|| panic!("{key} is a number")) as u32
}

/// The metadata a converter would write for a configuration.
fn metadata(arch: &str, json: &Value) -> Metadata {
    let mut meta: Metadata = vec![("general.architecture".into(), Meta::String(arch.into()))];
    let mut put = |key: &str, value: Meta| meta.push((format!("{arch}.{key}"), value));
    for (key, name) in [
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("block_count", "num_hidden_layers"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("context_length", "max_position_embeddings"),
        ("attention.key_length", "head_dim"),
    ] {
        if json.get(name).is_some() {
            put(key, Meta::U32(number(json, name)));
        }
    }
    for (key, name) in [
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        ("rope.freq_base", "rope_theta"),
        ("logit_scale", "logits_scaling"),
        ("embedding_scale", "embedding_multiplier"),
        ("residual_scale", "residual_multiplier"),
        ("attention.scale", "attention_multiplier"),
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
    ] {
        if let Some(value) = json[name].as_f64() {
            put(key, Meta::F32(value as f32));
        }
    }
    if json["sliding_window"].is_u64() {
        put("attention.sliding_window", Meta::U32(number(json, "sliding_window")));
    }
    if let Some(factor) =
        json["rope_scaling"]["factor"].as_f64().filter(|_| json["rope_scaling"]["rope_type"] == "linear")
    {
        put("rope.scaling.type", Meta::String("linear".into()));
        put("rope.scaling.factor", Meta::F32(factor as f32));
    }
    if let Some(factor) = json["partial_rotary_factor"].as_f64() {
        let head = number(json, "hidden_size") / number(json, "num_attention_heads");
        put("rope.dimension_count", Meta::U32((f64::from(head) * factor) as u32));
    }
    meta
}

/// The file's name of a tensor, written independently of the reader.
fn file_name(arch: &str, name: &str) -> String {
    let both = matches!(arch, "gemma2" | "gemma3");
    let replaced = name
        .replace("model.embed_tokens", "token_embd")
        .replace("model.layers.", "blk.")
        .replace("model.norm", "output_norm")
        .replace("lm_head", "output")
        .replace("self_attn.q_norm", "attn_q_norm")
        .replace("self_attn.k_norm", "attn_k_norm")
        .replace("self_attn.q_proj", "attn_q")
        .replace("self_attn.k_proj", "attn_k")
        .replace("self_attn.v_proj", "attn_v")
        .replace("self_attn.o_proj", "attn_output")
        .replace("self_attn.qkv_proj", "attn_qkv")
        .replace("mlp.gate_up_proj", "ffn_up")
        .replace("mlp.gate_proj", "ffn_gate")
        .replace("mlp.up_proj", "ffn_up")
        .replace("mlp.down_proj", "ffn_down")
        .replace("input_layernorm", "attn_norm")
        .replace("pre_feedforward_layernorm", "ffn_norm")
        .replace("post_feedforward_layernorm", "post_ffw_norm");
    let after = if both || arch == "olmo2" { "post_attention_norm" } else { "ffn_norm" };
    replaced.replace("post_attention_layernorm", after)
}

/// Query and key rows as converters write them for some families, and back.
fn turned(rows: &Tensor, heads: usize, back: bool) -> Tensor {
    let (shape, half) = (rows.dims().to_vec(), rows.dims()[0] / heads / 2);
    let cols = rows.elem_count() / shape[0];
    let split = if back { (heads, half, 2, cols) } else { (heads, 2, half, cols) };
    rows.reshape(split).and_then(|t| t.transpose(1, 2)?.contiguous()?.reshape(shape)).expect("turns")
}

fn heads_of(name: &str, json: &Value) -> Option<usize> {
    let key = if name.contains("q_proj") {
        "num_attention_heads"
    } else if name.contains("k_proj") {
        "num_key_value_heads"
    } else {
        return None;
    };
    Some(number(json, key) as usize)
}

fn interleaved(arch: &str) -> bool {
    matches!(arch, "llama" | "granite" | "smollm3")
}

/// The tensors a converter would write.
fn tensors(arch: &str, json: &Value, params: &Params, dtype: GgmlDType) -> Tensors {
    let specs = params.universe().specs();
    let quantised = specs.iter().zip(params.tensors()).map(|(spec, tensor)| {
        let mut tensor = tensor.clone();
        if let Some(heads) = heads_of(&spec.name, json).filter(|_| interleaved(arch)) {
            tensor = turned(&tensor, heads, false);
        }
        if arch.starts_with("gemma") && spec.name.ends_with("norm.weight") {
            tensor = (tensor + 1.0).expect("adds");
        }
        let dtype = if spec.shape.len() == 1 { GgmlDType::F32 } else { dtype };
        (file_name(arch, &spec.name), QTensor::quantize(&tensor, dtype).expect("quantises"))
    });
    quantised.collect()
}

fn file(meta: &Metadata, tensors: &Tensors) -> (TempDir, PathBuf) {
    let mut bytes = Cursor::new(Vec::new());
    let meta: Vec<(&str, &Meta)> = meta.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    gguf_file::write(&mut bytes, &meta, &tensors).expect("writes");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes.into_inner()).expect("writes");
    (dir, path)
}

fn read(path: &std::path::Path) -> lota_runtime::Result<Model> {
    let options = LoadOptions { exec: exec(), ..LoadOptions::default() };
    load(&path.to_string_lossy(), &options, &Host::default())
}

#[test]
fn every_family_has_the_logits_it_had() {
    let gemma = json!({"head_dim": 8, "hidden_act": "absent", "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": true});
    let more = |base: &Value, more: Value| {
        let mut base = base.clone();
        base.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        base
    };
    let cases = [
        ("llama", "llama", json!({})),
        (
            "llama",
            "llama",
            json!({"attention_bias": true, "tie_word_embeddings": true, "head_dim": 10,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
        ),
        ("llama", "mistral", json!({"sliding_window": 5})),
        ("qwen2", "qwen2", json!({"tie_word_embeddings": true})),
        ("qwen3", "qwen3", json!({"head_dim": 8})),
        ("gemma", "gemma", more(&gemma, json!({"rope_theta": 10000.0}))),
        (
            "gemma2",
            "gemma2",
            more(
                &gemma,
                json!({"query_pre_attn_scalar": 8, "sliding_window": 3,
            "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}),
            ),
        ),
        (
            "gemma3",
            "gemma3_text",
            more(
                &gemma,
                json!({"query_pre_attn_scalar": 8, "sliding_window": 3,
            "num_hidden_layers": 7, "sliding_window_pattern": 6, "rope_theta": 1e6, "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
            ),
        ),
        (
            "phi3",
            "phi3",
            json!({"head_dim": "absent", "hidden_size": 32, "partial_rotary_factor": 0.5,
            "sliding_window": 6}),
        ),
        ("olmo2", "olmo2", json!({})),
        (
            "smollm3",
            "smollm3",
            json!({"num_hidden_layers": 5, "no_rope_layers": [1, 1, 1, 0, 1],
            "use_sliding_window": false, "tie_word_embeddings": true}),
        ),
        (
            "granite",
            "granite",
            json!({"attention_multiplier": 0.3, "embedding_multiplier": 2.0,
            "residual_multiplier": 0.4, "logits_scaling": 3.0, "tie_word_embeddings": true}),
        ),
    ];
    let tokens = [3u32, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7];
    for (arch, model_type, more) in cases {
        let json = zoo::tiny(model_type, more);
        let decoder = decoder(&json);
        let params = params(&decoder, 11);
        let (_dir, path) = file(&metadata(arch, &json), &tensors(arch, &json, &params, GgmlDType::F32));
        let model = read(&path).unwrap_or_else(|e| panic!("{model_type}: {e}"));
        assert_eq!(model.config.family.model_type(), model_type);
        let batch = Batch::of_tokens(&[tokens]);
        let expected = decoder.logits(&exec(), &Host::default(), &params, &batch).expect("runs");
        let found = model.decoder.logits(&model.exec, &Host::default(), &model.params, &batch).expect("runs");
        let worst = difference(&found, &expected);
        // Exact but for the 1 that was added to norms and taken off again.
        let allowed = if arch.starts_with("gemma") { 1e-4 } else { 0.0 };
        assert!(worst <= allowed, "{model_type} ({json}) differs by {worst:e}");
    }
}

#[test]
fn every_quantisation_is_dequantised_and_turned_back() {
    let json =
        zoo::tiny("llama", json!({"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1}));
    let decoder = decoder(&json);
    let params = params(&decoder, 12);
    use GgmlDType::{BF16, F16, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8K};
    for dtype in [F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K] {
        let tensors = tensors("llama", &json, &params, dtype);
        let (_dir, path) = file(&metadata("llama", &json), &tensors);
        let model = read(&path).unwrap_or_else(|e| panic!("{dtype:?}: {e}"));
        for (spec, (_, quantised)) in params.universe().specs().iter().zip(&tensors) {
            let mut expected = quantised.dequantize(&Device::Cpu).expect("dequantises");
            if let Some(heads) = heads_of(&spec.name, &json) {
                expected = turned(&expected, heads, true);
            }
            let found = model.params.by_name(&spec.name).expect("there");
            assert_eq!(difference(found, &expected), 0.0, "{dtype:?} {}", spec.name);
        }
    }
}

/// A whole small file, in parts.
pub fn parts() -> (Metadata, Tensors) {
    let json = zoo::tiny("llama", json!({"num_hidden_layers": 1}));
    let params = params(&decoder(&json), 13);
    (metadata("llama", &json), tensors("llama", &json, &params, GgmlDType::F32))
}

#[test]
fn damage_and_absence_are_named() {
    let refused = |meta: &Metadata, tensors: &Tensors| {
        let (_dir, path) = file(meta, tensors);
        let text = read(&path).expect_err("refused").to_string();
        let place = path.display().to_string();
        assert!(text.starts_with(&place), "{text}");
        text[place.len() + 2..].to_string()
    };
    let (meta, tensors) = parts();
    let without = |key: &str| {
        let rest: Metadata = meta.iter().filter(|(k, _)| k != key).cloned().collect();
        refused(&rest, &tensors)
    };
    for key in [
        "llama.rope.freq_base",
        "llama.attention.layer_norm_rms_epsilon",
        "llama.context_length",
        "general.architecture",
    ] {
        assert_eq!(without(key), format!("the metadata has no {key}, which is needed"));
    }
    let with = |key: &str, value: Meta| {
        let mut changed = meta.clone();
        changed.retain(|(k, _)| k != key);
        changed.push((key.into(), value));
        refused(&changed, &tensors)
    };
    assert_eq!(
        with("llama.block_count", Meta::String("x".into())),
        "the metadata's llama.block_count is not a number"
    );
    assert_eq!(
        with("general.architecture", Meta::String("mamba".into())),
        "unknown architecture mamba; known in GGUF files are llama, qwen2, qwen3, gemma, gemma2, gemma3, phi3, olmo2, \
         smollm3, granite"
    );
    assert_eq!(
        with("general.alignment", Meta::U32(0)),
        "general.alignment is 0, which is not a multiple of 8"
    );
    assert_eq!(
        with("llama.block_count", Meta::U32(2)),
        "tensor model.layers.1.self_attn.q_proj.weight of shape [24, 24] is missing"
    );
    assert_eq!(
        with("llama.embedding_length", Meta::U32(48)),
        "tensor model.embed_tokens.weight has shape [37, 24], but the configuration asks for [37, 48]"
    );
    assert_eq!(
        with("tokenizer.ggml.model", Meta::String("bert".into())),
        "the metadata has no tokenizer.ggml.tokens, which is needed"
    );
}

#[test]
fn no_cut_of_a_file_panics() {
    let (meta, tensors) = parts();
    let (_dir, path) = file(&meta, &tensors);
    let bytes = std::fs::read(&path).expect("reads");
    assert!(read(&path).is_ok());
    let header = bytes.len() - tensors.iter().map(|(_, t)| t.storage_size_in_bytes()).sum::<usize>();
    let cuts = (0..header).step_by(7).chain([bytes.len() - 40]);
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).expect("writes");
        let text = read(&path).expect_err("cut").to_string();
        let known = ["does not begin with GGUF", "damaged GGUF file", "it is truncated"];
        assert!(known.iter().any(|k| text.contains(k)), "at {cut}: {text}");
    }
    // Flipped bytes in the header are an error or harmless, never a panic.
    for at in 0..header.min(2000) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        std::fs::write(&path, &damaged).expect("writes");
        let _ = read(&path);
    }
}

/// A file with a tokenizer of pieces, and the pieces.
fn pieces() -> (Metadata, Tensors, Vec<String>) {
    let (mut meta, tensors) = parts();
    let mut tokens = vec!["<unk>".to_string(), "<s>".into(), "</s>".into()];
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    let mut scores = vec![0.0f32; tokens.len()];
    let mut kinds = vec![2, 3, 3];
    kinds.extend([6; 256]);
    for (piece, score) in [
        ("\u{2581}", -10.0),
        ("a", -11.0),
        ("b", -12.0),
        ("c", -13.0),
        ("\u{2581}ab", -1.0),
        ("ab", -2.0),
        ("\u{2581}a", -3.0),
        ("abc", -4.0),
        ("<|x|>", 0.0),
    ] {
        tokens.push(piece.to_string());
        scores.push(score);
        kinds.push(if piece == "<|x|>" { 4 } else { 1 });
    }
    let strings = |list: &[String]| Meta::Array(list.iter().cloned().map(Meta::String).collect());
    meta.push(("tokenizer.ggml.model".into(), Meta::String("llama".into())));
    meta.push(("tokenizer.ggml.tokens".into(), strings(&tokens)));
    meta.push(("tokenizer.ggml.scores".into(), Meta::Array(scores.into_iter().map(Meta::F32).collect())));
    meta.push(("tokenizer.ggml.token_type".into(), Meta::Array(kinds.into_iter().map(Meta::I32).collect())));
    meta.push(("tokenizer.ggml.bos_token_id".into(), Meta::U32(1)));
    meta.push(("tokenizer.ggml.eos_token_id".into(), Meta::U32(2)));
    (meta, tensors, tokens)
}

/// A small file with all that a file can have.
pub fn with_tokenizer() -> (TempDir, PathBuf) {
    let (meta, tensors, _) = pieces();
    file(&meta, &tensors)
}

#[test]
fn a_tokenizer_of_pieces_merges_by_score() {
    let (meta, tensors, tokens) = pieces();
    let id = |piece: &str| tokens.iter().position(|t| t == piece).expect("there") as u32;
    let (_dir, path) = file(&meta, &tensors);
    let model = read(&path).expect("reads");
    let tokenizer = model.tokenizer().expect("rebuilt");
    let ids = |text: &str, special: bool| tokenizer.encode(text, special).expect("tokenizes");
    // The pair with the best union merges first: a and b, then the space before them.
    assert_eq!(ids("abc ab", false), [id("\u{2581}ab"), id("c"), id("\u{2581}ab")]);
    assert_eq!(ids("abc ab", true)[0], 1);
    assert_eq!(ids("<s>ca", true), [1, 1, id("\u{2581}"), id("c"), id("a")]);
    assert_eq!(tokenizer.encode_prompt("<s>ca").expect("tokenizes"), [1, id("\u{2581}"), id("c"), id("a")]);
    assert_eq!(ids("a<|x|>", false), [id("\u{2581}a"), id("<|x|>")]);
    assert_eq!(ids("é", false), [id("\u{2581}"), id("<0xC3>"), id("<0xA9>")]);
    for text in ["abc ab", "cab  é b", "ab"] {
        assert_eq!(tokenizer.decode(&ids(text, true), true).expect("decodes"), text);
    }
    assert_eq!(model.generation.eos, [2]);
    assert_eq!(model.config.bos, Some(1));
    assert_eq!(
        tokenizer.decode(&[9999], true).expect_err("no such id").to_string(),
        format!("token id 9999 is not in the vocabulary of {} tokens", tokens.len())
    );
}
