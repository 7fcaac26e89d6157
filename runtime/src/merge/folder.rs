//! A model folder whose weights stay in their files: safetensors, mapped and read as they are asked for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Float;
use super::identity::stamp;
use super::input::{Info, Input, Reader, missing};
use crate::host::{finish_folder, read_bytes};
use crate::model::Config as ModelConfig;
use crate::model::tied::{EMBEDDING, HEAD, notice, same};
use crate::model::weights::{Raw, Shards};
use crate::{Error, Result};

/// Tensors of at least this many bytes give their pages back while they are read, not only at the end.
const LARGE: usize = 32 << 20;

/// The safetensors of a folder.
pub struct Folder {
    label: String,
    path: PathBuf,
    shards: Shards,
    config: Map<String, Value>,
    head: StoredHead,
}

/// The head in the files of a model whose `config.json` says that the embedding is the head.
enum StoredHead {
    /// There is none, or the configuration does not say so.
    Plain,
    /// It repeats the embedding, and is left out.
    Copy,
    /// It differs, and counts.
    Own,
}

impl Folder {
    /// Maps the weights of a folder and reads its `config.json`; nothing else is read yet.
    pub fn open(path: &Path, label: impl Into<String>) -> Result<Self> {
        finish_folder(path)?;
        let file = path.join("config.json");
        let text = read_bytes(&file)?;
        let config = match serde_json::from_slice(&text) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err(Error::format(&file, "not a JSON object")),
            Err(e) => return Err(Error::format(&file, format!("not JSON: {e}"))),
        };
        let shards = Shards::open(path, &config)?;
        if let Some(name) = shards.indirect() {
            return Err(Error::format(
                path,
                format!(
                    "tensor {name} is stored with scales or in another order, which is not merged as it is: `lota model \
                     convert` makes a folder of plain weights"
                ),
            ));
        }
        let mut opened =
            Self { label: label.into(), path: path.to_path_buf(), shards, config, head: StoredHead::Plain };
        if opened.says_tied() && opened.shards.raw(HEAD).is_some() && opened.shards.raw(EMBEDDING).is_some() {
            opened.head = if same(&opened.shards, HEAD, EMBEDDING)? {
                StoredHead::Copy
            } else {
                opened.config.insert("tie_word_embeddings".into(), Value::Bool(false));
                StoredHead::Own
            };
        }
        Ok(opened)
    }

    /// Whether the configuration says that the head is the embedding; what an architecture that cannot be run here takes
    /// for granted is not known.
    fn says_tied(&self) -> bool {
        let said = self.config.get("tie_word_embeddings").and_then(Value::as_bool);
        said.unwrap_or_else(|| {
            ModelConfig::from_json(&Value::Object(self.config.clone())).is_ok_and(|config| config.tied)
        })
    }

    /// A tensor of the files that is part of the model.
    fn stored(&self, name: &str) -> Option<Raw<'_>> {
        if name == HEAD && matches!(self.head, StoredHead::Copy) { None } else { self.shards.raw(name) }
    }
}

impl Input for Folder {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        use crate::model::weights::Source;
        let mut names = self.shards.names();
        names.retain(|name| self.stored(name).is_some());
        names
    }

    fn info(&self, name: &str) -> Option<Info> {
        let raw = self.stored(name)?;
        Some(Info {
            shape: raw.shape.to_vec(),
            float: Float::of_header(raw.dtype),
            dtype: raw.dtype.to_string(),
        })
    }

    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        let raw = self.stored(name).ok_or_else(|| missing(&self.label, name))?;
        let float = Float::of_header(raw.dtype).ok_or_else(|| {
            Error::format(
                raw.file,
                format!("tensor {name} is stored as {}: only F32, F16 and BF16 can be merged (`lota model convert` writes these)", raw.dtype),
            )
        })?;
        Ok(Box::new(Stretch { raw, float }))
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.stored(name).map(|raw| raw.bytes)
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        Some(&self.config)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn notice(&self) -> Option<String> {
        matches!(self.head, StoredHead::Own).then(|| notice(&self.label, HEAD, EMBEDDING))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.paths().map(Path::to_path_buf).collect()
    }

    fn identity(&self) -> Result<String> {
        stamp(self.shards.paths())
    }
}

/// One tensor of a mapped file.
struct Stretch<'a> {
    raw: Raw<'a>,
    float: Float,
}

impl Reader for Stretch<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        let size = self.float.size();
        let bytes = &self.raw.bytes[start * size..(start + len) * size];
        if self.float == Float::F32
            && cfg!(target_endian = "little")
            && let Ok(values) = bytemuck::try_cast_slice(bytes)
        {
            return Ok(values);
        }
        self.float.decode(bytes, scratch);
        Ok(scratch)
    }

    fn release(&self, start: usize, len: usize) {
        let size = self.float.size();
        let whole = start == 0 && len * size == self.raw.bytes.len();
        if whole || self.raw.bytes.len() >= LARGE {
            self.raw.release(start * size..(start + len) * size);
        }
    }
}
