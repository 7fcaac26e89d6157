//! What a model's files say about generation.

use std::path::Path;

use serde_json::{Map, Value};

use super::json::object_if_there;
use super::{Config, Tokenizer};
use crate::Result;

/// `generation_config.json`, and the ids that end a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationDefaults {
    /// The ids that end a generated text.
    pub eos: Vec<u32>,
    /// All that `generation_config.json` holds; empty where there is none.
    pub json: Map<String, Value>,
}

impl GenerationDefaults {
    /// Reads `generation_config.json` in a folder, if it is there.
    pub(super) fn of_folder(folder: &Path, config: &Config, tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let path = folder.join("generation_config.json");
        let json = object_if_there(&path)?;
        Ok(Self::new(json, config, tokenizer))
    }

    /// The ids that end a text are those `generation_config.json` names, else those of the
    /// configuration; the tokenizer's end of sequence is one in any case.
    pub(super) fn new(json: Map<String, Value>, config: &Config, tokenizer: Option<&Tokenizer>) -> Self {
        let id = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
        let mut eos: Vec<u32> = match json.get("eos_token_id") {
            Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
            Some(one) => id(one).into_iter().collect(),
            None => Vec::new(),
        };
        if eos.is_empty() {
            eos.clone_from(&config.eos);
        }
        if let Some(special) = tokenizer.and_then(|t| t.specials().eos.as_ref())
            && !eos.contains(&special.id)
        {
            eos.push(special.id);
        }
        Self { eos, json }
    }
}
