//! An adapter's configuration (`adapter_config.json`): which kind it is, and the scale of each
//! module.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// What an adapter's configuration says, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The model it was trained on, as its trainer named it.
    pub base: Option<String>,
    /// The rank where no pattern says another.
    pub rank: usize,
    /// The numerator of the scale where no pattern says another.
    pub alpha: f64,
    /// Scale by alpha / sqrt(rank) instead of alpha / rank (arXiv 2312.03732).
    pub rslora: bool,
    /// Weights are stored as `[in, out]`.
    pub fan_in_fan_out: bool,
    /// The modules, or a pattern of their names, as the file has it.
    pub targets: Value,
    /// The layers that have factors, if not all.
    pub layers: Option<Vec<u64>>,
    /// Ranks of modules whose name, or the end of it after a dot, matches a regular expression; the first one counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// The same for alpha.
    pub alpha_pattern: Vec<(String, f64)>,
    /// The modules that were trained in full.
    pub saved: Vec<String>,
    /// Which biases were trained: `all`, `lora_only` or, as in most, none.
    pub bias: Option<String>,
}

/// What changes nothing in what the factors mean: how they were begun, trained or are kept.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
    "velora_config",
];

/// What makes an adapter something else than `scale * B A`, and what it is called.
const OTHERS: &[(&str, &str)] = &[
    ("use_dora", "DoRA"),
    ("lora_bias", "a bias in its factors"),
    ("use_qalora", "QALoRA"),
    ("use_bdlora", "BD-LoRA"),
    ("kasa_config", "KaSA"),
    ("arrow_config", "Arrow"),
    ("monteclora_config", "MonteCLoRA"),
    ("alora_invocation_tokens", "activated LoRA, which holds for some tokens only"),
    ("layer_replication", "layers that are replicated"),
    ("target_parameters", "parameters outside linear modules"),
    ("trainable_token_indices", "single rows of the embedding"),
    ("megatron_config", "modules of Megatron"),
];

impl Config {
    /// Reads a configuration; an error says what it asks for that is not done.
    pub fn from_json(json: &Value) -> Result<Self> {
        let Some(map) = json.as_object() else { return Err(Error::argument("is not a JSON object")) };
        let kind = map.get("peft_type").and_then(Value::as_str);
        match kind {
            Some("LORA") => {}
            Some(other) => {
                return Err(Error::argument(format!("is an adapter of type {other}; only LORA is read")));
            }
            None => return Err(Error::argument("has no peft_type: it is no configuration of an adapter")),
        }
        for (key, what) in OTHERS {
            if map.get(*key).is_some_and(asks) {
                return Err(Error::argument(format!("{key}: uses {what}, which is not read")));
            }
        }
        check_begin(map.get("init_lora_weights"))?;
        for (key, value) in map {
            let known = HARMLESS.contains(&key.as_str())
                || OWN.contains(&key.as_str())
                || OTHERS.iter().any(|(other, _)| other == key);
            if !known && asks(value) {
                return Err(Error::argument(format!(
                    "{key}: is a setting that this lota does not know, and it is set to {value}"
                )));
            }
        }
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        let rank = number(map.get("r"), "r")?.unwrap_or(8.0);
        Ok(Self {
            base: map.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_string),
            rank: whole(rank, "r")?,
            alpha: number(map.get("lora_alpha"), "lora_alpha")?.unwrap_or(8.0),
            rslora: flag("use_rslora"),
            fan_in_fan_out: flag("fan_in_fan_out"),
            targets: map.get("target_modules").cloned().unwrap_or_default(),
            layers: match map.get("layers_to_transform") {
                Some(Value::Array(list)) => Some(list.iter().filter_map(Value::as_u64).collect()),
                Some(one) => one.as_u64().map(|layer| vec![layer]),
                None => None,
            },
            rank_pattern: patterns(map.get("rank_pattern"), "rank_pattern")?
                .into_iter()
                .map(|(key, rank)| Ok((key, whole(rank, "rank_pattern")?)))
                .collect::<Result<_>>()?,
            alpha_pattern: patterns(map.get("alpha_pattern"), "alpha_pattern")?,
            saved: map
                .get("modules_to_save")
                .and_then(Value::as_array)
                .map(|list| list.iter().filter_map(Value::as_str).map(str::to_string).collect())
                .unwrap_or_default(),
            bias: map.get("bias").and_then(Value::as_str).filter(|b| *b != "none").map(str::to_string),
        })
    }

    /// Whether peft gives a module factors, by its name in the file. A pattern that only Python reads says nothing.
    pub fn reaches(&self, name: &str) -> bool {
        let ends = |target: &str| {
            name == target || name.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
        };
        let named = match &self.targets {
            Value::Array(list) if !list.is_empty() => list.iter().filter_map(Value::as_str).any(ends),
            Value::String(pattern) if pattern != "all-linear" => {
                Regex::new(&format!("^(?:{pattern})$")).map_or(true, |pattern| pattern.is_match(name))
            }
            _ => true,
        };
        let layer = name.split('.').find_map(|part| part.parse::<u64>().ok());
        let within = self.layers.as_ref().zip(layer).is_none_or(|(layers, layer)| layers.contains(&layer));
        named && within
    }

    /// The rank and the scale of a module.
    pub fn of_module(&self, name: &str) -> Result<(usize, f64)> {
        let rank = first_match(&self.rank_pattern, name, "rank_pattern")?.unwrap_or(self.rank);
        let alpha = first_match(&self.alpha_pattern, name, "alpha_pattern")?.unwrap_or(self.alpha);
        let by = if self.rslora { (rank as f64).sqrt() } else { rank as f64 };
        Ok((rank, alpha / by))
    }

    /// The configuration as peft reads it.
    pub fn to_json(&self) -> Value {
        let number = |alpha: f64| if alpha.fract() == 0.0 { json!(alpha as i64) } else { json!(alpha) };
        let ranks: Map<String, Value> =
            self.rank_pattern.iter().map(|(key, rank)| (key.clone(), json!(rank))).collect();
        let alphas: Map<String, Value> =
            self.alpha_pattern.iter().map(|(key, alpha)| (key.clone(), number(*alpha))).collect();
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "inference_mode": true,
            "r": self.rank,
            "lora_alpha": number(self.alpha),
            "lora_dropout": 0.0,
            "use_rslora": self.rslora,
            "use_dora": false,
            "fan_in_fan_out": self.fan_in_fan_out,
            "bias": self.bias.as_deref().unwrap_or("none"),
            "init_lora_weights": true,
            "target_modules": self.targets,
            "layers_to_transform": self.layers,
            "modules_to_save": if self.saved.is_empty() { Value::Null } else { json!(self.saved) },
            "rank_pattern": ranks,
            "alpha_pattern": alphas,
        })
    }
}

/// The keys that are read.
const OWN: &[&str] = &[
    "alpha_pattern",
    "fan_in_fan_out",
    "init_lora_weights",
    "layers_to_transform",
    "lora_alpha",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
];

/// Whether a setting asks for something: it is not nothing, false or empty.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// Some ways to begin training change the base as well: the factors that were trained are then not
/// a change of the base as it was.
fn check_begin(value: Option<&Value>) -> Result<()> {
    let Some(word) = value.and_then(Value::as_str) else { return Ok(()) };
    let lower = word.to_lowercase();
    let changes = ["pissa", "corda", "olora", "loftq", "mica", "lora_ga", "kasa"];
    if changes.iter().any(|begin| lower.starts_with(begin)) {
        return Err(Error::argument(format!(
            "init_lora_weights: {word} changes the base before training, and this adapter is a change of that: let \
             peft convert it to a plain LoRA (path_initial_model_for_weight_conversion)"
        )));
    }
    match lower.as_str() {
        "gaussian" | "eva" | "orthogonal" | "true" | "false" => Ok(()),
        _ => Err(Error::argument(format!("init_lora_weights: {word:?} is a way to begin that is not known"))),
    }
}

fn number(value: Option<&Value>, key: &str) -> Result<Option<f64>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|n| n.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(Error::argument(format!("{key}: {value} is not a number"))),
        },
    }
}

fn whole(number: f64, key: &str) -> Result<usize> {
    if number >= 1.0 && number.fract() == 0.0 && number < 1e9 {
        return Ok(number as usize);
    }
    Err(Error::argument(format!("{key}: a rank is a whole number from 1 on, and {number} is not")))
}

fn patterns(value: Option<&Value>, key: &str) -> Result<Vec<(String, f64)>> {
    let Some(map) = value.filter(|v| !v.is_null()) else { return Ok(Vec::new()) };
    let Some(map) = map.as_object() else {
        return Err(Error::argument(format!("{key}: {map} is not an object of names and numbers")));
    };
    map.iter()
        .map(|(name, value)| match number(Some(value), key)? {
            Some(number) => Ok((name.clone(), number)),
            None => Err(Error::argument(format!("{key}: {name} has no number"))),
        })
        .collect()
}

/// The value of the first pattern that matches the whole name or the end of it after a dot.
fn first_match<T: Copy>(patterns: &[(String, T)], name: &str, key: &str) -> Result<Option<T>> {
    for (pattern, value) in patterns {
        let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"))
            .map_err(|e| Error::argument(format!("{key}: {pattern:?} is no regular expression: {e}")))?;
        if regex.is_match(name) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}
