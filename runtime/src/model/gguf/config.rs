//! `config.json` from the metadata of a GGUF file.
//!
//! What the file says is taken from it; what a converter never writes because the family fixes it
//! is filled in here, family by family. Anything else that is absent is an error naming the key.

use serde_json::{Map, Value, json};

use super::header::Gguf;
use super::rope;
use crate::model::config::Family;
use crate::{Error, Result};

/// The family of an architecture's name in GGUF files.
fn family(name: &str) -> Option<Family> {
    Some(match name {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        "gemma" => Family::Gemma,
        "gemma2" => Family::Gemma2,
        "gemma3" => Family::Gemma3,
        "phi3" => Family::Phi3,
        "olmo2" => Family::Olmo2,
        "smollm3" => Family::SmolLm3,
        "granite" => Family::Granite,
        _ => return None,
    })
}

const KNOWN: &str = "llama, qwen2, qwen3, gemma, gemma2, gemma3, phi3, olmo2, smollm3, granite";

/// No dimension of a real model comes near this.
const WIDEST: usize = 1 << 24;

/// What `config.json` of this model would hold.
pub(crate) fn config_json(file: &Gguf) -> Result<Value> {
    let meta = file.metadata();
    let arch = meta.text("general.architecture")?;
    let mut family = family(arch).ok_or_else(|| {
        Error::format(file.path(), format!("unknown architecture {arch}; known in GGUF files are {KNOWN}"))
    })?;
    let key = |name: &str| format!("{arch}.{name}");
    let window = meta.size_or(&key("attention.sliding_window"))?.filter(|&n| n > 0);
    if family == Family::Llama && window.is_some() {
        // Mistral goes by the name of llama.
        family = Family::Mistral;
    }
    let has = |name: &str| file.tensors().contains_key(name);
    let embed = file
        .tensors()
        .get("token_embd.weight")
        .ok_or_else(|| Error::format(file.path(), "tensor token_embd.weight is missing"))?;
    // Damage must not make anything of an absurd size.
    let size_or = |name: &str, most: usize| -> Result<Option<usize>> {
        match meta.size_or(&key(name))? {
            Some(n) if n == 0 || n > most => {
                Err(Error::format(file.path(), format!("{} is {n}, which cannot be", key(name))))
            }
            size => Ok(size),
        }
    };
    let size = |name: &str, most: usize| size_or(name, most)?.ok_or_else(|| meta.missing(&key(name)));
    let hidden = size("embedding_length", WIDEST)?;
    let heads = size("attention.head_count", WIDEST)?;
    let kv_heads = size_or("attention.head_count_kv", WIDEST)?.unwrap_or(heads);
    let head_dim = size_or("attention.key_length", WIDEST)?.unwrap_or(hidden / heads);
    let layers = size("block_count", file.tensors().len())?;
    // The Gemma converters leave the base of rotation out: the family has one value.
    let theta = match meta.number_or(&key("rope.freq_base"))? {
        Some(theta) => theta,
        None if matches!(family, Family::Gemma | Family::Gemma2) => 10000.0,
        None => return Err(meta.missing(&key("rope.freq_base"))),
    };
    let rotated = size_or("rope.dimension_count", WIDEST)?.unwrap_or(head_dim);
    let gemma = matches!(family, Family::Gemma | Family::Gemma2 | Family::Gemma3);

    let mut config = Map::new();
    let mut put = |name: &str, value: Value| config.insert(name.to_string(), value);
    put("architectures", json!([family.architecture()]));
    put("model_type", json!(family.model_type()));
    put("vocab_size", json!(embed.shape.first()));
    put("hidden_size", json!(hidden));
    put("intermediate_size", json!(size("feed_forward_length", WIDEST)?));
    put("num_hidden_layers", json!(layers));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(kv_heads));
    put("head_dim", json!(head_dim));
    put("max_position_embeddings", json!(meta.size(&key("context_length"))?));
    put("rms_norm_eps", json!(meta.number(&key("attention.layer_norm_rms_epsilon"))?));
    put("tie_word_embeddings", json!(!has("output.weight")));
    put("rope_theta", json!(theta));
    put("rope_scaling", rope::scaling(file, arch, theta, rotated)?.unwrap_or(Value::Null));
    put("hidden_act", json!(if gemma { "gelu_pytorch_tanh" } else { "silu" }));
    if gemma {
        put("hidden_activation", json!("gelu_pytorch_tanh"));
    }
    put("attention_bias", json!(has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias")));
    put("mlp_bias", json!(has("blk.0.ffn_up.bias")));
    if rotated != head_dim {
        put("partial_rotary_factor", json!(rotated as f64 / head_dim as f64));
    }
    for (name, id) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
        if let Some(id) = meta.id_or(&format!("tokenizer.ggml.{id}_token_id"))? {
            put(name, json!(id));
        }
    }
    match family {
        Family::Mistral => drop(put("sliding_window", json!(window))),
        Family::Phi3 => {
            put("sliding_window", json!(window));
            if let Some(original) = meta.size_or(&key("rope.scaling.original_context_length"))? {
                put("original_max_position_embeddings", json!(original));
            }
        }
        Family::Qwen2 | Family::Qwen3 => drop(put("use_sliding_window", json!(false))),
        Family::Gemma2 => {
            put(
                "sliding_window",
                json!(window.ok_or_else(|| meta.missing(&key("attention.sliding_window")))?),
            );
            put("attn_logit_softcapping", json!(meta.number(&key("attn_logit_softcapping"))?));
            put("final_logit_softcapping", json!(meta.number(&key("final_logit_softcapping"))?));
            // The 27B model, of 46 layers, alone scales by the width per head.
            put("query_pre_attn_scalar", json!(if layers == 46 { hidden / heads } else { head_dim }));
        }
        Family::Gemma3 => {
            put(
                "sliding_window",
                json!(window.ok_or_else(|| meta.missing(&key("attention.sliding_window")))?),
            );
            put("sliding_window_pattern", json!(6));
            // Local layers have the base of the earlier models; files name it only if it differs.
            let local = meta.number_or(&key("rope.freq_base_swa"))?.unwrap_or(10000.0);
            put("rope_local_base_freq", json!(local));
            put("final_logit_softcapping", json!(meta.number_or(&key("final_logit_softcapping"))?));
            // The 27B model, of 62 layers, alone scales by the width per head.
            put("query_pre_attn_scalar", json!(if layers == 62 { hidden / heads } else { head_dim }));
        }
        Family::SmolLm3 => {
            // Every fourth layer has no rotation; the list says where there is one.
            let turned: Vec<u8> = (1..=layers).map(|i| u8::from(i % 4 != 0)).collect();
            put("no_rope_layers", json!(turned));
            put("no_rope_layer_interval", json!(4));
        }
        Family::Granite => {
            put("logits_scaling", json!(meta.number(&key("logit_scale"))?));
            put("embedding_multiplier", json!(meta.number(&key("embedding_scale"))?));
            put("residual_multiplier", json!(meta.number(&key("residual_scale"))?));
            put("attention_multiplier", json!(meta.number(&key("attention.scale"))?));
        }
        Family::Llama | Family::Gemma | Family::Olmo2 => {}
    }
    Ok(Value::Object(config))
}
