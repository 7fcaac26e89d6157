//! Tokenizers and chat templates.

use lota_runtime::model::{ChatOptions, ChatTemplate, Tokenizer};
use serde_json::json;

use super::halves;
use crate::place;

/// What a tokenizer is asked for.
const TEXTS: [&str; 4] = ["w5 w3 abc", "", "É\u{1f600} a\u{301}\r\n\t 12", "<s>x</s> <|a|>"];

/// `tokenizer.json`, and after a zero `tokenizer_config.json`.
pub fn tokenizer(bytes: &[u8]) -> bool {
    let (own, beside) = halves(bytes);
    let path = place::file("tokenizer/tokenizer.json", own);
    let config = place::path("tokenizer/tokenizer_config.json");
    if beside.is_empty() {
        let _ = std::fs::remove_file(&config);
    } else {
        place::file("tokenizer/tokenizer_config.json", beside);
    }
    let Ok(tokenizer) = Tokenizer::open(&path, &place::host().room) else { return false };
    for text in TEXTS {
        let Ok(ids) = tokenizer.encode(text, true) else { continue };
        let _ = tokenizer.decode(&ids, false);
        let _ = tokenizer.encode_prompt(text);
        let mut stream = tokenizer.stream(true);
        let _ = ids.iter().map(|&id| stream.push(id)).collect::<Vec<_>>();
    }
    let written = place::path("tokenizer-written");
    if tokenizer.save(&written, &place::host()).is_err() {
        return true;
    }
    let again =
        Tokenizer::open(&written.join("tokenizer.json"), &place::host().room).expect("reads what it wrote");
    for text in TEXTS {
        let ids = |tokenizer: &Tokenizer| tokenizer.encode(text, true).ok();
        assert_eq!(ids(&tokenizer), ids(&again), "{text:?} after writing");
    }
    true
}

/// A chat template, and a conversation in it.
pub fn template(bytes: &[u8]) -> bool {
    let Ok(source) = std::str::from_utf8(bytes) else { return false };
    let Ok(template) = ChatTemplate::new(source) else { return false };
    let messages = json!([
        {"role": "system", "content": "You are."},
        {"role": "user", "content": " é <a>\n"},
        {"role": "assistant", "content": "a</think>b", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]},
    ]);
    let options = ChatOptions {
        add_generation_prompt: true,
        tools: Some(json!([{"type": "function", "function": {"name": "f", "parameters": {}}}])),
        now: Some(1_706_745_600),
        ..ChatOptions::default()
    };
    template.render(&messages, &options, None).is_ok()
}
