//! Configurations in the spellings found in the wild, and errors that name what is missing.

use lota_runtime::model::Config;
use lota_runtime::model::config::{Family, RopeScaling};
use serde_json::{Value, json};

use crate::zoo;

fn parse(json: &Value) -> Config {
    Config::from_json(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

fn error(json: &Value) -> String {
    Config::from_json(json).expect_err("is wrong").to_string()
}

#[test]
fn both_spellings_of_rotary_embeddings_mean_the_same() {
    let old = zoo::tiny(
        "llama",
        json!({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "linear",
        "factor": 2.0}}),
    );
    let new = zoo::tiny(
        "llama",
        json!({"rope_theta": "absent", "rope_parameters": {"rope_type": "linear",
        "factor": 2.0, "rope_theta": 500000.0}}),
    );
    assert_eq!(parse(&old).ropes, parse(&new).ropes);
    assert_eq!(parse(&old).ropes[0].theta, 500000.0);
    assert_eq!(parse(&old).ropes[0].scaling, RopeScaling::Linear { factor: 2.0 });

    let (old, new) = (parse(&zoo::gemma3()), parse(&zoo::gemma3_recent()));
    assert_eq!((&old.ropes, &old.layers), (&new.ropes, &new.layers));
    assert_eq!(old.ropes.iter().map(|r| r.theta).collect::<Vec<_>>(), [10000.0, 1000000.0]);
    assert_eq!(old.layers.iter().map(|l| l.window).collect::<Vec<_>>(), [Some(3), Some(3), None]);

    let partial = zoo::tiny(
        "phi3",
        json!({"rope_theta": "absent", "num_attention_heads": 3, "num_key_value_heads":
        3, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    );
    assert_eq!(parse(&partial).ropes[0].dims, 4);
}

#[test]
fn an_absent_value_is_an_error_that_names_it() {
    for key in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
        "hidden_act",
    ] {
        let text = error(&zoo::tiny("llama", json!({key: "absent"})));
        assert!(text.contains(&format!("`{key}`")), "`{text}` does not name {key}");
    }
    let gemma2 = json!({"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4,
        "hidden_activation": "gelu_pytorch_tanh", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0});
    assert!(Config::from_json(&zoo::tiny("gemma2", gemma2.clone())).is_ok());
    for key in gemma2.as_object().expect("an object").keys() {
        let mut less = gemma2.clone();
        less[key] = json!("absent");
        let text = error(&zoo::tiny("gemma2", less));
        assert!(text.contains(&format!("`{key}`")), "`{text}` does not name {key}");
    }
    for (family, key) in [
        ("mistral", "num_key_value_heads"),
        ("qwen3", "head_dim"),
        ("granite", "attention_multiplier"),
        ("smollm3", "no_rope_layers"),
        ("gemma3_text", "head_dim"),
    ] {
        let text = error(&zoo::tiny(family, json!({key: "absent"})));
        assert!(text.contains(&format!("`{key}`")), "`{text}` does not name {key}");
    }
    let mut recent = zoo::gemma3_recent();
    recent["rope_parameters"].as_object_mut().expect("an object").remove("sliding_attention");
    assert!(error(&recent).contains("`sliding_attention`"));
    recent["rope_parameters"]["sliding_attention"] = json!({"rope_type": "default"});
    assert!(error(&recent).contains("`rope_theta`"));
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let text = error(&zoo::tiny("gpt2", json!({})));
    assert!(text.contains("`gpt2`") && text.contains("llama, mistral, qwen2"), "{text}");
    let text = error(&zoo::tiny("llama", json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})));
    assert!(text.contains("`yarn`") && text.contains("llama3"), "{text}");
    assert!(error(&zoo::tiny("llama", json!({"hidden_act": "relu"}))).contains("`relu`"));
    assert!(error(&zoo::tiny("llama", json!({"hidden_size": "many"}))).contains("`hidden_size`"));
    assert!(error(&zoo::tiny("llama", json!({"num_key_value_heads": 3}))).contains("multiple"));
    assert!(
        error(&zoo::tiny(
            "qwen2",
            json!({"use_sliding_window": true, "sliding_window": 4,
        "layer_types": ["full_attention"]})
        ))
        .contains("`layer_types`")
    );
    assert!(error(&json!([])).contains("object"));
    assert!(error(&json!({})).contains("`model_type`"));
}

#[test]
fn long_ropes_have_frequencies_for_short_and_long_sequences() {
    let mut json = zoo::phi3_long(32);
    let rope = parse(&json).ropes.remove(0);
    assert_eq!((rope.switches_above(), rope.attention_factor()), (Some(32), 1.0));
    assert_eq!(rope.frequencies_for(32), rope.frequencies());
    let (short, long) = (rope.frequencies_for(32), rope.frequencies_for(33));
    assert_eq!((short[0], long[0]), (1.0 / 1.5, 1.0 / 3.0));
    json["rope_scaling"].as_object_mut().expect("an object").remove("attention_factor");
    let expected = (1.0 + 4f64.ln() / 32f64.ln()).sqrt() as f32;
    assert_eq!(parse(&json).ropes[0].attention_factor(), expected);
    json["rope_scaling"]["long_factor"] = json!([1.0]);
    assert!(error(&json).contains("`long_factor`"));
    json["original_max_position_embeddings"] = json!(null);
    assert!(error(&json).contains("`original_max_position_embeddings`"));
}

#[test]
fn an_architecture_can_stand_for_the_type() {
    let json = zoo::tiny("llama", json!({"model_type": "absent", "architectures": ["LlamaForCausalLM"]}));
    assert_eq!(parse(&json).family, Family::Llama);
    let wrapped = json!({"model_type": "gemma3", "text_config": zoo::gemma3()});
    assert_eq!(parse(&wrapped).family, Family::Gemma3);
}

#[test]
fn a_config_is_written_back_as_it_was_read() {
    for case in zoo::all() {
        let config = parse(&case.json);
        assert_eq!(Value::Object(config.json().clone()), case.json);
        let written = config.to_json("bfloat16");
        assert_eq!(written["torch_dtype"], "bfloat16");
        let again = parse(&written);
        assert_eq!((&again.layers, &again.ropes), (&config.layers, &config.ropes), "{}", case.name);
    }
    let config = parse(&zoo::tiny("llama", json!({"eos_token_id": [2, 5], "dtype": "float32"})));
    assert_eq!((config.bos, config.eos.as_slice()), (Some(1), [2, 5].as_slice()));
    assert_eq!(config.to_json("bfloat16")["dtype"], "bfloat16");
}

#[test]
fn what_would_change_the_result_and_is_not_done_is_refused() {
    let scaled = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0});
    let sliding = json!(["sliding_attention", "full_attention", "full_attention"]);
    let gemma2 = json!({"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4, "hidden_act": "absent",
        "hidden_activation": "gelu_pytorch_tanh", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0});
    let gemma2 = |more: Value| {
        let mut all = gemma2.clone();
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        zoo::tiny("gemma2", all)
    };
    let mut gemma3 = zoo::gemma3();
    gemma3["attn_logit_softcapping"] = json!(30.0);
    let mut flat = zoo::gemma3();
    flat["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1e6});
    flat["rope_scaling"] = json!(null);
    for (json, named) in [
        (
            zoo::tiny("llama", json!({"rope_scaling": scaled, "rope_parameters": {"rope_theta": 1.0}})),
            "rope_scaling",
        ),
        (zoo::tiny("llama", json!({"partial_rotary_factor": 0.5})), "partial_rotary_factor"),
        (zoo::tiny("llama", json!({"is_causal": false})), "is_causal"),
        (zoo::tiny("llama", json!({"layer_types": sliding, "sliding_window": 4})), "layer_types"),
        (zoo::tiny("mistral", json!({"layer_types": sliding, "sliding_window": 4})), "layer_types"),
        (zoo::tiny("mistral", json!({})), "sliding_window"),
        (zoo::tiny("qwen2", json!({"layer_types": sliding, "use_sliding_window": false})), "layer_types"),
        (gemma2(json!({"use_bidirectional_attention": true})), "use_bidirectional_attention"),
        (gemma2(json!({"hidden_activation": "absent", "hidden_act": "silu"})), "hidden_activation"),
        (zoo::tiny("gemma", json!({"head_dim": 8, "hidden_activation": "gelu"})), "hidden_activation"),
        (gemma3, "attn_logit_softcapping"),
        (flat, "rope_parameters"),
        (
            zoo::tiny("qwen2", json!({"rope_parameters": {"full_attention": {"rope_theta": 500.0}}})),
            "rope_parameters",
        ),
    ] {
        let text = error(&json);
        assert!(text.contains(&format!("`{named}`")), "`{text}` does not name {named}: {json}");
    }
    // What changes nothing is no error.
    let same = json!(["sliding_attention", "sliding_attention", "sliding_attention"]);
    parse(&zoo::tiny("mistral", json!({"layer_types": same, "sliding_window": 4})));
    parse(&zoo::tiny("mistral", json!({"sliding_window": null})));
    parse(&zoo::tiny("llama", json!({"hidden_activation": "relu", "num_key_value_heads": null})));
    let dropout = parse(&zoo::tiny("llama", json!({"attention_dropout": 0.1})));
    assert_eq!(dropout.not_done(), ["attention_dropout is 0.1, but training here has no dropout"]);
}

#[test]
fn long_ropes_grow_by_the_factor_that_is_stated() {
    let mut json = zoo::phi3_long(32);
    json["rope_scaling"]["attention_factor"] = json!(null);
    json["rope_scaling"]["factor"] = json!(8.0);
    let expected = (1.0 + 8f64.ln() / 32f64.ln()).sqrt() as f32;
    assert_eq!(parse(&json).ropes[0].attention_factor(), expected);
    // The length at the top comes before the one inside.
    json["rope_scaling"]["original_max_position_embeddings"] = json!(16);
    assert_eq!(parse(&json).ropes[0].switches_above(), Some(32));
}

#[test]
fn layers_without_positions_are_those_with_a_window() {
    let json = zoo::tiny(
        "smollm3",
        json!({"no_rope_layers": [1, 0, 1, 1], "use_sliding_window": true, "sliding_window": 4}),
    );
    let layers = parse(&json).layers;
    assert_eq!(layers.iter().map(|l| l.window).collect::<Vec<_>>(), [None, Some(4), None]);
    assert_eq!(layers.iter().map(|l| l.rope.is_some()).collect::<Vec<_>>(), [true, false, true]);
}
