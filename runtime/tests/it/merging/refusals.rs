//! Inputs and configurations that do not fit, and what is said of them.

use std::collections::BTreeMap;

use serde_json::json;

use super::{config, four, input, refusal, single};

#[test]
fn inputs_that_a_method_does_not_take_are_refused() {
    let inputs = four(8, 1);
    let texts: Vec<String> = [
        config("ties", None, &["a", "b"], json!({"weight": 1}), json!({})),
        config("slerp", Some("base"), &["a", "b"], json!({}), json!({"t": 0.5})),
        config("model_stock", Some("base"), &["a"], json!({}), json!({})),
        config("nuslerp", Some("base"), &["a"], json!({"weight": 1}), json!({})),
        config("passthrough", None, &["a", "b"], json!({}), json!({})),
        config("linear", None, &["a", "a"], json!({"weight": 1}), json!({})),
        config("linear", Some("base"), &["a"], json!({"weight": 1}), json!({})),
        config("linear", None, &["a", "b"], json!({"weight": 0}), json!({})),
        config("tise", Some("base"), &["a"], json!({}), json!({})),
    ]
    .iter()
    .map(|config| refusal(config, &inputs))
    .collect();
    assert_eq!(
        texts,
        [
            "ties needs a base model: say base_model",
            "slerp takes exactly 2 models, and is given 3",
            "model_stock takes at least 3 models, and is given 2",
            "nuslerp takes exactly 2 models besides the base, and is given 1",
            "passthrough takes exactly 1 model, and is given 2",
            "linear is given a twice",
            "parameter \"weight\" of base is not set for w, and has no default: how much of the model goes in",
            "linear: the weights for w add up to 0, and cannot be normalized: change them, or set normalize to false",
            "no merge method is called \"tise\"; did you mean \"ties\"?; known are linear, slerp, nuslerp, multislerp, \
             karcher, task_arithmetic, ties, dare_linear, dare_ties, della, della_linear, breadcrumbs, breadcrumbs_ties, \
             sce, model_stock, nearswap, arcee_fusion, ram, ramplus_tl, passthrough, disjoint, overlap_ties, magmax",
        ]
    );
}

#[test]
fn parameters_that_mean_nothing_are_refused() {
    let inputs = four(8, 1);
    let refused = |method: &str, each, all| {
        let (base, models): (_, &[&str]) = match method {
            "nearswap" => (Some("base"), &["base", "a"]),
            "karcher" | "multislerp" => (None, &["a", "b"]),
            _ => (Some("base"), &["a", "b"]),
        };
        refusal(&config(method, base, models, each, all), &inputs)
    };
    for method in
        ["ties", "dare_ties", "dare_linear", "della", "breadcrumbs", "breadcrumbs_ties", "task_arithmetic"]
    {
        for density in [2.0, -0.1] {
            assert_eq!(
                refused(method, json!({"weight": 1, "density": density}), json!({})),
                format!("parameter \"density\": must be from 0 to 1, not {density}"),
                "{method}"
            );
        }
    }
    let least = |name: &str| format!("parameter {name:?}: must be at least 0, not -1");
    let fraction = |name: &str| format!("parameter {name:?}: must be from 0 to 1, not -1");
    assert_eq!(refused("breadcrumbs", json!({"weight": 1, "gamma": -1}), json!({})), fraction("gamma"));
    assert_eq!(refused("della", json!({"weight": 1, "epsilon": -1}), json!({})), fraction("epsilon"));
    assert_eq!(refused("sce", json!({}), json!({"select_topk": -1})), fraction("select_topk"));
    assert_eq!(refused("nearswap", json!({}), json!({"t": -1})), least("t"));
    assert_eq!(refused("ram", json!({}), json!({"epsilon": -1})), least("epsilon"));
    assert_eq!(refused("karcher", json!({}), json!({"tol": -1})), least("tol"));
    assert_eq!(refused("multislerp", json!({"weight": 1}), json!({"eps": -1})), least("eps"));
    assert_eq!(
        refused("karcher", json!({}), json!({"max_iter": 0})),
        "parameter \"max_iter\": must be at least 1, not 0"
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let inputs = four(8, 1);
    let mut texts = Vec::new();
    for config in [
        json!({"merge_methd": "ties", "models": [{"model": "a"}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"modle": "a"}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a", "parameters": {"wieght": 1}}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}], "slices": [{}]}),
        json!({"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}], "dtype": "int4"}),
        json!({"merge_method": "linear", "slices": [{"sources": [{"model": "a", "layer_range": [2, 1]}]}]}),
        json!({"merge_method": "linear", "models": [{"model": "a"}], "tokenizer": {"source": "base", "pad": 8}}),
    ] {
        texts.push(refusal(&config, &inputs));
    }
    assert_eq!(
        texts,
        [
            "the configuration: unknown key \"merge_methd\"; did you mean \"merge_method\"?",
            "models[0]: unknown key \"modle\"; did you mean \"model\"?",
            "models[0].parameters: unknown parameter \"wieght\"; did you mean \"weight\"?",
            "exactly one of models, slices and modules must be there, and models and slices are",
            "dtype \"int4\" is not known: use float32, bfloat16 or float16",
            "slices[0].sources[0].layer_range: must be [first, one after the last], and [2, 1] ends before it begins",
            "tokenizer: unknown key \"pad\"; known are source, tokens, pad_to_multiple_of",
        ]
    );
}

#[test]
fn tensors_that_do_not_fit_are_named_before_any_work() {
    let inputs = [
        single("a", &[4, 2], &[0.0; 8]),
        single("b", &[2, 4], &[0.0; 8]),
        input("c", BTreeMap::from([("v".to_string(), (vec![8], vec![0.0; 8]))])),
    ];
    let linear = |models: &[&str]| config("linear", None, models, json!({"weight": 1}), json!({}));
    assert_eq!(
        refusal(&linear(&["a", "b"]), &inputs),
        "these models cannot be merged: w has shape [4, 2] in a and [2, 4] in b"
    );
    let text = refusal(&linear(&["a", "c"]), &inputs);
    assert_eq!(
        text,
        "these models cannot be merged, for 2 reasons:\n  - a has no tensor v\n  - c has no tensor w"
    );
}

#[test]
fn errors_of_a_configuration_begin_with_the_path() {
    let inputs = four(8, 1);
    let linear = |key: &str, value: serde_json::Value| {
        let mut config = json!({"merge_method": "linear", "models": [{"model": "a"}]});
        config[key] = value;
        config
    };
    let sliced = |source: serde_json::Value| json!({"merge_method": "linear", "slices": [{"sources": [{"model": "a", "layer_range": [0, 1]}, source]}]});
    for (config, expected) in [
        (
            json!({"models": [{"model": "a"}]}),
            "the configuration has no merge_method, ties or linear for example",
        ),
        (linear("merge_method", json!(3)), "merge_method: must be a string, not 3"),
        (linear("models", json!({"model": "a"})), "models: must be a list, not a map"),
        (linear("models", json!([])), "models: must be a list with one entry at least"),
        (linear("models", json!([{"parameters": {"weight": 1}}])), "models[0]: has no model"),
        (linear("models", json!(["a"])), "models[0]: must be a map with model, not \"a\""),
        (
            linear("models", json!([{"model": 7}])),
            "models[0].model: must be the path or the id of a model, not 7",
        ),
        (linear("models", json!([{"model": ""}])), "models[0].model: a model needs a path or an id"),
        (
            linear("models", json!([{"model": "a+"}])),
            "models[0].model: an adapter needs a path or an id after the +",
        ),
        (linear("models", json!([{"model": {"lora": "x"}}])), "models[0].model: says no model"),
        (
            linear("models", json!([{"model": {"model": {"pth": "x"}}}])),
            "models[0].model.model: unknown key \"pth\"; did you mean \"path\"?",
        ),
        (
            linear("models", json!([{"model": "a", "parameters": 3}])),
            "models[0].parameters: must be a map, not 3",
        ),
        (
            sliced(json!({"model": "b", "layer_range": [0, 1.5]})),
            "slices[0].sources[1].layer_range[1]: must be a whole number, not 1.5",
        ),
        (
            sliced(json!({"model": "b", "layer_range": [0, 1, 2]})),
            "slices[0].sources[1].layer_range: must be [first, one after the last], and has 3 numbers",
        ),
        (
            sliced(json!({"model": "b", "layer_range": "all"})),
            "slices[0].sources[1].layer_range: must be [first, one after the last], not \"all\"",
        ),
        (sliced(json!({"model": "b"})), "slices[0].sources[1]: has no layer_range"),
        (
            sliced(json!({"model": "b", "layer_range": [0, 2]})),
            "slices[0]: the sources have 1, 2 layers, and must have the same number",
        ),
        (
            json!({"merge_method": "linear", "slices": [{"sources": [{"model": "a", "layer_range": [2, 2]}]}]}),
            "slices: the result would have no layer",
        ),
        (
            linear("tokenizer", json!({"pad_to_multiple_of": 0})),
            "tokenizer.pad_to_multiple_of: must be a whole number above 0, not 0",
        ),
        (
            linear("tokenizer", json!({"tokens": {"<a.b>": {"sorce": "a"}}})),
            "tokenizer.tokens[\"<a.b>\"]: unknown key \"sorce\"; did you mean \"source\"?",
        ),
        (
            linear("tokenizer", json!({"tokens": {"x": {"source": {"kind": "zro"}}}})),
            "tokenizer.tokens.x.source: kind must be zero, or model_token with a model and either token or token_id",
        ),
        (
            linear("tokenizer", json!({"tokens": {"x": {"force": "maybe"}}})),
            "tokenizer.tokens.x.force: must be true or false, not \"maybe\"",
        ),
        (
            linear("out_dtype", json!("int4")),
            "out_dtype \"int4\" is not known: use float32, bfloat16 or float16",
        ),
        (
            json!({"merge_method": "linear", "modules": {"default": {"models": [{"model": "a", "lr": 1}]}}}),
            "modules.default.models[0]: unknown key \"lr\"; known are model, parameters",
        ),
    ] {
        assert_eq!(refusal(&config, &inputs), expected);
    }
}

#[test]
fn tables_that_the_configuration_gives_may_be_missing_in_some_models() {
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    let of = |label: &str, table: bool| {
        let mut all = BTreeMap::from([("model.layers.0.mlp.w".to_string(), (vec![2], vec![1.0, 2.0]))]);
        if table {
            all.insert(name.to_string(), (vec![2], vec![1.0, 0.5]));
        }
        input(label, all)
    };
    let linear = config("linear", None, &["a", "b"], json!({"weight": 1}), json!({}));
    let tensors = |inputs: &[_]| super::plan(&linear, inputs).expect("plans").tensors();
    assert_eq!(tensors(&[of("a", true), of("b", false)]), 1);
    assert_eq!(tensors(&[of("a", true), of("b", true)]), 2);
}
