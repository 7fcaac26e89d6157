//! The chat template of a merged model: one of its models', one of a name, or a text of the configuration.

use std::sync::Arc;

use serde_json::Value;

use super::Input;
use super::input::beside;
use crate::{Error, Result};

/// Older models keep their template in this file.
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// The source of the chat template that is `wanted` of a merge of these models; `None` if none is.
///
/// # Errors
///
/// A name that is not known, or a source that is not Jinja.
pub(super) fn source(wanted: Option<&str>, inputs: &[Arc<dyn Input>]) -> Result<Option<String>> {
    let Some(wanted) = wanted else { return Ok(None) };
    let source = find(wanted, inputs)?;
    // One that a model brought is kept as it is, for whoever does not chat.
    if wanted != "auto"
        && let Some(source) = &source
    {
        crate::model::ChatTemplate::new(source.clone())
            .map_err(|e| Error::argument(format!("chat_template: {e}")))?;
    }
    Ok(source)
}

/// The source of the template that is asked for.
fn find(wanted: &str, inputs: &[Arc<dyn Input>]) -> Result<Option<String>> {
    if wanted == "auto" {
        return Ok(most_common(inputs.iter().filter_map(|i| template_of(i.as_ref()))));
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
