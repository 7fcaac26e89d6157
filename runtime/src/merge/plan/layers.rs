//! What `config.json` says layer by layer, kept in step with the layers that slices take.

use serde_json::{Map, Value, json};

use crate::model::Config as ModelConfig;

/// Keys without "layer" in their name that hold a value for each layer.
const BY_LAYER: [&str; 4] = ["num_query_heads", "num_kv_heads", "ffn_multipliers", "block_configs"];

/// Keys that list the numbers of layers.
const NUMBERS: [&str; 5] =
    ["mlp_only_layers", "cross_attention_layers", "full_attn_idxs", "attn_layer_indices", "hybrid_layer_ids"];

/// The kinds of attention, where transformers looks for them.
const KINDS: &str = "layer_types";

/// Writes into `out`, the configuration of one of the inputs, what its lists by layer come to for a result whose layer
/// `i` is layer `sources[i].1` of the input `sources[i].0`.
pub(super) fn stacked(
    out: &mut Map<String, Value>,
    configs: &[Option<&Map<String, Value>>],
    sources: &[(usize, usize)],
    notices: &mut Vec<String>,
) {
    let mut lists: Vec<String> = Vec::new();
    for config in configs.iter().flatten() {
        let count = layers(config);
        let by_layer = |key: &str, value: &Value| {
            let named = key.contains("layer") || BY_LAYER.contains(&key);
            named && !NUMBERS.contains(&key) && value.as_array().is_some_and(|a| Some(a.len()) == count)
        };
        for (key, _) in config.iter().filter(|(key, value)| by_layer(key, value)) {
            if !lists.contains(key) {
                lists.push(key.clone());
            }
        }
        if !lists.iter().any(|key| key == KINDS) && kinds(config).is_some_and(|kinds| mixed(&kinds)) {
            lists.push(KINDS.to_string());
        }
    }
    let config = |input: usize| configs.get(input).copied().flatten();
    for key in lists {
        let made: Option<Vec<Value>> =
            sources.iter().map(|(input, layer)| value(config(*input)?, &key, *layer)).collect();
        match made {
            Some(values) => drop(out.insert(key, Value::Array(values))),
            None => {
                notices.push(format!(
                    "config.json of some of the models has {key} and that of others has not: the result has none"
                ));
                out.shift_remove(&key);
            }
        }
    }
    for key in NUMBERS {
        if out.get(key).is_some_and(Value::is_array) {
            let listed = |(input, layer): &(usize, usize)| {
                let list = config(*input).and_then(|c| c.get(key)).and_then(Value::as_array);
                list.is_some_and(|list| list.iter().any(|n| n.as_u64() == Some(*layer as u64)))
            };
            let made: Vec<usize> = (0..sources.len()).filter(|&i| listed(&sources[i])).collect();
            out.insert(key.to_string(), json!(made));
        }
    }
}

fn layers(config: &Map<String, Value>) -> Option<usize> {
    config.get("num_hidden_layers").and_then(Value::as_u64).map(|n| n as usize)
}

/// What a configuration says of one layer under a key.
fn value(config: &Map<String, Value>, key: &str, layer: usize) -> Option<Value> {
    match config.get(key) {
        Some(Value::Array(list)) => list.get(layer).cloned(),
        _ if key == KINDS => kinds(config)?.get(layer).map(|kind| json!(kind)),
        _ => None,
    }
}

/// The kind of attention of each layer, where the architecture tells it from other keys or from the layer's number.
fn kinds(config: &Map<String, Value>) -> Option<Vec<&'static str>> {
    let read = ModelConfig::from_json(&Value::Object(config.clone())).ok()?;
    let kind = |slides: bool| if slides { "sliding_attention" } else { "full_attention" };
    Some(read.layers.iter().map(|layer| kind(layer.window.is_some())).collect())
}

fn mixed(kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| *kind != kinds[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("a map").clone()
    }

    #[test]
    fn lists_follow_the_layers_that_are_taken() {
        let a =
            map(json!({"num_hidden_layers": 3, "layer_types": ["x", "y", "z"], "mlp_only_layers": [0, 2],
            "eos_token_id": [1, 2, 3], "num_kv_heads": [1, 2, 4]}));
        let b = map(json!({"num_hidden_layers": 2, "layer_types": ["p", "q"], "mlp_only_layers": []}));
        let (mut out, mut notices) = (a.clone(), Vec::new());
        stacked(&mut out, &[Some(&a), Some(&b)], &[(0, 2), (1, 1), (0, 0), (0, 2)], &mut notices);
        assert_eq!(out["layer_types"], json!(["z", "q", "x", "z"]));
        assert_eq!(out["mlp_only_layers"], json!([0, 2, 3]));
        assert_eq!(out["eos_token_id"], json!([1, 2, 3]));
        assert!(!out.contains_key("num_kv_heads"));
        assert_eq!(
            notices,
            [
                "config.json of some of the models has num_kv_heads and that of others has not: the result has none"
            ]
        );
    }
}
