//! A model whose files are part of the program. Nothing is read from a disk, so it is there where no file may be opened.

use std::path::Path;
use std::sync::Arc;

use serde_json::Map;

use super::json::object;
use super::weights::{self, Shards};
use super::{ChatTemplate, Config, Decoder, GenerationDefaults, LoadOptions, Model, Tokenizer};
use crate::host::Host;
use crate::{Error, Result};

/// Loads a model from the files of a Hugging Face folder, by name; `source` is what the model says it came from. The weights
/// are one `model.safetensors`.
pub fn load_embedded(
    files: &[(&str, &'static [u8])],
    source: &str,
    options: &LoadOptions,
    host: &Host,
) -> Result<Model> {
    let folder = Path::new(source);
    let find = |name: &str| files.iter().find(|(other, _)| *other == name).map(|(_, bytes)| *bytes);
    let needed = |name: &str| find(name).ok_or_else(|| Error::format(folder, format!("{name} is missing")));
    let map =
        |name: &str| find(name).map_or_else(|| Ok(Map::new()), |bytes| object(&folder.join(name), bytes));
    let config = Config::from_json(&object(&folder.join("config.json"), needed("config.json")?)?.into())?;
    let decoder = Decoder::new(&config)?;
    let shards = Shards::embedded(&folder.join("model.safetensors"), needed("model.safetensors")?)?;
    let params = weights::read_params(&shards, decoder.universe(), options.dtype, &options.exec, host)?;
    let model = Model::new(config, params, options.exec.clone(), source)?;
    let beside = folder.join("tokenizer_config.json");
    let tokenizer = match (&options.tokenizer, find("tokenizer.json")) {
        (Some(path), _) => Some(Tokenizer::open(path, &host.room)?),
        (None, Some(bytes)) => {
            let path = folder.join("tokenizer.json");
            let config = || map("tokenizer_config.json");
            Some(Tokenizer::of_files(&path, bytes, &beside, config, &host.room)?)
        }
        (None, None) => None,
    };
    let none = Map::new();
    let config = tokenizer.as_ref().map_or(&none, Tokenizer::config);
    let chat_template = ChatTemplate::of_config(&beside, config);
    let generation =
        GenerationDefaults::new(map("generation_config.json")?, &model.config, tokenizer.as_ref());
    Ok(Model { tokenizer: tokenizer.map(Arc::new), chat_template, generation, ..model })
}
