//! Logits of every family: against candle-transformers where it has the family, and against a plain
//! composition with the settings that candle-transformers leaves out.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use candle_transformers::models;
use lota_runtime::data::Batch;
use lota_runtime::host::{Host, Rng};
use lota_runtime::model::Params;
use serde_json::{Value, json};

use crate::common::{decoder, difference, exec, params, tokens};
use crate::plain::Weights;
use crate::zoo;

/// Parameters as autograd variables by name, in f64: what is compared with them is right, and not
/// rounded in another way.
pub fn weights(params: &Params) -> Weights {
    let named = params.universe().specs().iter().zip(params.tensors());
    let variable =
        |t: &Tensor| t.to_dtype(DType::F64).and_then(|t| Var::from_tensor(&t)).expect("a variable");
    named.map(|(spec, t)| (spec.name.clone(), variable(t))).collect()
}

#[test]
fn logits_equal_the_plain_composition() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 1);
        let ids = tokens(&mut Rng::new(2), 14, decoder.config().vocab_size);
        let ours =
            decoder.logits(&exec(), &Host::default(), &params, &Batch::of_tokens(&[&ids])).expect("runs");
        let theirs = case.plain.logits(&weights(&params), &ids).expect("runs");
        let worst = difference(&ours, &theirs);
        assert!(worst <= 1e-4, "{}: logits differ by {worst}", case.name);
    }
}

type Forward = Box<dyn FnMut(&Tensor) -> candle_core::Result<Tensor>>;

/// candle-transformers' model of the same tensors: logits of the last position.
fn stock(json: &Value, vb: VarBuilder<'static>) -> candle_core::Result<Forward> {
    fn config<T: serde::de::DeserializeOwned>(json: &Value) -> T {
        serde_json::from_value(json.clone()).expect("candle reads the config")
    }
    /// candle lets a token see `window + 1` positions.
    fn narrower(json: &Value) -> Value {
        let mut json = json.clone();
        if let Some(n) = json["sliding_window"].as_u64() {
            json["sliding_window"] = json!(n - 1);
        }
        json
    }
    macro_rules! caching {
        ($model:expr, $clear:ident) => {{
            let mut model = $model;
            Box::new(move |ids: &Tensor| {
                model.$clear();
                model.forward(ids, 0)
            })
        }};
    }
    Ok(match json["model_type"].as_str().expect("a type") {
        "llama" => {
            let config = config::<models::llama::LlamaConfig>(json).into_config(false);
            let model = models::llama::Llama::load(vb, &config)?;
            Box::new(move |ids| {
                let mut cache = models::llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
                model.forward(ids, 0, &mut cache)
            })
        }
        "granite" => {
            let config = config::<models::granite::GraniteConfig>(json).into_config(false);
            let model = models::granite::Granite::load(vb, &config)?;
            Box::new(move |ids| {
                let mut cache = models::granite::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
                model.forward(ids, 0, &mut cache)
            })
        }
        "mistral" => caching!(models::mistral::Model::new(&config(&narrower(json)), vb)?, clear_kv_cache),
        "qwen2" => {
            caching!(models::qwen2::ModelForCausalLM::new(&config(&narrower(json)), vb)?, clear_kv_cache)
        }
        "qwen3" => caching!(models::qwen3::ModelForCausalLM::new(&config(json), vb)?, clear_kv_cache),
        "gemma" => caching!(models::gemma::Model::new(false, &config(json), vb)?, clear_kv_cache),
        "gemma2" => {
            caching!(models::gemma2::Model::new(false, &config(&narrower(json)), vb)?, clear_kv_cache)
        }
        "gemma3_text" => {
            caching!(models::gemma3::Model::new(false, &config(&narrower(json)), vb)?, clear_kv_cache)
        }
        "phi3" => caching!(models::phi3::Model::new(&config(json), vb)?, clear_kv_cache),
        "olmo2" => caching!(models::olmo2::Model::new(&config(json), vb)?, clear_kv_cache),
        "smollm3" => {
            caching!(models::smol::smollm3::ModelForCausalLM::new(&config(json), vb)?, clear_kv_cache)
        }
        other => panic!("no stock model for {other}"),
    })
}

fn assert_equals_stock(json: Value) {
    let decoder = decoder(&json);
    let params = params(&decoder, 3);
    let named = params.universe().specs().iter().zip(params.tensors());
    let tensors: HashMap<String, Tensor> = named.map(|(s, t)| (s.name.clone(), t.clone())).collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let mut stock = stock(&json, vb).unwrap_or_else(|e| panic!("{e}: {json}"));
    let ids = tokens(&mut Rng::new(4), 12, decoder.config().vocab_size);
    let ours = decoder.logits(&exec(), &Host::default(), &params, &Batch::of_tokens(&[&ids])).expect("runs");
    for len in 1..=ids.len() {
        let input = Tensor::new(&ids[..len], &Device::Cpu).and_then(|t| t.unsqueeze(0)).expect("ids");
        let theirs = stock(&input).and_then(|t| t.flatten_all()).expect("runs");
        let worst = difference(&ours.get(len - 1).expect("a row"), &theirs);
        assert!(worst <= 1e-4, "position {}: logits differ by {worst}: {json}", len - 1);
    }
}

#[test]
fn llama_equals_stock() {
    assert_equals_stock(zoo::tiny("llama", json!({})));
    assert_equals_stock(zoo::tiny(
        "llama",
        json!({"tie_word_embeddings": true, "num_key_value_heads": 1,
        "rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
    ));
}

#[test]
fn mistral_equals_stock() {
    assert_equals_stock(zoo::tiny("mistral", json!({"sliding_window": null})));
    assert_equals_stock(zoo::tiny("mistral", json!({"sliding_window": 4, "head_dim": 8})));
}

#[test]
fn qwen2_equals_stock() {
    let json = json!({"use_sliding_window": false, "sliding_window": 99, "max_window_layers": 9});
    assert_equals_stock(zoo::tiny("qwen2", json.clone()));
    let mut windowed = json;
    windowed["use_sliding_window"] = json!(true);
    windowed["sliding_window"] = json!(4);
    windowed["max_window_layers"] = json!(0);
    assert_equals_stock(zoo::tiny("qwen2", windowed));
}

#[test]
fn qwen3_equals_stock() {
    for tied in [false, true] {
        assert_equals_stock(zoo::tiny(
            "qwen3",
            json!({"head_dim": 8, "attention_bias": false, "use_sliding_window": false, "max_window_layers": 3,
                "tie_word_embeddings": tied}),
        ));
    }
}

#[test]
fn gemma_equals_stock() {
    assert_equals_stock(zoo::tiny(
        "gemma",
        json!({"head_dim": 8, "hidden_act": "gelu_pytorch_tanh", "attention_bias": false,
            "tie_word_embeddings": true}),
    ));
}

#[test]
fn gemma2_equals_stock() {
    assert_equals_stock(zoo::tiny(
        "gemma2",
        json!({"head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false,
            "tie_word_embeddings": true, "query_pre_attn_scalar": 8, "sliding_window": 40,
            "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    ));
}

/// With one key head: candle's cache takes no more.
#[test]
fn gemma3_equals_stock() {
    assert_equals_stock(zoo::tiny(
        "gemma3_text",
        json!({"head_dim": 8, "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false,
            "tie_word_embeddings": true, "query_pre_attn_scalar": 8, "sliding_window": 5, "num_key_value_heads": 1,
            "sliding_window_pattern": 2, "rope_theta": 1000000.0, "rope_local_base_freq": 100.0}),
    ));
}

#[test]
fn phi3_equals_stock() {
    assert_equals_stock(zoo::tiny("phi3", json!({"sliding_window": null})));
    assert_equals_stock(zoo::tiny("phi3", json!({"hidden_size": 32, "partial_rotary_factor": 0.5})));
}

#[test]
fn olmo2_equals_stock() {
    assert_equals_stock(zoo::tiny("olmo2", json!({"attention_bias": false})));
}

#[test]
fn smollm3_equals_stock() {
    assert_equals_stock(zoo::tiny(
        "smollm3",
        json!({"no_rope_layers": [1, 0, 1], "use_sliding_window": false}),
    ));
    assert_equals_stock(zoo::tiny(
        "smollm3",
        json!({"no_rope_layer_interval": 3, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}),
    ));
}

#[test]
fn granite_equals_stock_where_its_multipliers_are_neutral() {
    assert_equals_stock(zoo::tiny(
        "granite",
        json!({"attention_multiplier": 1.0 / 6f64.sqrt(), "embedding_multiplier": 1.0,
            "residual_multiplier": 1.0, "logits_scaling": 1.0}),
    ));
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 5);
        let mut rng = Rng::new(6);
        let sequences: Vec<Vec<u32>> = [7, 1, 12].iter().map(|&n| tokens(&mut rng, n, 37)).collect();
        let exec = exec();
        let packed =
            decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&sequences)).expect("runs");
        let mut at = 0;
        for ids in &sequences {
            let alone =
                decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&[ids])).expect("runs");
            let worst = difference(&packed.narrow(0, at, ids.len()).expect("rows"), &alone);
            assert!(worst <= 2e-5, "{}: packed logits differ by {worst}", case.name);
            at += ids.len();
        }
    }
}
