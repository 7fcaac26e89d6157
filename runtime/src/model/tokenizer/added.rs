//! Tokens that are added to a vocabulary by files beside it: `added_tokens_decoder` of `tokenizer_config.json`, and the older
//! `added_tokens.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// The names of special tokens in `tokenizer_config.json`, in the order in which transformers adds those that are lacking.
pub(super) const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The text of a token, which is a string or an object.
pub(super) fn text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// The texts of the special tokens of a configuration: those that have a name, then the others.
pub(super) fn specials(config: &Map<String, Value>) -> Vec<&str> {
    let named = NAMED.iter().filter_map(|name| config.get(*name));
    let more = ["extra_special_tokens", "additional_special_tokens"];
    let more = more.iter().filter_map(|name| config.get(*name)?.as_array()).flatten();
    named.chain(more).filter_map(text).collect()
}

/// The tokens that `added_tokens_decoder` lists, by their ids; none if there is no such key.
pub(super) fn listed(config: &Map<String, Value>) -> Result<BTreeMap<u32, AddedToken>, String> {
    let wrong = |id: &str| format!("added_tokens_decoder: {id:?} is not the id of a token with a content");
    let Some(list) = config.get("added_tokens_decoder").filter(|list| !list.is_null()) else {
        return Ok(BTreeMap::new());
    };
    let list = list.as_object().ok_or("added_tokens_decoder is not an object of ids and tokens")?;
    let specials = specials(config);
    list.iter()
        .map(|(id, token)| {
            let number: u32 = id.parse().map_err(|_| wrong(id))?;
            let content = token.get("content").and_then(Value::as_str).filter(|text| !text.is_empty());
            let content = content.ok_or_else(|| wrong(id))?;
            let flag = |name: &str| token.get(name).and_then(Value::as_bool);
            let special = flag("special").unwrap_or(false) || specials.contains(&content);
            let added = AddedToken::from(content, special)
                .lstrip(flag("lstrip").unwrap_or(false))
                .rstrip(flag("rstrip").unwrap_or(false))
                .single_word(flag("single_word").unwrap_or(false))
                .normalized(flag("normalized").unwrap_or(!special));
            Ok((number, added))
        })
        .collect()
}

/// The tokens of an `added_tokens.json`, by their ids.
pub(super) fn older(
    tokens: &Map<String, Value>,
    config: &Map<String, Value>,
) -> Result<BTreeMap<u32, AddedToken>, String> {
    let specials = specials(config);
    let one = |(content, id): (&String, &Value)| {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| format!("{content:?} has no id"))?;
        Ok((id, AddedToken::from(content.as_str(), specials.contains(&content.as_str()))))
    };
    tokens.iter().map(one).collect()
}

/// Adds tokens that the tokenizer does not have among those added to it, in the order of their ids, which they must get.
pub(super) fn add(
    inner: &mut tokenizers::Tokenizer,
    tokens: &BTreeMap<u32, AddedToken>,
) -> Result<(), String> {
    let there = inner.get_added_tokens_decoder();
    let known: std::collections::HashSet<&str> = there.values().map(|token| token.content.as_str()).collect();
    let lacking: Vec<(&u32, &AddedToken)> =
        tokens.iter().filter(|(_, token)| !known.contains(token.content.as_str())).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    inner.add_tokens(lacking.iter().map(|(_, token)| (*token).clone())).map_err(|e| e.to_string())?;
    for (id, token) in lacking {
        let given = inner.token_to_id(&token.content);
        if given != Some(*id) {
            return Err(format!(
                "token {:?} is said to have the id {id}, and the vocabulary gives it {}: ids of added tokens follow those \
                 of the vocabulary without a gap",
                token.content,
                given.map_or("none".to_string(), |id| id.to_string())
            ));
        }
    }
    Ok(())
}
