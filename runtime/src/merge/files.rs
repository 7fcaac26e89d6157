//! What belongs to a merged model besides its weights: tokenizer, chat template, defaults of
//! generation.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::chat_template::{self, TOKENIZER_CONFIG};
use super::input::beside;
use super::plan::Plan;
use crate::host::write_atomic;
use crate::{Error, Result};

/// The files of a model that are copied with its tokenizer.
const COPIED: [&str; 9] = [
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "tokenizer.model",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
];

/// Writes a file of a folder.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    write_atomic(&path, |out| out.write_all(bytes).map_err(|e| Error::io(&path, e)))
}

/// The tokenizer's files: the donor's, with the tokenizer and the template of the merge.
pub(super) fn tokenizer_files(plan: &Plan) -> Result<Vec<(String, Vec<u8>)>> {
    let donor = plan.inputs[plan.donor].as_ref();
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut set = |name: &str, bytes: Vec<u8>| match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = bytes,
        None => all.push((name.to_string(), bytes)),
    };
    for name in COPIED {
        if let Some(bytes) = beside(donor, name)? {
            set(name, bytes);
        }
    }
    if let Some(vocabulary) = &plan.vocabulary {
        let refused = |e: tokenizers::Error| Error::argument(format!("the tokenizer cannot be written: {e}"));
        set("tokenizer.json", vocabulary.tokenizer.to_string(true).map_err(refused)?.into_bytes());
    }
    if let Some(source) = chat_template::source(plan.chat_template.as_deref(), &plan.inputs)? {
        set("chat_template.jinja", source.clone().into_bytes());
        // Older models keep the template there; it would contradict the new one.
        if let Some(bytes) = beside(donor, TOKENIZER_CONFIG)? {
            let path = donor.folder().unwrap_or(Path::new("")).join(TOKENIZER_CONFIG);
            let mut config: Map<String, Value> = serde_json::from_slice(&bytes)
                .map_err(|e| Error::format(&path, format!("not a JSON object: {e}")))?;
            config.insert("chat_template".into(), json!(source));
            set(TOKENIZER_CONFIG, json_text(&path, &Value::Object(config))?.into_bytes());
        }
    }
    Ok(all)
}

/// Indented JSON; `path` is for messages.
pub(super) fn json_text(path: &Path, value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(text + "\n")
}
