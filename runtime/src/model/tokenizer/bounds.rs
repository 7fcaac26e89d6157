//! What the steps of a tokenizer can make of a text: each may make it longer, several after each other by the product of that,
//! and none looks at a switch. A file says what the steps are, so it says how far that goes.

use serde::Deserialize;
use serde_json::Value;

use crate::host::Room;
use crate::{Error, Result};

/// Bytes of a text that a run with limits turns into tokens at once.
const LONGEST: usize = 512 << 10;
/// What a byte takes while it is worked on: its place in the text, and perhaps a token of its own.
const BYTE: u64 = 96;
/// What is refused whatever the limits are: nothing that is meant becomes so large.
const MOST: u64 = 1 << 34;
/// Bytes of a token, and characters of a word, that a run with limits allows.
const LONGEST_TOKEN: usize = 1024;
const LONGEST_WORD: u64 = 1000;

/// The parts of a `tokenizer.json` that make texts longer.
#[derive(Deserialize, Default)]
pub(super) struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize, Default)]
struct Model {
    #[serde(default)]
    max_input_chars_per_word: Option<u64>,
}

/// How many bytes a byte can become, at most.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    encoded: u64,
    decoded: u64,
    room: Room,
}

impl Bounds {
    /// Of steps that are known and short.
    pub fn plain(room: Room) -> Self {
        Self { encoded: 16, decoded: 16, room }
    }

    /// Of a file's parts, or what is wrong with them.
    pub fn of(parts: &Parts, room: Room) -> Result<Self, String> {
        if room.is_bounded()
            && let Some(most) = parts.model.max_input_chars_per_word.filter(|most| *most > LONGEST_WORD)
        {
            return Err(format!(
                "has words of up to {most} characters, and {LONGEST_WORD} are the most here"
            ));
        }
        let encoded = product([
            steps(&parts.normalizer, "normalizers", normalized)?,
            steps(&parts.pre_tokenizer, "pretokenizers", split)?,
            steps(&parts.post_processor, "processors", put_around)?,
        ]);
        Ok(Self { encoded, decoded: steps(&parts.decoder, "decoders", decoded)?, room })
    }

    /// Refuses a tokenizer whose tokens are too long for a run with limits.
    pub fn check_token(&self, longest: usize) -> Result<()> {
        if self.room.is_bounded() && longest > LONGEST_TOKEN {
            return Err(Error::argument(format!(
                "the tokenizer has a token of {longest} bytes, and {LONGEST_TOKEN} are the most here"
            )));
        }
        Ok(())
    }

    /// Asks for what a text becomes.
    pub fn encode(&self, text: usize) -> Result<()> {
        if self.room.is_bounded() && text > LONGEST {
            return Err(Error::argument(format!(
                "a text of {text} bytes is too long: {LONGEST} are turned into tokens at once; give it in parts"
            )));
        }
        self.ask(text as u64, self.encoded, BYTE)
    }

    /// Asks for the text that tokens of so many bytes together become.
    pub fn decode(&self, tokens: usize) -> Result<()> {
        self.ask(tokens as u64, self.decoded, 4)
    }

    fn ask(&self, bytes: u64, growth: u64, each: u64) -> Result<()> {
        let made = bytes.saturating_add(1).saturating_mul(growth);
        if made > MOST {
            return Err(Error::argument(format!(
                "the steps of the tokenizer can make {growth} bytes of each, too many for a text of {bytes} bytes"
            )));
        }
        Ok(self.room.ask(made.saturating_mul(each))?)
    }
}

fn product(factors: impl IntoIterator<Item = u64>) -> u64 {
    factors.into_iter().fold(1, |all, factor| all.saturating_mul(factor.max(1)))
}

/// The product of a step, or of those of a sequence, which may hold others.
fn steps(step: &Value, list: &str, one: fn(&Value) -> Result<u64, String>) -> Result<u64, String> {
    match step.get(list).and_then(Value::as_array) {
        Some(all) => {
            Ok(product(all.iter().map(|step| steps(step, list, one)).collect::<Result<Vec<_>, _>>()?))
        }
        None if step.is_object() => one(step),
        None => Ok(1),
    }
}

fn text<'a>(step: &'a Value, name: &str) -> &'a str {
    step.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Of a replacement: its length over that of the shortest text that is replaced.
fn replaced(step: &Value) -> u64 {
    let content = text(step, "content").len() as u64;
    match step.pointer("/pattern/String").and_then(Value::as_str) {
        Some(pattern) if !pattern.is_empty() => content.div_ceil(pattern.len() as u64),
        // An expression may match anything, nothing too.
        _ => content + 1,
    }
}

fn normalized(step: &Value) -> Result<u64, String> {
    Ok(match text(step, "type") {
        "Replace" => replaced(step),
        "Prepend" => 1 + text(step, "prepend").len() as u64,
        "NFKC" | "NFKD" => 11,
        "NFC" | "NFD" | "BertNormalizer" => 4,
        "ByteLevel" | "Lowercase" => 2,
        "Precompiled" => charsmap(text(step, "precompiled_charsmap"))?,
        _ => 1,
    })
}

/// The longest text that a table of characters holds: the size of its index, the index, and texts that end in a zero.
fn charsmap(base64: &str) -> Result<u64, String> {
    let damaged = || "has a precompiled_charsmap that is no table of characters".to_string();
    let bytes = from_base64(base64).ok_or_else(damaged)?;
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).ok_or_else(damaged)?;
    std::str::from_utf8(texts).map_err(|_| damaged())?;
    Ok(texts.split(|b| *b == 0).map(|text| text.len() as u64).max().unwrap_or(1))
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| {
        Some(u32::from(match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for four in text.chunks(4) {
        let joined =
            four.iter().try_fold(0, |joined, c| Some(joined << 6 | digit(*c)?))? << (6 * (4 - four.len()));
        bytes.extend(joined.to_be_bytes()[1..].iter().take(four.len() * 3 / 4));
    }
    Some(bytes)
}

fn split(step: &Value) -> Result<u64, String> {
    let mark = |name: &str| text(step, name).len() as u64;
    Ok(match text(step, "type") {
        "ByteLevel" => 3,
        "Metaspace" => 1 + 2 * mark("replacement").max(3),
        "FixedLength" if step.get("length").and_then(Value::as_u64) == Some(0) => {
            return Err("splits texts into parts of length 0".into());
        }
        _ => 1,
    })
}

/// How often the text itself stands in what a template makes of it, and what stands beside it.
fn put_around(step: &Value) -> Result<u64, String> {
    let pieces = step.get("single").and_then(Value::as_array);
    Ok(pieces.map_or(1, |pieces| pieces.len() as u64).saturating_add(2))
}

fn decoded(step: &Value) -> Result<u64, String> {
    let mark = |name: &str| text(step, name).len() as u64;
    Ok(match text(step, "type") {
        "Replace" => replaced(step),
        "ByteLevel" | "ByteFallback" => 3,
        "WordPiece" => 2 + mark("prefix"),
        "Metaspace" => 1 + mark("replacement"),
        "BPEDecoder" => 1 + mark("suffix"),
        _ => 1,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounds(json: Value) -> Result<Bounds, String> {
        Bounds::of(&serde_json::from_value(json).expect("parts"), Room::default())
    }

    #[test]
    fn steps_after_each_other_multiply() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let many = json!({"type": "Sequence", "normalizers": vec![double; 40]});
        let grown = bounds(json!({"normalizer": many})).expect("reads");
        assert_eq!(grown.encoded, 1 << 40);
        assert!(grown.encode(1).expect_err("too much").to_string().contains("steps of the tokenizer"));
        let long = json!({"type": "Replace", "pattern": {"String": "h"}, "content": "h".repeat(1000)});
        let fused =
            bounds(json!({"decoder": {"type": "Sequence", "decoders": vec![long; 8]}})).expect("reads");
        assert!(fused.encode(1000).is_ok() && fused.decode(1).is_err());
        let plain =
            bounds(json!({"pre_tokenizer": {"type": "ByteLevel"}, "normalizer": null})).expect("reads");
        assert!(plain.encode(1 << 20).is_ok() && plain.decode(1 << 20).is_ok());
    }

    #[test]
    fn what_would_make_a_step_give_up_is_told() {
        let told = |json: Value| bounds(json).expect_err("is refused");
        assert!(told(json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}})).contains("length 0"));
        assert!(
            told(json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"}}))
                .contains("table")
        );
    }

    #[test]
    fn base64_is_read_with_and_without_its_ends() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob")] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(from_base64("Zm9*"), None);
    }

    #[test]
    fn a_run_with_limits_has_less() {
        let few =
            Room::new(
                |bytes| if bytes > 1 << 20 { Err(crate::host::Error::limit("too much")) } else { Ok(()) },
            );
        let bounds = Bounds::plain(few);
        assert!(bounds.encode(100).is_ok());
        assert_eq!(bounds.encode(100_000).expect_err("too much").to_string(), "too much");
        assert!(bounds.encode(LONGEST + 1).expect_err("too long").to_string().contains("in parts"));
        assert!(bounds.check_token(5000).is_err());
    }
}
