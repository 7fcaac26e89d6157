//! A model folder whose weights stay in their files: safetensors, mapped and read as they are asked for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Float;
use super::identity::stamp;
use super::input::{Info, Input, Reader, missing};
use crate::host::{finish_folder, read_bytes};
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
        Ok(Self { label: label.into(), path: path.to_path_buf(), shards, config })
    }
}

impl Input for Folder {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        use crate::model::weights::Source;
        self.shards.names()
    }

    fn info(&self, name: &str) -> Option<Info> {
        let raw = self.shards.raw(name)?;
        Some(Info {
            shape: raw.shape.to_vec(),
            float: Float::of_header(raw.dtype),
            dtype: raw.dtype.to_string(),
        })
    }

    fn reader<'a>(&'a self, name: &str) -> Result<Box<dyn Reader + 'a>> {
        let raw = self.shards.raw(name).ok_or_else(|| missing(&self.label, name))?;
        let float = Float::of_header(raw.dtype).ok_or_else(|| {
            Error::format(
                raw.file,
                format!("tensor {name} is stored as {}: only F32, F16 and BF16 can be merged (`lota model convert` writes these)", raw.dtype),
            )
        })?;
        Ok(Box::new(Stretch { raw, float }))
    }

    fn raw(&self, name: &str) -> Option<&[u8]> {
        self.shards.raw(name).map(|raw| raw.bytes)
    }

    fn config(&self) -> Option<&Map<String, Value>> {
        Some(&self.config)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.path)
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
