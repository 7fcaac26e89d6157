//! Models, whole and in parts.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{self, Value as Meta};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use lota_fuzz::{TINY, model};
use lota_runtime::host::Host;
use lota_runtime::lora::{Adapter, CONFIG, Shape, WEIGHTS, modules};
use lota_runtime::model::decoder::Attached;
use lota_runtime::model::{Init, SaveOptions};
use serde_json::{Value, json};

use crate::{Seed, fixture};

pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    for (name, dtype) in [("f32", DType::F32), ("bf16", DType::BF16), ("f16", DType::F16)] {
        all.push(("safetensors", name.to_string(), weights(dtype)));
    }
    all.push(("tensors", "model".to_string(), weights(DType::BF16)));
    all.push(("tensors", "kinds".to_string(), kinds()));
    all.push(("index", "shards".to_string(), index()));
    all.extend(configs());
    all.push(("gguf", "plain".to_string(), gguf(&[GgmlDType::F32; 7], true)));
    use GgmlDType::{BF16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8K};
    all.push(("gguf", "quantised".to_string(), gguf(&[Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F16, BF16], false)));
    all.push(("gguf", "blocks".to_string(), gguf(&[Q2K, Q3K, Q4K, Q5K, Q6K, Q8K, F32], false)));
    all.push(("adapter", "attached".to_string(), adapter()));
    for name in ["plain", "patterns", "whole"] {
        let file = |file: &str| fixture(&format!("runtime/tests/fixtures/lora/{name}/{file}"));
        all.push(("adapter", name.to_string(), beside(&file(CONFIG), &file(WEIGHTS))));
    }
    for name in ["mask", "old", "old_half", "old_views", "types", "twice", "state_dict", "words", "hidden"] {
        let bytes = fixture(&format!("runtime/tests/fixtures/published/{name}.pt"));
        all.push(("published", name.to_string(), bytes));
    }
    all
}

/// Two files in one: text, a zero, weights.
fn beside(text: &[u8], weights: &[u8]) -> Vec<u8> {
    [text, &[0], weights].concat()
}

fn weights(dtype: DType) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model");
    let options = SaveOptions { dtype: Some(dtype), ..SaveOptions::default() };
    model(1).save(&path, &options, &Host::default()).expect("writes");
    std::fs::read(path.join("model.safetensors")).expect("was written")
}

/// A tensor of each type that is read.
fn kinds() -> Vec<u8> {
    use lota_runtime::host::container::{Declared, bits, header};
    let types = ["F64", "I64", "U64", "F32", "I32", "U32", "F16", "BF16", "I16", "U16", "U8", "I8", "BOOL"];
    let bytes = |dtype: &str| 6 * bits(dtype).expect("is known") / 8;
    let declared: Vec<Declared<'_>> = types
        .iter()
        .map(|dtype| Declared { name: dtype, dtype, shape: &[2, 3], bytes: bytes(dtype) })
        .collect();
    let mut out = header(&[("format", "pt")], &declared).expect("can be");
    out.resize(out.len() + types.iter().map(|dtype| bytes(dtype) as usize).sum::<usize>(), 0);
    out
}

fn index() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model");
    let options = SaveOptions { dtype: None, shard_bytes: 600 };
    model(1).save(&path, &options, &Host::default()).expect("writes");
    std::fs::read(path.join("model.safetensors.index.json")).expect("was written")
}

/// A small configuration of each family.
fn configs() -> Vec<Seed> {
    let gemma = json!({"head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 8,
        "sliding_window": 3});
    let families = [
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
        ),
        ("mistral", json!({"sliding_window": 5})),
        ("qwen2", json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1})),
        (
            "qwen3",
            json!({"head_dim": 6, "layer_types": ["full_attention", "sliding_attention"],
            "sliding_window": 4, "use_sliding_window": true}),
        ),
        ("gemma", gemma.clone()),
        ("gemma2", with(&gemma, json!({"attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}))),
        (
            "gemma3_text",
            with(
                &gemma,
                json!({"sliding_window_pattern": 2, "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
            ),
        ),
        (
            "phi3",
            json!({"partial_rotary_factor": 0.5, "sliding_window": 6, "original_max_position_embeddings": 8,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}}),
        ),
        ("olmo2", json!({})),
        ("smollm3", json!({"no_rope_layers": [1, 0], "use_sliding_window": false})),
        (
            "granite",
            json!({"attention_multiplier": 0.3, "embedding_multiplier": 2.0, "residual_multiplier": 0.4,
            "logits_scaling": 3.0}),
        ),
    ];
    let seed = |(family, more): (&str, Value)| {
        let mut config: Value = serde_json::from_str(TINY).expect("is JSON");
        config["architectures"] = Value::Null;
        config["model_type"] = json!(family);
        config["num_hidden_layers"] = json!(2);
        ("config", family.to_string(), with(&config, more).to_string().into_bytes())
    };
    families.into_iter().map(seed).collect()
}

fn with(config: &Value, more: Value) -> Value {
    let mut config = config.clone();
    let (Value::Object(object), Value::Object(more)) = (&mut config, more) else { panic!("objects") };
    object.extend(more);
    config
}

/// A whole file of one layer whose first matrices are stored as these types. With a tokenizer of pieces or of bytes.
fn gguf(types: &[GgmlDType; 7], pieces: bool) -> Vec<u8> {
    let width = types.iter().map(|dtype| dtype.block_size()).max().unwrap_or(1).max(8);
    let shapes: [(&str, &[usize]); 11] = [
        ("token_embd.weight", &[12, width]),
        ("blk.0.attn_q.weight", &[4, width]),
        ("blk.0.attn_k.weight", &[2, width]),
        ("blk.0.attn_v.weight", &[2, width]),
        ("blk.0.ffn_gate.weight", &[3, width]),
        ("blk.0.ffn_up.weight", &[3, width]),
        ("output.weight", &[12, width]),
        ("blk.0.attn_output.weight", &[width, 4]),
        ("blk.0.ffn_down.weight", &[width, 3]),
        ("blk.0.attn_norm.weight", &[width]),
        ("output_norm.weight", &[width]),
    ];
    let tensor = |(i, (name, shape)): (usize, &(&'static str, &[usize]))| {
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|n: usize| (n % 7) as f32 / 8.0).collect();
        let tensor = Tensor::from_vec(numbers, *shape, &Device::Cpu).expect("fits");
        let narrow = width > 32 && shape.len() == 2;
        let other = if narrow { GgmlDType::F16 } else { GgmlDType::F32 };
        let dtype = types.get(i).copied().unwrap_or(other);
        (*name, QTensor::quantize(&tensor, dtype).expect("quantises"))
    };
    let mut tensors: Vec<(&str, QTensor)> = shapes.iter().enumerate().map(tensor).collect();
    // Wide files are large enough with a head that is the embedding.
    tensors.retain(|(name, _)| width <= 32 || *name != "output.weight");
    let second = Tensor::ones(width, DType::F32, &Device::Cpu).expect("fits");
    tensors.push(("blk.0.ffn_norm.weight", QTensor::quantize(&second, GgmlDType::F32).expect("copies")));
    let texts = |all: &[&str]| Meta::Array(all.iter().map(|text| Meta::String(text.to_string())).collect());
    let tokens =
        ["<unk>", "<s>", "</s>", "<0x0A>", "\u{2581}", "a", "b", "ab", "\u{2581}ab", "w", "5", "<|x|>"];
    let kinds = [2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 4];
    let mut meta: Vec<(&str, Meta)> = vec![
        ("general.architecture", Meta::String("llama".into())),
        ("llama.embedding_length", Meta::U32(width as u32)),
        ("llama.feed_forward_length", Meta::U32(3)),
        ("llama.block_count", Meta::U32(1)),
        ("llama.attention.head_count", Meta::U32(2)),
        ("llama.attention.head_count_kv", Meta::U32(1)),
        ("llama.attention.key_length", Meta::U32(2)),
        ("llama.context_length", Meta::U64(32)),
        ("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5)),
        ("llama.rope.freq_base", Meta::F32(10000.0)),
        ("tokenizer.ggml.model", Meta::String(if pieces { "llama" } else { "gpt2" }.into())),
        ("tokenizer.ggml.tokens", texts(&tokens)),
        ("tokenizer.ggml.token_type", Meta::Array(kinds.map(Meta::I32).to_vec())),
        ("tokenizer.ggml.bos_token_id", Meta::U32(1)),
        ("tokenizer.ggml.eos_token_id", Meta::U32(2)),
    ];
    if pieces {
        let scores = tokens.iter().enumerate().map(|(i, _)| Meta::F32(-(i as f32))).collect();
        meta.push(("tokenizer.ggml.scores", Meta::Array(scores)));
        meta.push(("tokenizer.chat_template", Meta::String("{{ messages[0].content }}".into())));
        meta.push(("tokenizer.ggml.add_bos_token", Meta::Bool(true)));
    } else {
        meta.push(("tokenizer.ggml.merges", texts(&["a b"])));
        meta.push(("tokenizer.ggml.pre", Meta::String("default".into())));
    }
    let meta: Vec<(&str, &Meta)> = meta.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut out = Cursor::new(Vec::new());
    gguf_file::write(&mut out, &meta, &tensors).expect("writes");
    out.into_inner()
}

fn adapter() -> Vec<u8> {
    let model = model(1);
    let shape = Shape { rank: 2, alpha: 4.0, rslora: true };
    let factors = modules(&model, &["q_proj", "down_proj"], &shape).expect("fits");
    let attached = Attached { modules: factors, dropout: 0.0, seed: 0 };
    let model = model.attach(attached, Init::Kaiming, 5).expect("attaches");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("adapter");
    Adapter::of(&model).expect("has factors").save(&path, DType::F32, &Host::default()).expect("writes");
    let file = |name: &str| std::fs::read(path.join(name)).expect("was written");
    beside(&file(CONFIG), &file(WEIGHTS))
}
