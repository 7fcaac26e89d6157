//! A tokenizer from the metadata of a GGUF file, without any other file.

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, PostProcessorWrapper};

use super::bounds::Bounds;
use super::vocabulary::{Vocabulary, kind};
use super::{Tokenizer, byte_level, pieces};
use crate::Result;
use crate::host::Room;
use crate::model::gguf::Metadata;

impl Tokenizer {
    /// Builds the tokenizer a file describes. `None` if it describes none.
    pub(crate) fn of_gguf(meta: &Metadata, room: &Room) -> Result<Option<Self>> {
        let Some(model) = meta.text_or("tokenizer.ggml.model")? else { return Ok(None) };
        let tokens = meta.texts("tokenizer.ggml.tokens")?;
        let kinds = match meta.numbers_or("tokenizer.ggml.token_type")? {
            Some(list) => list.iter().map(|&n| n as u8).collect(),
            None => vec![1; tokens.len()],
        };
        let vocabulary = Vocabulary { meta, tokens, kinds };
        if vocabulary.kinds.len() != tokens.len() {
            return Err(vocabulary.bad("tokenizer.ggml.token_type and tokens differ in length"));
        }
        let (mut inner, begins) = match model {
            "gpt2" => byte_level::build(&vocabulary)?,
            "llama" => (pieces::build(&vocabulary)?, true),
            other => {
                return Err(vocabulary.bad(format!(
                    "its tokenizer is of the kind {other}; gpt2 and llama are read: give a tokenizer.json instead"
                )));
            }
        };
        add_tokens(&mut inner, &vocabulary)?;
        let begins = meta.flag_or("tokenizer.ggml.add_bos_token")?.unwrap_or(begins);
        let ends = meta.flag_or("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        let bos = vocabulary.special("bos")?.filter(|_| begins);
        let eos = vocabulary.special("eos")?.filter(|_| ends);
        if let Some(around) = around(bos, eos) {
            inner.with_post_processor(Some(around.map_err(|e| vocabulary.bad(e))?));
        }
        let config = config(&vocabulary, bos.is_some(), eos.is_some())?;
        let made = Self::new(inner, config, Bounds::plain(room.clone()))?;
        Ok(Some(Self { source: meta.path().to_path_buf(), ..made }))
    }
}

/// Control tokens are special; tokens the author defined are matched as they stand, before
/// anything else.
fn add_tokens(inner: &mut tokenizers::Tokenizer, vocabulary: &Vocabulary<'_>) -> Result<()> {
    let of = |wanted: &[u8], special: bool| -> Vec<AddedToken> {
        let pairs = vocabulary.tokens.iter().zip(&vocabulary.kinds);
        pairs
            .filter(|(token, kind)| wanted.contains(kind) && !token.is_empty())
            .map(|(token, _)| AddedToken::from(token.clone(), special).normalized(false))
            .collect()
    };
    let failed = |e: tokenizers::Error| vocabulary.bad(format!("its tokens cannot be added: {e}"));
    inner.add_special_tokens(of(&[kind::CONTROL, kind::UNKNOWN], true)).map_err(failed)?;
    inner.add_tokens(of(&[kind::USER_DEFINED], false)).map_err(failed)?;
    Ok(())
}

/// The step that puts a beginning before every text and an end after it.
pub(super) fn around(
    bos: Option<(&str, u32)>,
    eos: Option<(&str, u32)>,
) -> Option<std::result::Result<PostProcessorWrapper, String>> {
    if bos.is_none() && eos.is_none() {
        return None;
    }
    let token = |t: Option<(&str, u32)>, text: u8| {
        t.map(|(token, _)| json!({ "SpecialToken": { "id": token, "type_id": text } }))
    };
    let sequence = |name: &str, text: u8| Some(json!({ "Sequence": { "id": name, "type_id": text } }));
    let one = [token(bos, 0), sequence("A", 0), token(eos, 0)];
    let two = [token(bos, 1), sequence("B", 1), token(eos, 1)];
    let single: Vec<Value> = one.iter().flatten().cloned().collect();
    let pair: Vec<Value> = one.into_iter().chain(two).flatten().collect();
    let special: Map<String, Value> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|(token, id)| (token.to_string(), json!({ "id": token, "ids": [id], "tokens": [token] })))
        .collect();
    let template =
        json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special });
    Some(serde_json::from_value(template).map_err(|e| format!("beginning and end of texts: {e}")))
}

/// What `tokenizer_config.json` would hold.
fn config(vocabulary: &Vocabulary<'_>, begins: bool, ends: bool) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("add_bos_token".into(), json!(begins));
    config.insert("add_eos_token".into(), json!(ends));
    for (name, role) in
        [("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"), ("unk_token", "unknown")]
    {
        if let Some((token, _)) = vocabulary.special(role)? {
            config.insert(name.into(), json!(token));
        }
    }
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    if let Some(arch) = vocabulary.meta.text_or("general.architecture")?
        && let Some(context) = vocabulary.meta.size_or(&format!("{arch}.context_length"))?
    {
        config.insert("model_max_length".into(), json!(context));
    }
    if let Some(template) = vocabulary.meta.text_or("tokenizer.chat_template")? {
        config.insert("chat_template".into(), json!(template));
    }
    Ok(config)
}
