//! Tokenizers: text to token ids and back.

mod added;
mod bounds;
mod byte_level;
mod gguf;
mod merges;
mod pieces;
mod special;
mod split;
mod stream;
mod train;
mod vocabulary;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::bounds::{Bounds, Parts};
use super::json::object_if_there;
use super::save::is_of_a_tokenizer;
use crate::host::{self, Host, Room, finish_folder, read_bytes, read_foreign, write_atomic, write_folder};
use crate::{Error, Result};

pub use special::{Special, Specials};
pub use stream::TextStream;
pub use train::{TokenizerTraining, train_tokenizer};

/// A tokenizer with its special tokens.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    specials: Specials,
    config: Map<String, Value>,
    size: usize,
    bytes: u64,
    bounds: Bounds,
    /// The file that it was read from, for messages.
    source: PathBuf,
}

/// What a token takes beside its two spellings in memory, about.
const TOKEN_BYTES: u64 = 200;
/// What a byte of a `tokenizer.json` takes while it is read, about.
const READ_BYTES: u64 = 12;

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("size", &self.size).field("specials", &self.specials).finish()
    }
}

impl Tokenizer {
    /// The tokenizer of a model's folder: `tokenizer.json`, or what `vocab.json` and `merges.txt` make; `None` if there is
    /// neither.
    pub(crate) fn of_folder(folder: &Path, room: &Room) -> Result<Option<Self>> {
        let path = folder.join("tokenizer.json");
        if path.exists() { Self::open(&path, room).map(Some) } else { Self::of_merges(folder, room) }
    }

    /// Reads `tokenizer.json`, with `tokenizer_config.json` beside it where there is one.
    pub fn open(path: &Path, room: &Room) -> Result<Self> {
        finish_folder(path.parent().unwrap_or(Path::new("")))?;
        let size = path.metadata().map_err(|e| Error::io(path, e))?.len();
        room.ask(size.saturating_mul(READ_BYTES))?;
        let bytes = read_bytes(path)?;
        let beside = path.with_file_name("tokenizer_config.json");
        Self::of_files(path, &bytes, &beside, || object_if_there(&beside), room)
    }

    /// From the bytes of a `tokenizer.json` and what the `tokenizer_config.json` beside it holds; messages name both.
    pub(super) fn of_files(
        path: &Path,
        bytes: &[u8],
        beside: &Path,
        config: impl FnOnce() -> Result<Map<String, Value>>,
        room: &Room,
    ) -> Result<Self> {
        // The reader's own words for a file that ends too early say nothing of its end.
        let parts: Parts = serde_json::from_slice(bytes)
            .map_err(|e| Error::format(path, format!("not a whole JSON file: {e}")))?;
        let bounds = Bounds::of(&parts, room.clone()).map_err(|what| Error::format(path, what))?;
        bounds.encode(0)?;
        let inner = read_foreign(path, "a tokenizer", || {
            let inner = tokenizers::Tokenizer::from_bytes(bytes)
                .map_err(|e| Error::format(path, format!("not a tokenizer this version reads: {e}")))?;
            one_token_each(&inner).map_err(|what| Error::format(path, what))?;
            // What is put around every text is looked up with the first one: here that is the fault of the file.
            let _ = inner.encode_fast("", true);
            Ok::<_, Error>(inner)
        })?;
        let config = config()?;
        let inner = read_foreign(path, "a tokenizer", || {
            // Tokens may stand beside the file only.
            let mut inner = inner;
            let tokens = added::listed(&config).map_err(|what| Error::format(beside, what))?;
            added::add(&mut inner, &tokens).map_err(|what| Error::format(beside, what))?;
            Ok::<_, Error>(inner)
        })?;
        let made =
            read_foreign(path, "a tokenizer", || Self::new(inner, config, bounds)).map_err(|e| match e {
                Error::Host(host::Error::Argument(what)) => Error::format(beside, what),
                other => other,
            })?;
        Ok(Self { source: path.to_path_buf(), ..made })
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`, replacing those of the folder as one. Files of a former
    /// tokenizer that other programs might read instead are removed.
    pub fn save(&self, folder: &Path, host: &Host) -> Result<()> {
        let tokenizer = self.to_json()?;
        let config = serde_json::to_string_pretty(&self.config).map_err(|e| {
            Error::argument(format!("the tokenizer's configuration cannot be written as JSON: {e}"))
        })?;
        write_folder(folder, &is_of_a_tokenizer, host, |new| {
            for (name, text) in [("tokenizer.json", &tokenizer), ("tokenizer_config.json", &config)] {
                let path = new.join(name);
                write_atomic(&path, |out| out.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e)))?;
            }
            Ok(())
        })
    }

    /// A tokenizer from its parts; `config` is what `tokenizer_config.json` holds.
    fn new(mut inner: tokenizers::Tokenizer, config: Map<String, Value>, bounds: Bounds) -> Result<Self> {
        // Truncation and padding that a file asks for are for its author's batches: here they
        // would silently lose or add tokens.
        let refused = |e: tokenizers::Error| Error::argument(e.to_string());
        inner.with_truncation(None).map_err(refused)?;
        inner.with_padding(None);
        let vocabulary = inner.get_vocab(true);
        let size = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        bounds.check_token(vocabulary.keys().map(String::len).max().unwrap_or(0))?;
        let bytes = vocabulary.keys().map(|token| 2 * token.len() as u64 + TOKEN_BYTES).sum();
        let specials = Specials::from_config(&config, |token| inner.token_to_id(token))?;
        Ok(Self { inner, specials, config, size, bytes, bounds, source: PathBuf::from("the tokenizer") })
    }

    /// The ids of a text. `special` adds what the tokenizer puts around every text (a beginning of
    /// sequence, for many models); special tokens written in the text are recognised either way.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        self.bounds.encode(text.len())?;
        read_foreign(&self.source, "a tokenizer that can read this text", || {
            let encoding = self
                .inner
                .encode_fast(text, special)
                .map_err(|e| Error::argument(format!("cannot tokenize {:?}: {e}", shorten(text))))?;
            Ok(encoding.get_ids().to_vec())
        })
    }

    /// The ids of a text to be continued: with what the tokenizer puts before every text, unless
    /// the text begins with it already, as chat templates may write it. Nothing is put at the end.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let begun = self.specials.bos.as_ref().is_some_and(|bos| text.starts_with(&bos.token));
        let mut ids = self.encode(text, !begun)?;
        if let Some(eos) = &self.specials.eos
            && !begun
            && ids.last() == Some(&eos.id)
            && !text.ends_with(&eos.token)
        {
            ids.pop();
        }
        Ok(ids)
    }

    /// The text of some ids; special tokens are left out with `skip_special`.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let mut bytes = 0;
        for &id in ids {
            let Some(token) = self.inner.id_to_token(id) else {
                return Err(Error::argument(format!(
                    "token id {id} is not in the vocabulary of {} tokens",
                    self.size
                )));
            };
            bytes += token.len() + 1;
        }
        self.bounds.decode(bytes)?;
        read_foreign(&self.source, "a tokenizer that can write these tokens", || {
            self.inner
                .decode(ids, skip_special)
                .map_err(|e| Error::argument(format!("cannot decode {} tokens: {e}", ids.len())))
        })
    }

    /// A decoder for tokens that come one by one.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream::new(self, skip_special)
    }

    /// The id of a token as the vocabulary spells it.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id as the vocabulary spells it.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// One more than the largest id.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The special tokens that have a name: beginning, end, padding, unknown.
    pub fn specials(&self) -> &Specials {
        &self.specials
    }

    /// What `tokenizer_config.json` holds.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// What `tokenizer.json` holds.
    pub fn to_json(&self) -> Result<String> {
        self.inner
            .to_string(true)
            .map_err(|e| Error::argument(format!("the tokenizer cannot be written as JSON: {e}")))
    }
}

/// What is wrong if two tokens of the vocabulary have one id: one of them would be lost when it is written.
fn one_token_each(inner: &tokenizers::Tokenizer) -> std::result::Result<(), String> {
    let mut tokens: Vec<(u32, String)> =
        inner.get_vocab(false).into_iter().map(|(token, id)| (id, token)).collect();
    tokens.sort_unstable();
    match tokens.windows(2).find(|two| two[0].0 == two[1].0) {
        Some([(id, one), (_, other)]) => Err(format!("tokens {one:?} and {other:?} have the same id {id}")),
        _ => Ok(()),
    }
}

/// The beginning of a text, for messages.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}
