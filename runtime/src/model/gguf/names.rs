//! The names of tensors: GGUF's and Hugging Face's.

use crate::model::config::Family;

/// The Hugging Face name of a GGUF tensor; a name that is not known stays as it is.
pub(super) fn hugging_face(family: Family, name: &str) -> String {
    match name {
        "token_embd.weight" => return "model.embed_tokens.weight".to_string(),
        "output_norm.weight" => return "model.norm.weight".to_string(),
        "output.weight" => return "lm_head.weight".to_string(),
        _ => {}
    }
    let parts = name.strip_prefix("blk.").and_then(|rest| {
        let (layer, rest) = rest.split_once('.')?;
        let (part, suffix) = rest.rsplit_once('.')?;
        layer.bytes().all(|b| b.is_ascii_digit()).then_some((layer, part, suffix))
    });
    match parts.and_then(|(layer, part, suffix)| Some((layer, in_layer(family, part)?, suffix))) {
        Some((layer, part, suffix)) => format!("model.layers.{layer}.{part}.{suffix}"),
        None => name.to_string(),
    }
}

fn in_layer(family: Family, part: &str) -> Option<&'static str> {
    // The norm before the feed-forward layers has the place name of the common architecture
    // unless there are norms after the layers too.
    let both = matches!(family, Family::Gemma2 | Family::Gemma3);
    Some(match part {
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_qkv" => "self_attn.qkv_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" if family == Family::Phi3 => "mlp.gate_up_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        "attn_norm" => "input_layernorm",
        "ffn_norm" if both => "pre_feedforward_layernorm",
        "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        _ => return None,
    })
}

/// Whether the file's query and key rows are in the order of interleaved rotation, which GGUF
/// uses for some families.
pub(super) fn interleaved(family: Family) -> bool {
    matches!(family, Family::Llama | Family::Mistral | Family::Granite | Family::SmolLm3)
}

/// Whether the file's norm weights have the 1 added that the model itself adds.
pub(super) fn norms_shifted(family: Family) -> bool {
    matches!(family, Family::Gemma | Family::Gemma2 | Family::Gemma3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_family_where_places_do() {
        let cases = [
            (Family::Llama, "blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj.weight"),
            (Family::Llama, "blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
            (Family::Gemma2, "blk.3.ffn_norm.weight", "model.layers.3.pre_feedforward_layernorm.weight"),
            (
                Family::Gemma2,
                "blk.3.post_attention_norm.weight",
                "model.layers.3.post_attention_layernorm.weight",
            ),
            (Family::Qwen2, "blk.10.attn_k.bias", "model.layers.10.self_attn.k_proj.bias"),
            (Family::Phi3, "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight"),
            (Family::Llama, "rope_freqs.weight", "rope_freqs.weight"),
            (Family::Llama, "blk.x.attn_q.weight", "blk.x.attn_q.weight"),
        ];
        for (family, gguf, expected) in cases {
            assert_eq!(hugging_face(family, gguf), expected);
        }
    }
}
