//! What belongs to a merged model besides its weights: tokenizer, chat template, defaults of
//! generation.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Input;
use super::input::beside;
use super::plan::Plan;
use crate::host::write_atomic;
use crate::{Error, Result};

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

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
    if let Some(source) = chat_template(plan)? {
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

/// The source of the chat template that the plan asks for, if it does.
pub(super) fn chat_template(plan: &Plan) -> Result<Option<String>> {
    let Some(wanted) = &plan.chat_template else { return Ok(None) };
    let source = template(plan, wanted)?;
    if let Some(source) = &source {
        crate::model::ChatTemplate::new(source.clone())
            .map_err(|e| Error::argument(format!("chat_template: {e}")))?;
    }
    Ok(source)
}

/// Indented JSON; `path` is for messages.
pub(super) fn json_text(path: &Path, value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(text + "\n")
}

/// The source of the template that is asked for.
fn template(plan: &Plan, wanted: &str) -> Result<Option<String>> {
    if wanted == "auto" {
        return Ok(most_common(plan.inputs.iter().filter_map(|i| template_of(i.as_ref()))));
    }
    if wanted.contains('{') {
        return Ok(Some(wanted.to_string()));
    }
    let known: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
    match NAMED.iter().find(|(name, _)| *name == wanted) {
        Some((_, source)) => Ok(Some((*source).to_string())),
        None => Err(Error::argument(format!(
            "chat_template: {wanted:?} is neither Jinja source nor one of auto, {}{}",
            known.join(", "),
            super::nearest::did_you_mean(wanted, known.iter().copied())
        ))),
    }
}

/// The chat template of a model.
fn template_of(input: &dyn Input) -> Option<String> {
    let file = |name: &str| beside(input, name).ok().flatten();
    if let Some(text) = file("chat_template.jinja") {
        return Some(String::from_utf8_lossy(&text).trim().to_string());
    }
    let config: Value = serde_json::from_slice(&file(TOKENIZER_CONFIG)?).ok()?;
    match config.get("chat_template")? {
        Value::String(source) => Some(source.trim().to_string()),
        Value::Array(list) => {
            let of = |t: &&Value| t.get("name").and_then(Value::as_str) == Some("default");
            list.iter().find(of)?.get("template")?.as_str().map(|s| s.trim().to_string())
        }
        _ => None,
    }
}

/// The most common template; among equally common ones the first.
fn most_common(all: impl Iterator<Item = String>) -> Option<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for template in all {
        match counts.iter_mut().find(|(t, _)| *t == template) {
            Some((_, n)) => *n += 1,
            None => counts.push((template, 1)),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, n)| *n).map(|(t, _)| t)
}

/// Templates by name, of the formats that have one.
const NAMED: [(&str, &str); 5] = [
    (
        "chatml",
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    (
        "llama3",
        "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    ),
    (
        "mistral",
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}",
    ),
    (
        "alpaca",
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}{% else %}{{ '### Response:\n' + message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
    ),
    (
        "exaone",
        "{% for message in messages %}{{ '[|' + message['role'] + '|]' + message['content'] }}{% if message['role'] == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}",
    ),
];
