//! What `quantization_config` in a `config.json` says of the stored weights: nothing, scales of 8-bit floats, which are
//! read, or a form that is not read, which is refused by its name.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// How stored weights become numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quantization {
    /// What it is called, as in `quant_method`.
    pub(crate) method: String,
    /// Rows and columns of the blocks that share a scale, where the configuration says so.
    pub(crate) block: Option<[usize; 2]>,
    /// Whether numbers are rounded to the type of the scales.
    pub(crate) rounded: bool,
}

/// The methods whose weights are 8-bit floats with scales.
const FLOATS: [&str; 3] = ["fp8", "fbgemm_fp8", "mxfp8"];

/// What the other methods are called by people; any other goes by its own name.
const NAMES: [(&str, &str); 14] = [
    ("bitsandbytes", "bitsandbytes"),
    ("gptq", "GPTQ"),
    ("awq", "AWQ"),
    ("aqlm", "AQLM"),
    ("auto-round", "AutoRound"),
    ("intel/auto-round", "AutoRound"),
    ("bitnet", "BitNet, whose layers round their inputs too"),
    ("compressed-tensors", "compressed-tensors"),
    ("eetq", "EETQ"),
    ("hqq", "HQQ"),
    ("modelopt", "ModelOpt"),
    ("mxfp4", "MXFP4"),
    ("quanto", "Quanto"),
    ("torchao", "torchao"),
];

/// The ends of names of tensors that tell a form which no configuration beside them need mention.
const SIGNS: [(&str, &str); 8] = [
    (".qweight", "GPTQ or AWQ"),
    (".weight.absmax", "bitsandbytes"),
    (".weight.quant_map", "bitsandbytes"),
    (".weight.quant_state.bitsandbytes__nf4", "bitsandbytes"),
    (".weight.quant_state.bitsandbytes__fp4", "bitsandbytes"),
    (".weight.SCB", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".weight_packed", "compressed-tensors"),
];

impl Quantization {
    /// What the object of a `config.json` says; `None` if the weights are stored plainly.
    ///
    /// # Errors
    ///
    /// They are stored in a form that is not read: its name.
    pub(crate) fn of(config: &Map<String, Value>) -> Result<Option<Self>> {
        let text = config.get("text_config").and_then(Value::as_object);
        let keys = ["quantization_config", "compression_config"];
        let mut found =
            [Some(config), text].into_iter().flatten().flat_map(|map| keys.map(|key| (key, map.get(key))));
        let Some((key, settings)) =
            found.find_map(|(key, value)| Some((key, value.filter(|v| !v.is_null())?)))
        else {
            return Ok(None);
        };
        let settings = settings
            .as_object()
            .ok_or_else(|| Error::argument(format!("{key} is {settings}, which is not an object")))?;
        if settings.is_empty() {
            return Ok(None);
        }
        let method = method(key, settings);
        if FLOATS.contains(&method) {
            return Ok(Some(Self {
                method: method.to_string(),
                block: block(key, settings)?,
                rounded: false,
            }));
        }
        if method == "compressed-tensors" && plain_floats(settings) {
            return Ok(Some(Self { method: method.to_string(), block: None, rounded: true }));
        }
        let name = NAMES.iter().find(|(known, _)| *known == method).map_or(method, |(_, name)| *name);
        Err(refused(name, &format!(", by {key} of config.json")))
    }
}

/// An error if one of these tensors is part of a form that is not read.
pub(crate) fn refuse_quantized<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for name in names {
        if let Some((_, form)) = SIGNS.iter().find(|(end, _)| name.ends_with(end)) {
            return Err(refused(form, &format!(": it has a tensor {name}")));
        }
    }
    Ok(())
}

fn refused(name: &str, why: &str) -> Error {
    Error::argument(format!(
        "the checkpoint is quantised ({name}){why}, and weights in this form are not read: use the model that it was made \
         of, or save it dequantised"
    ))
}

/// The method as the settings name it, or what they show it to be.
fn method<'a>(key: &str, settings: &'a Map<String, Value>) -> &'a str {
    let flag = |name: &str| settings.get(name).and_then(Value::as_bool) == Some(true);
    match settings.get("quant_method").and_then(Value::as_str) {
        Some(method) => method,
        None if flag("load_in_4bit") || flag("load_in_8bit") => "bitsandbytes",
        None if settings.contains_key("quant_algo") || settings.contains_key("producer") => "modelopt",
        None if key == "compression_config" || settings.contains_key("config_groups") => "compressed-tensors",
        None => "of a method that it does not name",
    }
}

fn block(key: &str, settings: &Map<String, Value>) -> Result<Option<[usize; 2]>> {
    let Some(value) = settings.get("weight_block_size").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let sizes: Option<Vec<usize>> = value
        .as_array()
        .and_then(|list| list.iter().map(|n| usize::try_from(n.as_u64()?).ok().filter(|n| *n > 0)).collect());
    match sizes.as_deref() {
        Some(&[rows, columns]) => Ok(Some([rows, columns])),
        _ => Err(Error::argument(format!(
            "{key}: weight_block_size is {value}, not the rows and columns of a block"
        ))),
    }
}

/// Whether settings of compressed-tensors say that all that is quantised are 8-bit floats with a scale for each tensor or
/// each row.
fn plain_floats(settings: &Map<String, Value>) -> bool {
    let groups = settings.get("config_groups").and_then(Value::as_object);
    let plain = |group: &Value| {
        let weights = &group["weights"];
        weights["num_bits"] == 8
            && weights["type"] == "float"
            && matches!(weights["strategy"].as_str(), Some("tensor" | "channel"))
            && weights["symmetric"] != false
    };
    let sparse =
        settings.get("sparsity_config").and_then(|s| s["format"].as_str()).is_some_and(|f| f != "dense");
    let transformed = settings
        .get("transform_config")
        .and_then(|t| t["config_groups"].as_object())
        .is_some_and(|groups| !groups.is_empty());
    settings.get("format").and_then(Value::as_str) == Some("float-quantized")
        && groups.is_some_and(|groups| !groups.is_empty() && groups.values().all(plain))
        && !sparse
        && !transformed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(config: Value) -> Result<Option<Quantization>, String> {
        Quantization::of(config.as_object().expect("an object")).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        for (settings, name) in [
            (json!({"quant_method": "bitsandbytes", "load_in_4bit": true}), "bitsandbytes"),
            (json!({"load_in_8bit": true}), "bitsandbytes"),
            (json!({"quant_method": "gptq", "bits": 4}), "GPTQ"),
            (json!({"quant_method": "awq"}), "AWQ"),
            (json!({"quant_method": "bitnet"}), "BitNet, whose layers round their inputs too"),
            (json!({"quant_method": "compressed-tensors", "format": "pack-quantized"}), "compressed-tensors"),
            (json!({"quant_method": "something_new"}), "something_new"),
            (json!({"bits": 3}), "of a method that it does not name"),
        ] {
            let told =
                format!("the checkpoint is quantised ({name}), by quantization_config of config.json, ");
            let error = of(json!({"quantization_config": settings})).expect_err("is refused");
            assert!(error.starts_with(&told), "{error}");
            assert!(of(json!({"text_config": {"quantization_config": settings}})).is_err());
        }
        for plain in [json!({}), json!({"quantization_config": null}), json!({"quantization_config": {}})] {
            assert_eq!(of(plain), Ok(None));
        }
        let error = of(json!({"quantization_config": 4})).expect_err("no object");
        assert_eq!(error, "quantization_config is 4, which is not an object");
    }

    #[test]
    fn floats_with_scales_are_read() {
        let fp8 = |block: Value| {
            of(json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": block}}))
        };
        assert_eq!(fp8(json!([128, 64])).expect("reads").expect("is one").block, Some([128, 64]));
        assert_eq!(fp8(Value::Null).expect("reads").expect("is one").block, None);
        for wrong in [json!([0, 1]), json!([1]), json!("x")] {
            assert!(fp8(wrong).expect_err("no block").contains("not the rows and columns of a block"));
        }
        let group = |weights: Value| {
            of(json!({"quantization_config": {
                "quant_method": "compressed-tensors", "format": "float-quantized",
                "config_groups": {"group_0": {"weights": weights}},
            }}))
        };
        let channel = json!({"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true});
        assert!(group(channel).expect("reads").expect("is one").rounded);
        assert!(group(json!({"num_bits": 8, "type": "int", "strategy": "channel"})).is_err());
        assert!(group(json!({"num_bits": 8, "type": "float", "strategy": "group"})).is_err());
    }

    #[test]
    fn tensors_tell_what_no_configuration_says() {
        let told = |name: &str| refuse_quantized([name]).map_err(|e| e.to_string());
        let error = told("model.layers.0.self_attn.q_proj.qweight").expect_err("is refused");
        assert!(
            error
                .contains("quantised (GPTQ or AWQ): it has a tensor model.layers.0.self_attn.q_proj.qweight")
        );
        assert!(told("model.layers.0.mlp.up_proj.weight.absmax").is_err());
        told("model.layers.0.self_attn.q_proj.weight").expect("is plain");
    }
}
