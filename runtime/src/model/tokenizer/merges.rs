//! A byte-level tokenizer from `vocab.json` and `merges.txt`, as transformers makes one of them where there is no
//! `tokenizer.json`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::bounds::Bounds;
use super::gguf::around;
use super::{READ_BYTES, Tokenizer, added, one_token_each, split};
use crate::host::{Room, read_bytes, read_foreign, text_of};
use crate::model::json::{object, object_if_there};
use crate::{Error, Result};

/// The file of the tokens and their ids.
pub(super) const VOCABULARY: &str = "vocab.json";
/// The file of the merges.
pub(super) const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";

/// The classes of transformers that are known, with what their tokenizers have in common.
struct Class {
    name: &'static str,
    /// How texts are cut, by the name that GGUF files give it.
    cut: &'static str,
    /// Characters are composed first (Unicode NFC).
    compose: bool,
    /// The special tokens where the configuration names no others; a null names none.
    specials: &'static [(&'static str, &'static str)],
    /// The types of models (`model_type`, or how it begins) whose tokenizers are of this class if nothing else is said.
    types: &'static [&'static str],
}

const END: &str = "<|endoftext|>";

const CLASSES: [Class; 4] = [
    Class {
        name: "GPT2Tokenizer",
        cut: "gpt-2",
        compose: false,
        specials: &[("bos_token", END), ("eos_token", END), ("unk_token", END)],
        types: &[
            "gpt2",
            "gpt_neo",
            "gptj",
            "opt",
            "phi",
            "starcoder2",
            "codegen",
            "dbrx",
            "granite",
            "gpt_bigcode",
        ],
    },
    Class {
        name: "Qwen2Tokenizer",
        cut: "qwen2",
        compose: true,
        specials: &[("eos_token", END), ("unk_token", END), ("pad_token", END)],
        types: &["qwen2", "qwen2_*", "qwen3", "qwen3_*"],
    },
    Class {
        name: "GPTNeoXTokenizer",
        cut: "gpt-2",
        compose: true,
        specials: &[("bos_token", END), ("eos_token", END), ("unk_token", END), ("pad_token", "<|padding|>")],
        types: &["gpt_neox", "mamba", "mamba2", "mpt", "olmo", "olmoe", "rwkv"],
    },
    Class {
        name: "CodeGenTokenizer",
        cut: "gpt-2",
        compose: false,
        specials: &[("bos_token", END), ("eos_token", END), ("unk_token", END)],
        types: &[],
    },
];

impl Class {
    fn has(&self, model_type: &str) -> bool {
        self.types.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => model_type.starts_with(begin),
            None => model_type == *known,
        })
    }
}

impl Tokenizer {
    /// Makes a tokenizer of `vocab.json` and `merges.txt` in a folder, if both are there, with `tokenizer_config.json`,
    /// `special_tokens_map.json` and `added_tokens.json` beside them.
    ///
    /// # Errors
    ///
    /// A file is damaged, or its class (`tokenizer_class`, or that of the `model_type` of `config.json`) is not one that is
    /// known here.
    pub(crate) fn of_merges(folder: &Path, room: &Room) -> Result<Option<Self>> {
        let [path, merges] = [VOCABULARY, MERGES].map(|name| folder.join(name));
        if !path.exists() || !merges.exists() {
            return Ok(None);
        }
        let size = |path: &Path| path.metadata().map(|about| about.len()).map_err(|e| Error::io(path, e));
        room.ask((size(&path)? + size(&merges)?).saturating_mul(READ_BYTES))?;
        let (config, tokens) = beside(folder)?;
        let class = class(folder, &config)?;
        let vocabulary: HashMap<String, u32> = serde_json::from_slice(&read_bytes(&path)?)
            .map_err(|e| Error::format(&path, format!("not an object of tokens and their ids: {e}")))?;
        let pairs = pairs(&merges)?;
        read_foreign(&path, "a vocabulary", || {
            let bad = |what: String| Error::format(&path, what);
            let config = named(config, class);
            let mut inner = build(vocabulary, pairs, class, &config).map_err(|e| bad(e.to_string()))?;
            one_token_each(&inner).map_err(bad)?;
            let config_path = folder.join(CONFIG);
            added::add(&mut inner, &tokens).map_err(|what| Error::format(&config_path, what))?;
            add_specials(&mut inner, &config).map_err(|e| bad(e.to_string()))?;
            put_around(&mut inner, &config).map_err(|what| Error::format(&config_path, what))?;
            let made = Self::new(inner, config, Bounds::plain(room.clone()))?;
            Ok(Some(Self { source: path.clone(), ..made }))
        })
    }
}

/// What the files beside a vocabulary say: the configuration, and the tokens that they add by their ids.
fn beside(folder: &Path) -> Result<(Map<String, Value>, BTreeMap<u32, AddedToken>)> {
    let path = folder.join(CONFIG);
    let mut config = object_if_there(&path)?;
    if config.contains_key("added_tokens_decoder") {
        let tokens = added::listed(&config).map_err(|what| Error::format(&path, what))?;
        return Ok((config, tokens));
    }
    // Older models keep both in files of their own, which count before the configuration.
    config.extend(object_if_there(&folder.join("special_tokens_map.json"))?);
    let path = folder.join("added_tokens.json");
    let tokens =
        added::older(&object_if_there(&path)?, &config).map_err(|what| Error::format(&path, what))?;
    Ok((config, tokens))
}

/// The class of a tokenizer, by its configuration or that of its model.
fn class(folder: &Path, config: &Map<String, Value>) -> Result<&'static Class> {
    let known = || CLASSES.iter().map(|class| class.name).collect::<Vec<_>>().join(", ");
    let told = |name: String, file: &str| {
        Error::format(
            folder.join(file),
            format!(
                "{name}: of vocab.json and merges.txt only tokenizers of the classes {} are made; have transformers make a \
                 tokenizer.json: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                known()
            ),
        )
    };
    if let Some(name) = config.get("tokenizer_class").and_then(Value::as_str) {
        let bare = name.strip_suffix("Fast").unwrap_or(name);
        let found = CLASSES.iter().find(|class| class.name == bare);
        return found.ok_or_else(|| told(format!("tokenizer_class is {name}"), CONFIG));
    }
    let path = folder.join("config.json");
    let json = if path.exists() { object(&path, &read_bytes(&path)?)? } else { Map::new() };
    let model = json.get("model_type").and_then(Value::as_str).unwrap_or("none");
    let found = CLASSES.iter().find(|class| class.has(model));
    found
        .ok_or_else(|| told(format!("model_type is {model}, and no tokenizer_class is given"), "config.json"))
}

/// The pairs of tokens that are merged, the first ones first.
fn pairs(path: &Path) -> Result<Vec<(String, String)>> {
    let text = text_of(read_bytes(path)?, path)?;
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version") && !line.is_empty());
    lines
        .map(|(i, line)| match line.split_once(' ') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() && !b.contains(' ') => Ok((a.into(), b.into())),
            _ => Err(Error::format(path, format!("line {}: {line:?} is not two tokens", i + 1))),
        })
        .collect()
}

/// A configuration in which the class's special tokens stand where no others are named.
fn named(mut config: Map<String, Value>, class: &Class) -> Map<String, Value> {
    for (name, token) in class.specials {
        if !config.contains_key(*name) {
            config.insert((*name).to_string(), json!(token));
        }
    }
    config
}

fn build(
    vocabulary: HashMap<String, u32>,
    merges: Vec<(String, String)>,
    class: &Class,
    config: &Map<String, Value>,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges);
    let mut inner = tokenizers::Tokenizer::new(model.build()?);
    if class.compose {
        inner.with_normalizer(Some(NFC))?;
    }
    let prefix = config.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
    let patterns = split::of(class.cut).map_or(&[][..], |splitting| splitting.patterns);
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in patterns {
        let pattern = SplitPattern::Regex((*pattern).to_string());
        steps.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into());
    }
    steps.push(ByteLevel::new(prefix, true, patterns.is_empty()).into());
    inner.with_pre_tokenizer(Some(Sequence::new(steps)));
    inner.with_decoder(Some(ByteLevel::new(true, true, true)));
    Ok(inner)
}

/// Adds the special tokens of a configuration that are not among the added ones.
fn add_specials(inner: &mut tokenizers::Tokenizer, config: &Map<String, Value>) -> tokenizers::Result<()> {
    let there = inner.get_added_tokens_decoder();
    let known: std::collections::HashSet<&str> = there.values().map(|token| token.content.as_str()).collect();
    let lacking =
        added::specials(config).into_iter().filter(|token| !token.is_empty() && !known.contains(token));
    inner.add_tokens(lacking.map(|token| AddedToken::from(token, true).normalized(false)))?;
    Ok(())
}

/// Puts the beginning and the end of a text around it, where the configuration asks for that.
fn put_around(inner: &mut tokenizers::Tokenizer, config: &Map<String, Value>) -> Result<(), String> {
    let token = |asked: &str, name: &str| {
        let asks = config.get(asked).and_then(Value::as_bool) == Some(true);
        let token = config.get(name).and_then(added::text).filter(|_| asks)?;
        Some((token, inner.token_to_id(token)?))
    };
    let (bos, eos) = (token("add_bos_token", "bos_token"), token("add_eos_token", "eos_token"));
    if let Some(around) = around(bos, eos) {
        inner.with_post_processor(Some(around?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vocabulary").join(name)
    }

    /// Against `tests/fixtures/vocabulary/make.py`.
    #[test]
    fn tokenizers_are_those_that_transformers_makes() {
        for case in
            ["gpt2", "gpt2_bos", "gpt2_type", "qwen", "qwen_legacy", "qwen_type", "neox", "codegen", "beside"]
        {
            let folder = fixture(case);
            let tokenizer =
                Tokenizer::of_folder(&folder, &Room::default()).expect("reads").expect("is there");
            let text = std::fs::read_to_string(folder.join("expected.json")).expect("reads");
            let expected: Value = serde_json::from_str(&text).expect("is JSON");
            assert_eq!(tokenizer.size(), expected["size"].as_u64().expect("a number") as usize, "{case}");
            let specials = tokenizer.specials();
            for (name, special) in [("bos", &specials.bos), ("eos", &specials.eos)] {
                assert_eq!(
                    special.as_ref().map(|s| u64::from(s.id)),
                    expected[name].as_u64(),
                    "{case}: {name}"
                );
            }
            for row in expected["rows"].as_array().expect("rows") {
                let text = row["text"].as_str().expect("a text");
                for (key, special) in [("with", true), ("without", false)] {
                    let ids = tokenizer.encode(text, special).expect("encodes");
                    assert_eq!(json!(ids), row[key], "{case}: {text:?} {key}");
                }
                let ids = tokenizer.encode(text, true).expect("encodes");
                for (key, skip) in [("decoded", false), ("plain", true)] {
                    assert_eq!(
                        json!(tokenizer.decode(&ids, skip).expect("decodes")),
                        row[key],
                        "{case}: {text:?} {key}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writes");
        let told = || Tokenizer::of_folder(dir.path(), &Room::default()).expect_err("is refused").to_string();
        let start = |text: &str, expected: &str| {
            let place = format!("{}/", dir.path().display());
            assert!(text.strip_prefix(&place).is_some_and(|rest| rest.starts_with(expected)), "{text}");
        };
        write("vocab.json", r#"{"a": 0, "b": 1, "ab": 2}"#);
        assert!(Tokenizer::of_folder(dir.path(), &Room::default()).expect("no merges").is_none());
        write("merges.txt", "#version: 0.2\na b\n");
        start(&told(), "config.json: model_type is none, and no tokenizer_class is given: ");
        write("tokenizer_config.json", r#"{"tokenizer_class": "LlamaTokenizer"}"#);
        start(
            &told(),
            "tokenizer_config.json: tokenizer_class is LlamaTokenizer: of vocab.json and merges.txt only ",
        );
        write("tokenizer_config.json", r#"{"tokenizer_class": "GPT2Tokenizer"}"#);
        assert!(Tokenizer::of_folder(dir.path(), &Room::default()).expect("reads").is_some());
        write("merges.txt", "a b\na\n");
        start(&told(), "merges.txt: line 2: \"a\" is not two tokens");
        write("merges.txt", "a c\n");
        start(&told(), "vocab.json: ");
        write("merges.txt", "a b\n");
        let added = |id: u32| {
            format!(
                r#"{{"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {{"{id}": {{"content": "<x>"}}}}}}"#
            )
        };
        write("tokenizer_config.json", &added(3));
        assert!(Tokenizer::of_folder(dir.path(), &Room::default()).expect("reads").is_some());
        write("tokenizer_config.json", &added(5));
        start(
            &told(),
            "tokenizer_config.json: token \"<x>\" is said to have the id 5, and the vocabulary gives it 3",
        );
        write("vocab.json", r#"{"a": 0, "b": 0}"#);
        start(&told(), "vocab.json: ");
        write("vocab.json", r#"{"a": -1}"#);
        start(&told(), "vocab.json: not an object of tokens and their ids");
    }
}
