//! One tiny model of each family: its `config.json`, and its parts stated by hand.

use serde_json::{Value, json};

use crate::plain::{Plain, frequencies, llama3};

/// A family's tiny model.
pub struct Case {
    pub name: &'static str,
    pub json: Value,
    pub plain: Plain,
}

const LAYERS: usize = 3;

fn base(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 37, "hidden_size": 24, "intermediate_size": 40,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
    })
}

fn with(mut json: Value, more: Value) -> Value {
    let (Value::Object(object), Value::Object(more)) = (&mut json, more) else { panic!("objects") };
    for (key, value) in more {
        if value == json!("absent") {
            object.remove(&key);
        } else {
            object.insert(key, value);
        }
    }
    json
}

fn plain(head_dim: usize, rotary: &[f64]) -> Plain {
    Plain {
        heads: 4,
        kv_heads: 2,
        head_dim,
        eps: 1e-5,
        offset: false,
        norms: "pre",
        act: "silu",
        scale: 1.0 / (head_dim as f64).sqrt(),
        score_cap: None,
        logit_cap: None,
        logit_divisor: 1.0,
        embed_scale: 1.0,
        residual: 1.0,
        layers: vec![(None, Some(rotary.to_vec())); LAYERS],
    }
}

fn windows(plain: Plain, windows: [Option<usize>; LAYERS]) -> Plain {
    let layers = plain.layers.iter().zip(windows).map(|((_, rope), window)| (window, rope.clone()));
    Plain { layers: layers.collect(), ..plain.clone() }
}

/// All families, with settings that set them apart from each other and from defaults.
pub fn all() -> Vec<Case> {
    let case = |name, json, plain| Case { name, json, plain };
    let six = frequencies(10000.0, 6);
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16});
    vec![
        case("llama", base("llama"), plain(6, &six)),
        case(
            "llama, scaled as 3.1, biased, tied",
            with(
                base("llama"),
                json!({"rope_theta": 500.0, "rope_scaling": scaling, "attention_bias": true, "mlp_bias": true,
                    "tie_word_embeddings": true}),
            ),
            plain(6, &llama3(&frequencies(500.0, 6), 8.0, 1.0, 4.0, 16.0)),
        ),
        case(
            "llama, scaled linearly, wide heads",
            with(base("llama"), json!({"rope_scaling": {"type": "linear", "factor": 4.0}, "head_dim": 10})),
            plain(10, &frequencies(10000.0, 10).iter().map(|f| f / 4.0).collect::<Vec<_>>()),
        ),
        case(
            "mistral",
            with(base("mistral"), json!({"sliding_window": 5})),
            windows(plain(6, &six), [Some(5); LAYERS]),
        ),
        case(
            "qwen2",
            with(
                base("qwen2"),
                json!({"use_sliding_window": false, "sliding_window": 4,
            "max_window_layers": 1, "tie_word_embeddings": true}),
            ),
            plain(6, &six),
        ),
        case(
            "qwen2, windowed",
            with(
                base("qwen2"),
                json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1}),
            ),
            windows(plain(6, &six), [None, Some(4), Some(4)]),
        ),
        case(
            "qwen3",
            with(base("qwen3"), json!({"head_dim": 8, "attention_bias": false, "use_sliding_window": false})),
            plain(8, &frequencies(10000.0, 8)),
        ),
        case(
            "gemma",
            with(
                base("gemma"),
                json!({"head_dim": 8, "hidden_act": "gelu", "tie_word_embeddings": "absent",
                    "num_key_value_heads": 1}),
            ),
            Plain {
                kv_heads: 1,
                offset: true,
                act: "gelu_tanh",
                embed_scale: 24f64.sqrt(),
                ..plain(8, &frequencies(10000.0, 8))
            },
        ),
        case(
            "gemma2",
            with(
                base("gemma2"),
                json!({"head_dim": 8, "hidden_act": "absent", "hidden_activation": "gelu_pytorch_tanh",
                    "tie_word_embeddings": "absent", "query_pre_attn_scalar": 20, "sliding_window": 3,
                    "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}),
            ),
            Plain {
                offset: true,
                norms: "both",
                act: "gelu_tanh",
                embed_scale: 24f64.sqrt(),
                scale: 20f64.sqrt().recip(),
                score_cap: Some(3.0),
                logit_cap: Some(5.0),
                ..windows(plain(8, &frequencies(10000.0, 8)), [Some(3), None, Some(3)])
            },
        ),
        case("gemma3", gemma3(), gemma3_plain()),
        case(
            "phi3",
            with(
                base("phi3"),
                json!({"head_dim": "absent", "hidden_size": 32, "partial_rotary_factor": 0.5,
                "sliding_window": 6}),
            ),
            windows(plain(8, &frequencies(10000.0, 4)), [Some(6); LAYERS]),
        ),
        case(
            "olmo2",
            with(base("olmo2"), json!({"attention_bias": false})),
            Plain { norms: "post", ..plain(6, &six) },
        ),
        case(
            "smollm3",
            with(
                base("smollm3"),
                json!({"no_rope_layers": [1, 0, 1], "use_sliding_window": false, "tie_word_embeddings": "absent"}),
            ),
            Plain {
                layers: vec![(None, Some(six.clone())), (None, None), (None, Some(six.clone()))],
                ..plain(6, &six)
            },
        ),
        case(
            "granite",
            with(
                base("granite"),
                json!({"attention_multiplier": 0.3, "embedding_multiplier": 2.0, "residual_multiplier": 0.4,
                    "logits_scaling": 3.0, "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": true}),
            ),
            Plain { scale: 0.3, embed_scale: 2.0, residual: 0.4, logit_divisor: 3.0, ..plain(6, &six) },
        ),
    ]
}

/// Phi-3 with frequencies of their own for sequences of more than `original` tokens. The factor on cosines
/// and sines is stated as 1.
pub fn phi3_long(original: usize) -> Value {
    with(
        base("phi3"),
        json!({"max_position_embeddings": 128, "original_max_position_embeddings": original, "rope_scaling":
            {"type": "longrope", "short_factor": [1.5, 2.0, 4.0], "long_factor": [3.0, 6.0, 9.0],
            "attention_factor": 1.0}}),
    )
}

/// Gemma 3 as its first configurations spell it.
pub fn gemma3() -> Value {
    with(
        base("gemma3_text"),
        json!({"head_dim": 8, "hidden_act": "absent", "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": "absent", "query_pre_attn_scalar": 12, "sliding_window": 3,
            "sliding_window_pattern": 3, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "attn_logit_softcapping": null,
            "final_logit_softcapping": null, "attention_bias": false}),
    )
}

/// The same as recent transformers spells it.
pub fn gemma3_recent() -> Value {
    with(
        gemma3(),
        json!({"sliding_window_pattern": "absent", "rope_theta": "absent", "rope_local_base_freq": "absent",
            "rope_scaling": "absent", "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}),
    )
}

fn gemma3_plain() -> Plain {
    let local = frequencies(10000.0, 8);
    let global: Vec<f64> = frequencies(1e6, 8).iter().map(|f| f / 8.0).collect();
    Plain {
        offset: true,
        norms: "both",
        act: "gelu_tanh",
        embed_scale: 24f64.sqrt(),
        scale: 12f64.sqrt().recip(),
        layers: vec![(Some(3), Some(local.clone())), (Some(3), Some(local)), (None, Some(global))],
        ..plain(8, &[])
    }
}

/// A tiny configuration of a type, changed; `"absent"` removes a key.
pub fn tiny(model_type: &str, more: Value) -> Value {
    with(base(model_type), more)
}
