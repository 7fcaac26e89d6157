//! Writing a model as a Hugging Face folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::fingerprint::each_chunk;
use super::{Model, ParamSpec};
use crate::host::container::shards::{self, INDEX};
use crate::host::container::{self, Declared};
use crate::host::{Event, Host, write_atomic, write_folder};
use crate::{Error, Result};

/// How a model is written.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// The type weights are stored as: f32, bf16 or f16; `None`: the type they are held in.
    pub dtype: Option<DType>,
    /// The most bytes of tensors in one file (one tensor alone may be larger).
    pub shard_bytes: u64,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { dtype: None, shard_bytes: 5_000_000_000 }
    }
}

impl Model {
    /// Writes the model as a folder that Hugging Face transformers, candle and [`super::load`]
    /// read: `config.json`, `generation_config.json`, safetensors (several with an index where they
    /// would be too large), and the tokenizer's files. Returns the files.
    ///
    /// The folder is replaced as one: whatever interrupts this, it holds the model that was there or the new one. Files
    /// that do not belong to a model are kept, those of a former model removed.
    pub fn save(&self, folder: &Path, options: &SaveOptions, host: &Host) -> Result<Vec<PathBuf>> {
        if self.decoder.attached().is_some() {
            return Err(Error::argument(
                "the model has factors of low rank beside its weights, which a model's folder has no place for: save them as \
                 an adapter (lora.of(model):save(path)), or merge them first (lora.merge(model):save(path))",
            ));
        }
        let dtype = options.dtype.unwrap_or(self.params.dtype());
        let stored = Stored::of(dtype)?;
        let names = write_folder(folder, &is_of_a_model, host, |new| {
            self.write_files(new, stored, options.shard_bytes, host)
        })?;
        host.events.emit(Event::Saved(folder.to_path_buf()));
        Ok(names.into_iter().map(|name| folder.join(name)).collect())
    }

    fn write_files(
        &self,
        folder: &Path,
        stored: Stored,
        shard_bytes: u64,
        host: &Host,
    ) -> Result<Vec<String>> {
        let mut names = self.write_weights(folder, stored, shard_bytes, host)?;
        let mut write = |name: &str, text: String| -> Result<()> {
            let path = folder.join(name);
            write_atomic(&path, |out| out.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e)))?;
            names.push(name.to_string());
            Ok(())
        };
        write("config.json", pretty(&self.config.to_json(stored.torch))?)?;
        for (name, text) in self.companions()? {
            write(name, text)?;
        }
        Ok(names)
    }

    /// The files that lie beside the weights and `config.json`: defaults of generation, tokenizer, chat
    /// template; name and content of each.
    pub(crate) fn companions(&self) -> Result<Vec<(&'static str, String)>> {
        let mut files = Vec::new();
        if let Some(json) = self.generation_json() {
            files.push(("generation_config.json", pretty(&Value::Object(json))?));
        }
        let mut in_config = false;
        if let Some(tokenizer) = &self.tokenizer {
            files.push(("tokenizer.json", tokenizer.to_json()?));
            if !tokenizer.config().is_empty() {
                in_config = tokenizer.config().contains_key("chat_template");
                files.push(("tokenizer_config.json", pretty(&Value::Object(tokenizer.config().clone()))?));
            }
        }
        if let Some(template) = self.chat_template.as_ref().filter(|_| !in_config) {
            files.push(("chat_template.jinja", template.source().to_string()));
        }
        Ok(files)
    }

    /// What `generation_config.json` says; at least how a text ends.
    fn generation_json(&self) -> Option<Map<String, Value>> {
        let mut json = self.generation.json.clone();
        if !json.contains_key("eos_token_id") {
            match self.generation.eos.as_slice() {
                [] => {}
                [one] => drop(json.insert("eos_token_id".into(), json!(one))),
                several => drop(json.insert("eos_token_id".into(), json!(several))),
            }
            if let Some(bos) = self.config.bos {
                json.entry("bos_token_id").or_insert(json!(bos));
            }
        }
        (!json.is_empty()).then_some(json)
    }

    /// Writes the weights; the names of the files.
    fn write_weights(
        &self,
        folder: &Path,
        stored: Stored,
        shard_bytes: u64,
        host: &Host,
    ) -> Result<Vec<String>> {
        let specs = self.params.universe().specs();
        let size = |spec: &ParamSpec| spec.entries() * stored.size as u64;
        let sizes: Vec<u64> = specs.iter().map(size).collect();
        let files = shards::cut(&sizes, shard_bytes);
        let mut names = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let name = shards::file_name(at, files.len());
            let path = folder.join(&name);
            let headers: Vec<Declared<'_>> = specs[file.clone()]
                .iter()
                .map(|spec| Declared {
                    name: &spec.name,
                    dtype: stored.name,
                    shape: &spec.shape,
                    bytes: size(spec),
                })
                .collect();
            write_atomic(&path, |out| -> Result<()> {
                container::write(out, &path, &[("format", "pt")], &headers, |i, out| {
                    host.cancel.check()?;
                    let index = file.start + i;
                    host.events.progress("save", index as u64 + 1, specs.len() as u64, "");
                    write_tensor(out, &path, &specs[index].name, self.params.get(index), stored)
                })
            })?;
            names.push(name);
        }
        if files.len() > 1 {
            let of = |at: usize| specs[files[at].clone()].iter().map(|spec| spec.name.as_str());
            let places =
                names.iter().enumerate().flat_map(|(at, name)| of(at).map(|spec| (spec, name.as_str())));
            let text = shards::index(sizes.iter().sum(), places)?;
            let path = folder.join(INDEX);
            write_atomic(&path, |out| out.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e)))?;
            names.push(INDEX.to_string());
        }
        Ok(names)
    }
}

/// A type weights are stored as.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) dtype: DType,
    /// As safetensors spells it.
    pub(crate) name: &'static str,
    /// As configurations spell it.
    torch: &'static str,
    pub(crate) size: usize,
}

impl Stored {
    pub(crate) fn of(dtype: DType) -> Result<Self> {
        let (name, torch, size) = match dtype {
            DType::F32 => ("F32", "float32", 4),
            DType::BF16 => ("BF16", "bfloat16", 2),
            DType::F16 => ("F16", "float16", 2),
            other => {
                return Err(Error::argument(format!(
                    "weights are written as f32, bf16 or f16, not {}",
                    other.as_str()
                )));
            }
        };
        Ok(Self { dtype, name, torch, size })
    }
}

/// Writes the values of a tensor, little-endian, in the stored type.
pub(crate) fn write_tensor(
    out: &mut dyn Write,
    path: &Path,
    name: &str,
    tensor: &Tensor,
    stored: Stored,
) -> Result<()> {
    let mut buffer = Vec::new();
    each_chunk(tensor, |values| {
        buffer.clear();
        match stored.dtype {
            DType::BF16 => buffer.extend(values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes())),
            DType::F16 => {
                if let Some(v) = values.iter().find(|v| v.is_finite() && f16::from_f32(**v).is_infinite()) {
                    return Err(Error::argument(format!(
                        "parameter {name} holds {v}, which f16 cannot: write bf16 or f32"
                    )));
                }
                buffer.extend(values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
            }
            _ => buffer.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        }
        out.write_all(&buffer).map_err(|e| Error::io(path, e))
    })
}

/// Whether a file of this name belongs to the model of its folder, so that it must not stay when another model is
/// written there: a reader might take it for the new one's.
pub(crate) fn is_of_a_model(name: &str) -> bool {
    let weights = |begin: &str, end: &str| name.starts_with(begin) && name.ends_with(end);
    weights("model", ".safetensors")
        || weights("model", ".safetensors.index.json")
        || weights("pytorch_model", ".bin")
        || weights("pytorch_model", ".bin.index.json")
        || is_of_a_tokenizer(name)
        || ["config.json", "generation_config.json", "chat_template.jinja", "chat_template.json"]
            .contains(&name)
}

/// The same of the tokenizer in a folder.
pub(super) fn is_of_a_tokenizer(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.model",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
    ];
    NAMES.contains(&name)
}

fn pretty(value: &Value) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::argument(format!("a configuration cannot be written as JSON: {e}")))?;
    text.push('\n');
    Ok(text)
}
