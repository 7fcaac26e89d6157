//! Loading: a Hugging Face folder, or a GGUF file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::gguf::{self, Gguf};
use super::weights::{self, Shards};
use super::{ChatTemplate, Config, Decoder, GenerationDefaults, Model, Tokenizer};
use crate::host::Host;
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
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { dtype: DType::F32, exec: Exec::cpu(), tokenizer: None }
    }
}

/// Loads a model from a folder as Hugging Face lays it out, or from a GGUF file.
pub fn load(source: &str, options: &LoadOptions, host: &Host) -> Result<Model> {
    let path = Path::new(source);
    if path.is_dir() {
        return folder(path, source, options, host);
    }
    if path.is_file() {
        return file(path, source, options, host);
    }
    Err(Error::argument(format!("{source:?} is not a model: there is no such file or folder")))
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
        Some(path) => Some(Tokenizer::open(path)?),
        None => Tokenizer::of_gguf(meta)?,
    };
    let tokenizer = tokenizer.map(Arc::new);
    let chat_template = match meta.text_or("tokenizer.chat_template")? {
        Some(source) => Some(ChatTemplate::new(source).map_err(|e| Error::format(path, e.to_string()))?),
        None => None,
    };
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
    let decoder = Decoder::new(&config)?;
    let shards = Shards::open(path)?;
    let params = weights::read_params(&shards, decoder.universe(), options.dtype, &options.exec, host)?;
    let file = options.tokenizer.clone().unwrap_or_else(|| path.join("tokenizer.json"));
    let tokenizer = if options.tokenizer.is_some() || file.exists() {
        Some(Arc::new(Tokenizer::open(&file)?))
    } else {
        None
    };
    let none = serde_json::Map::new();
    let tokenizer_config = tokenizer.as_ref().map_or(&none, |t| t.config());
    let chat_template = ChatTemplate::of_folder(path, tokenizer_config)?;
    let generation = GenerationDefaults::of_folder(path, &config, tokenizer.as_deref())?;
    let exec = options.exec.clone();
    let source = source.to_string();
    Ok(Model { config, decoder, params, exec, tokenizer, chat_template, generation, source })
}
