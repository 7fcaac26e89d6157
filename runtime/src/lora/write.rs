//! Writing an adapter's folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use super::Adapter;
use crate::host::container::{self, Declared};
use crate::host::{Event, Host, write_atomic, write_folder};
use crate::model::save::{Stored, write_tensor};
use crate::{Error, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// The files of an adapter. `adapter_model.bin` is what peft wrote earlier.
const FILES: [&str; 3] = [CONFIG, WEIGHTS, "adapter_model.bin"];

impl Adapter {
    /// Writes `adapter_model.safetensors` and `adapter_config.json` as peft reads them, replacing those of the folder as
    /// one; factors as `dtype` (f32, bf16 or f16). Returns the files.
    pub fn save(&self, folder: &Path, dtype: DType, host: &Host) -> Result<Vec<PathBuf>> {
        let stored = Stored::of(dtype)?;
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        for module in &self.modules {
            let (a, b) = match module.embedding {
                false => ("lora_A.weight", "lora_B.weight"),
                true => ("lora_embedding_A", "lora_embedding_B"),
            };
            tensors.push((format!("base_model.model.{}.{a}", module.name), &module.a));
            tensors.push((format!("base_model.model.{}.{b}", module.name), &module.b));
        }
        for replaced in &self.replaced {
            tensors
                .push((format!("base_model.model.{}", self.stored_name(&replaced.param)), &replaced.values));
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let headers: Vec<Declared<'_>> = tensors
            .iter()
            .map(|(name, tensor)| Declared {
                name,
                dtype: stored.name,
                shape: tensor.dims(),
                bytes: (tensor.elem_count() * stored.size) as u64,
            })
            .collect();
        let text = serde_json::to_string_pretty(&self.config.to_json())
            .map_err(|e| Error::argument(format!("the configuration cannot be written as JSON: {e}")))?;
        write_folder(folder, &|name| FILES.contains(&name), host, |new| {
            let weights = new.join(WEIGHTS);
            write_atomic(&weights, |out| -> Result<()> {
                container::write(out, &weights, &[("format", "pt")], &headers, |i, out| {
                    host.cancel.check()?;
                    write_tensor(out, &weights, &tensors[i].0, tensors[i].1, stored)
                })
            })?;
            let config = new.join(CONFIG);
            write_atomic(&config, |out| writeln!(out, "{text}").map_err(|e| Error::io(&config, e)))
        })?;
        host.events.emit(Event::Saved(folder.to_path_buf()));
        Ok(vec![folder.join(CONFIG), folder.join(WEIGHTS)])
    }

    /// The name under which a parameter that is replaced is stored: where its module has factors as
    /// well, those wrap the layer.
    fn stored_name(&self, param: &str) -> String {
        match param.rsplit_once('.') {
            Some((module, last)) if self.modules.iter().any(|m| m.name == module) => {
                format!("{module}.base_layer.{last}")
            }
            _ => param.to_string(),
        }
    }
}
