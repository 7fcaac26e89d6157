//! From a configuration in any of its spellings to a [`Config`].

use serde_json::{Map, Value};

use super::fields::Fields;
use super::rope::{self, Rope};
use super::{Activation, Biases, Config, Family, Layer, NormPlacement, QkNorm};
use crate::{Error, Result};

/// Reads a configuration. One that wraps a text model (`text_config`) is read as that.
pub(super) fn config(object: &Map<String, Value>) -> Result<Config> {
    if let Some(Value::Object(text)) = object.get("text_config") {
        return config(text);
    }
    let family = Family::of(object)?;
    let f = Fields::new(object, "the config");
    let hidden_size = f.size("hidden_size")?;
    let heads = f.size("num_attention_heads")?;
    let kv_heads = match f.size_or("num_key_value_heads")? {
        Some(n) => n,
        // `null` says that there are as many as heads.
        None if kv_heads_default_to_heads(family) || f.stated("num_key_value_heads") => heads,
        None => return Err(f.missing("num_key_value_heads")),
    };
    if !heads.is_multiple_of(kv_heads) {
        return Err(Error::argument(format!(
            "`num_attention_heads` ({heads}) is not a multiple of `num_key_value_heads` ({kv_heads})"
        )));
    }
    let head_dim = match f.size_or("head_dim")? {
        Some(n) => n,
        None if family.is_gemma() || family == Family::Qwen3 => return Err(f.missing("head_dim")),
        None if !hidden_size.is_multiple_of(heads) => {
            return Err(Error::argument(format!(
                "the config has no `head_dim`, and `hidden_size` ({hidden_size}) is not a multiple of \
                 `num_attention_heads` ({heads})"
            )));
        }
        None => hidden_size / heads,
    };
    if heads.checked_mul(head_dim).is_none_or(|width| width > MOST_WIDTH) {
        return Err(Error::argument(format!(
            "`num_attention_heads` ({heads}) times `head_dim` ({head_dim}) is more than {MOST_WIDTH}, the most here"
        )));
    }
    causal(f)?;
    let (ropes, layers) = layers(f, family, head_dim)?;
    let granite = family == Family::Granite;
    let attention_scale = match family {
        Family::Gemma2 | Family::Gemma3 => 1.0 / f.number("query_pre_attn_scalar")?.sqrt(),
        Family::Granite => f.number("attention_multiplier")?,
        _ => 1.0 / (head_dim as f64).sqrt(),
    };
    Ok(Config {
        family,
        vocab_size: f.size("vocab_size")?,
        hidden_size,
        intermediate_size: f.size("intermediate_size")?,
        heads,
        kv_heads,
        head_dim,
        max_positions: f.size("max_position_embeddings")?,
        tied: f.flag_or("tie_word_embeddings")?.unwrap_or(tied_by_default(family)),
        norm_eps: f.number("rms_norm_eps")?,
        norm_offset: family.is_gemma(),
        norms: match family {
            Family::Gemma2 | Family::Gemma3 => NormPlacement::PreAndPost,
            Family::Olmo2 => NormPlacement::Post,
            _ => NormPlacement::Pre,
        },
        qk_norm: match family {
            Family::Qwen3 | Family::Gemma3 => QkNorm::Head,
            Family::Olmo2 => QkNorm::Projection,
            _ => QkNorm::None,
        },
        activation: activation(f, family)?,
        biases: biases(f, family)?,
        fused: family == Family::Phi3,
        attention_scale,
        attention_softcap: softcap(f, family, "attn_logit_softcapping")?,
        logit_softcap: softcap(f, family, "final_logit_softcapping")?,
        logit_scale: if granite { 1.0 / f.number("logits_scaling")? } else { 1.0 },
        embed_scale: match family {
            Family::Granite => f.number("embedding_multiplier")?,
            _ if family.is_gemma() => (hidden_size as f64).sqrt(),
            _ => 1.0,
        },
        residual_scale: if granite { f.number("residual_multiplier")? } else { 1.0 },
        layers,
        ropes,
        bos: f.ids("bos_token_id")?.first().copied(),
        eos: f.ids("eos_token_id")?,
        json: object.clone(),
    })
}

/// These families' own definition of an absent number of key heads.
fn kv_heads_default_to_heads(family: Family) -> bool {
    matches!(family, Family::Llama | Family::Phi3 | Family::Olmo2 | Family::Granite)
}

/// Transformers leaves `tie_word_embeddings` out where it has its class's value, if that is true.
fn tied_by_default(family: Family) -> bool {
    family.is_gemma() || family == Family::SmolLm3
}

/// Models that look both ways have the names of those that look back only, and this to tell them apart.
fn causal(f: Fields<'_>) -> Result<()> {
    for (key, other) in [("use_bidirectional_attention", true), ("is_causal", false)] {
        if f.flag_or(key)? == Some(other) {
            return Err(Error::argument(format!(
                "`{key}` is {other}: this model's tokens see those after them, and only causal attention is supported"
            )));
        }
    }
    Ok(())
}

/// The key that a family's own code reads, and what it says.
fn activation(f: Fields<'_>, family: Family) -> Result<Activation> {
    let (own, other) = match family {
        Family::Gemma2 | Family::Gemma3 => ("hidden_activation", "hidden_act"),
        _ => ("hidden_act", "hidden_activation"),
    };
    let parse = |key: &str| match f.text_or(key)? {
        // The first Gemma configurations said `gelu` and meant its approximation.
        Some("gelu") if family == Family::Gemma => Ok(Some(Activation::GeluTanh)),
        Some("silu" | "swish") => Ok(Some(Activation::Silu)),
        Some("gelu_pytorch_tanh" | "gelu_new" | "gelu_fast") => Ok(Some(Activation::GeluTanh)),
        Some("gelu") => Ok(Some(Activation::GeluErf)),
        Some(name) => Err(Error::argument(format!(
            "`{key}` is `{name}`, which is not supported; supported are silu, gelu and gelu_pytorch_tanh"
        ))),
        None => Ok(None),
    };
    let found = parse(own)?;
    if !family.is_gemma() {
        return found.ok_or_else(|| f.missing(own));
    }
    // The Gemmas were published with one key, the other, or both; transformers has read both for the first.
    match found {
        Some(act) if family == Family::Gemma && parse(other)?.is_some_and(|another| another != act) => {
            Err(Error::argument(
                "`hidden_act` and `hidden_activation` name different activations: remove the one that is wrong",
            ))
        }
        Some(act) => Ok(act),
        None if parse(other)? == Some(Activation::GeluTanh) => Ok(Activation::GeluTanh),
        None => Err(f.missing(own)),
    }
}

fn biases(f: Fields<'_>, family: Family) -> Result<Biases> {
    let attention = f.flag_or("attention_bias")?.unwrap_or(false);
    let mlp = f.flag_or("mlp_bias")?.unwrap_or(false);
    Ok(match family {
        Family::Qwen2 => Biases { qkv: true, output: false, mlp: false },
        Family::Mistral | Family::Phi3 => Biases::default(),
        Family::Llama | Family::SmolLm3 | Family::Granite => {
            Biases { qkv: attention, output: attention, mlp }
        }
        Family::Qwen3 | Family::Gemma | Family::Gemma2 | Family::Gemma3 | Family::Olmo2 => {
            Biases { qkv: attention, output: attention, mlp: false }
        }
    })
}

/// A cap, which Gemma 2 must state (`null` states that there is none). Gemma 3 has one on logits only,
/// and only if it says so.
fn softcap(f: Fields<'_>, family: Family, key: &str) -> Result<Option<f64>> {
    match family {
        Family::Gemma2 if !f.stated(key) => Err(f.missing(key)),
        Family::Gemma3 if key.starts_with("attn") && f.value(key).is_some() => Err(Error::argument(format!(
            "`{key}` is set, but the attention of this architecture has no cap: it must be null"
        ))),
        Family::Gemma2 | Family::Gemma3 => f.number_or(key),
        _ => Ok(None),
    }
}

/// Of all heads together. More is damage.
const MOST_WIDTH: usize = 1 << 26;

/// More is damage: a list of that many layers alone would fill the memory.
const MOST_LAYERS: usize = 10_000;

fn layers(f: Fields<'_>, family: Family, head_dim: usize) -> Result<(Vec<Rope>, Vec<Layer>)> {
    let count = f.size("num_hidden_layers")?;
    if count > MOST_LAYERS {
        return Err(Error::argument(format!(
            "`num_hidden_layers` is {count}, and a model has at most {MOST_LAYERS} layers here"
        )));
    }
    let sliding = sliding_layers(f, family, count)?;
    let window = if sliding.contains(&true) { Some(f.size("sliding_window")?) } else { None };
    let turned = rope_layers(f, family, count)?;

    // Which kinds of layers have an embedding of their own, and where its base is kept.
    let local_key = "rope_local_base_freq";
    let parameters = f.object("rope_parameters")?;
    let nested = rope::per_kind(parameters);
    let separate = family == Family::Gemma3;
    if parameters.is_some() && nested != separate {
        return Err(Error::argument(if separate {
            "`rope_parameters` must hold `full_attention` and `sliding_attention`, which rotate differently in this \
             architecture"
        } else {
            "`rope_parameters` holds other objects, but all layers of this architecture rotate alike"
        }));
    }
    let partial = family == Family::Phi3;
    let mut ropes: Vec<Rope> = Vec::new();
    // Of each kind it is read once: it may be a list as long as its file, and there may be thousands of layers.
    let mut known: [Option<usize>; 2] = [None; 2];
    let mut layers = Vec::with_capacity(count);
    for (&slides, &turns) in sliding.iter().zip(&turned) {
        let local = separate && slides;
        let rope = match known[usize::from(local)] {
            _ if !turns => None,
            Some(rope) => Some(rope),
            None => {
                let rope = if local {
                    let key = if nested { "rope_theta" } else { local_key };
                    rope::rope(f, "sliding_attention", key, nested, head_dim, partial)?
                } else {
                    rope::rope(f, "full_attention", "rope_theta", true, head_dim, partial)?
                };
                let at = ropes.iter().position(|r| *r == rope).unwrap_or_else(|| {
                    ropes.push(rope);
                    ropes.len() - 1
                });
                known[usize::from(local)] = Some(at);
                Some(at)
            }
        };
        layers.push(Layer { window: if slides { window } else { None }, rope });
    }
    Ok((ropes, layers))
}

/// Which layers see only a window.
fn sliding_layers(f: Fields<'_>, family: Family, count: usize) -> Result<Vec<bool>> {
    let has_window = f.value("sliding_window").is_some();
    let stated = layer_types(f, count)?;
    let switched = matches!(family, Family::Qwen2 | Family::Qwen3 | Family::SmolLm3);
    let own = if switched && !f.flag_or("use_sliding_window")?.unwrap_or(false) {
        vec![false; count]
    } else {
        match (family, &stated) {
            // `layer_types` decides in these families, and in no other.
            (
                Family::Qwen2 | Family::Qwen3 | Family::SmolLm3 | Family::Gemma2 | Family::Gemma3,
                Some(kinds),
            ) => {
                return Ok(kinds.clone());
            }
            (Family::Mistral, _) if !f.stated("sliding_window") => return Err(f.missing("sliding_window")),
            (Family::Mistral | Family::Phi3, _) => vec![has_window; count],
            (Family::Qwen2 | Family::Qwen3, _) => {
                let first =
                    f.size_or_zero("max_window_layers")?.ok_or_else(|| f.missing("max_window_layers"))?;
                (0..count).map(|i| has_window && i >= first).collect()
            }
            // The layers without positions are those with a window.
            (Family::SmolLm3, _) => {
                rope_layers(f, family, count)?.into_iter().map(|t| has_window && !t).collect()
            }
            (Family::Gemma2, _) => (0..count).map(|i| i % 2 == 0).collect(),
            (Family::Gemma3, _) => {
                let period = match f.size_or("sliding_window_pattern")? {
                    Some(n) => n,
                    None => f.size_or("_sliding_window_pattern")?.ok_or_else(|| f.missing("layer_types"))?,
                };
                (0..count).map(|i| !(i + 1).is_multiple_of(period)).collect()
            }
            (Family::Llama | Family::Gemma | Family::Olmo2 | Family::Granite, _) => vec![false; count],
        }
    };
    match stated {
        Some(kinds) if kinds != own => Err(Error::argument(format!(
            "`layer_types` gives a window to other layers than {} has by `sliding_window`{}, and this architecture \
             does not go by it: make them agree",
            family.model_type(),
            if switched { " and `use_sliding_window`" } else { "" }
        ))),
        _ => Ok(own),
    }
}

/// What `layer_types` says, if it is there: which layers have a window.
fn layer_types(f: Fields<'_>, count: usize) -> Result<Option<Vec<bool>>> {
    let Some(types) = f.list_or("layer_types")? else { return Ok(None) };
    let kinds: Result<Vec<bool>> = types
        .iter()
        .map(|t| match t.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            _ => Err(Error::argument(format!(
                "`layer_types` holds {t}; supported are full_attention and sliding_attention"
            ))),
        })
        .collect();
    let kinds = kinds?;
    if kinds.len() != count {
        return Err(Error::argument(format!(
            "`layer_types` names {} layers, but `num_hidden_layers` is {count}",
            kinds.len()
        )));
    }
    Ok(Some(kinds))
}

/// Which layers have rotary embeddings at all.
fn rope_layers(f: Fields<'_>, family: Family, count: usize) -> Result<Vec<bool>> {
    if family != Family::SmolLm3 {
        return Ok(vec![true; count]);
    }
    if let Some(list) = f.list_or("no_rope_layers")? {
        // The list says where there *is* one.
        let flags: Option<Vec<bool>> = list.iter().map(|v| v.as_u64().map(|n| n != 0)).collect();
        return match flags {
            // It may be longer than the model.
            Some(flags) if flags.len() >= count => Ok(flags[..count].to_vec()),
            _ => Err(Error::argument(format!(
                "`no_rope_layers` must hold a 0 or 1 for each of the {count} layers (1: with rotary embedding)"
            ))),
        };
    }
    let interval = f.size_or("no_rope_layer_interval")?.ok_or_else(|| f.missing("no_rope_layers"))?;
    Ok((0..count).map(|i| !(i + 1).is_multiple_of(interval)).collect())
}
