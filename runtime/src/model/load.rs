//! Loading: a Hugging Face folder, a GGUF file, or a model of the hub by its id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::gguf::{self, Gguf};
use super::weights::{self, Shards};
use super::{ChatTemplate, Config, Decoder, GenerationDefaults, Model, Tokenizer, tied};
use crate::host::{Host, Room, finish_folder, read_foreign};
use crate::ops::Exec;
use crate::{Error, Result};

/// How a model is loaded.
#[derive(Clone)]
pub struct LoadOptions {
    /// The type weights are held in: f32 or bf16. Norms and biases are f32 either way.
    pub dtype: DType,
    /// How operations are carried out, and where tensors lie.
    pub exec: Exec,
    /// A `tokenizer.json` to use instead of the model's own.
    pub tokenizer: Option<PathBuf>,
    /// Where models of the hub are kept, and how they are downloaded.
    pub hub: HubOptions,
}

/// Where models of the Hugging Face hub are kept, and how they are downloaded.
#[derive(Clone, Debug, Default)]
pub struct HubOptions {
    /// The hub's cache, which other tools share (`~/.cache/huggingface/hub`).
    pub cache_dir: Option<PathBuf>,
    /// Another hub than Hugging Face's.
    pub endpoint: Option<String>,
    /// An access token, for models that ask for one.
    pub token: Option<String>,
    /// A branch, tag or commit instead of `main`.
    pub revision: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { dtype: DType::F32, exec: Exec::cpu(), tokenizer: None, hub: HubOptions::default() }
    }
}

/// The folder or file that a source is, which for a hub id is in the hub's cache.
pub(super) fn locate(source: &str, hub: &HubOptions, host: &Host) -> Result<PathBuf> {
    let path = Path::new(source);
    if path.exists() {
        finish_folder(path)?;
        return Ok(path.to_path_buf());
    }
    if !looks_like_id(source) {
        return Err(Error::argument(format!(
            "{source:?} is not a model: there is no such file or folder, and ids of the hub look like org/name"
        )));
    }
    fetch(source, hub, host)
}

/// Loads a model from a folder as Hugging Face lays it out, from a GGUF file, or from the hub by its
/// id (`org/name`, `org/name/file.gguf`).
pub fn load(source: &str, options: &LoadOptions, host: &Host) -> Result<Model> {
    let path = locate(source, &options.hub, host)?;
    if path.is_dir() { folder(&path, source, options, host) } else { file(&path, source, options, host) }
}

/// Whether a source that is not there could be `org/name` or `org/name/file`.
fn looks_like_id(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    let word = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let weights = [".gguf", ".safetensors", ".json"].iter().any(|e| source.ends_with(e));
    parts.iter().all(word) && (parts.len() == 2 && !weights || parts.len() >= 3 && source.ends_with(".gguf"))
}

#[cfg(feature = "hub")]
use super::hub::fetch;

#[cfg(not(feature = "hub"))]
fn fetch(source: &str, _: &HubOptions, _: &Host) -> Result<PathBuf> {
    Err(Error::argument(format!(
        "there is no folder {source}; it looks like the id of a model of the hub, which this program was built without (feature `hub`)"
    )))
}

/// Loads a GGUF file.
fn file(path: &Path, source: &str, options: &LoadOptions, host: &Host) -> Result<Model> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return Err(Error::format(path, "weights alone are not a model: give the folder they lie in"));
    }
    let file = Gguf::open(path)?;
    let meta = file.metadata();
    let config =
        Config::from_json(&gguf::config_json(&file)?).map_err(|e| Error::format(path, e.to_string()))?;
    let decoder = Decoder::new(&config)?;
    let weights = gguf::Weights::new(&file, &config);
    let params = weights::read_params(&weights, decoder.universe(), options.dtype, &options.exec, host)?;
    let tokenizer = match &options.tokenizer {
        Some(path) => Some(Tokenizer::open(path, &host.room)?),
        None => read_foreign(path, "a GGUF file", || Tokenizer::of_gguf(meta, &host.room))?,
    };
    let tokenizer = tokenizer.map(Arc::new);
    let chat_template =
        meta.text_or("tokenizer.chat_template")?.map(|source| ChatTemplate::of_model(path, source));
    let mut generation = GenerationDefaults::new(serde_json::Map::new(), &config, tokenizer.as_deref());
    for role in ["eot", "eom"] {
        if let Some(id) = meta.id_or(&format!("tokenizer.ggml.{role}_token_id"))?
            && !generation.eos.contains(&id)
        {
            generation.eos.push(id);
        }
    }
    let exec = options.exec.clone();
    let source = source.to_string();
    Ok(Model { config, decoder, params, exec, tokenizer, chat_template, generation, source })
}

/// Loads a folder with `config.json`, safetensors and, if they are there, the tokenizer's files.
fn folder(path: &Path, source: &str, options: &LoadOptions, host: &Host) -> Result<Model> {
    let config = Config::read(&path.join("config.json"))?;
    for notice in config.not_done() {
        host.events.notice(format!("{}: {notice}", path.join("config.json").display()));
    }
    let shards = Shards::open(path, config.json())?;
    let config = tied::as_stored(config, &shards, host)?;
    let decoder = Decoder::new(&config)?;
    let params = weights::read_params(&shards, decoder.universe(), options.dtype, &options.exec, host)?;
    let model = Model::new(config, params, options.exec.clone(), source)?;
    model.furnished(path, options.tokenizer.as_deref(), &host.room)
}

impl Model {
    /// Gives the model what lies beside its weights in a folder: tokenizer, chat template and defaults
    /// of generation, as far as there are any.
    pub(crate) fn furnished(self, folder: &Path, tokenizer: Option<&Path>, room: &Room) -> Result<Self> {
        let tokenizer = match tokenizer {
            Some(file) => Some(Tokenizer::open(file, room)?),
            None => Tokenizer::of_folder(folder, room)?,
        };
        let tokenizer = tokenizer.map(Arc::new);
        let none = serde_json::Map::new();
        let chat_template =
            ChatTemplate::of_folder(folder, tokenizer.as_ref().map_or(&none, |t| t.config()))?;
        let generation = GenerationDefaults::of_folder(folder, &self.config, tokenizer.as_deref())?;
        Ok(Self { tokenizer, chat_template, generation, ..self })
    }
}
