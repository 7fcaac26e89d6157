//! Reading an adapter's folder.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::Value;

use super::{Adapter, Config, Module, Replaced};
use crate::host::{finish_folder, read_bytes};
use crate::model::weights::{Shards, Source as _, canonical};
use crate::model::{ParamSpec, Role};
use crate::{Error, Result, host};

/// The file with an adapter's settings.
pub const CONFIG: &str = "adapter_config.json";
/// The file with an adapter's factors.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// The factors of a module, as they are found.
#[derive(Default)]
struct Factors {
    a: Option<Tensor>,
    b: Option<Tensor>,
    embedding: bool,
}

impl Adapter {
    /// Reads a folder with `adapter_config.json` and `adapter_model.safetensors`.
    pub fn load(folder: &Path) -> Result<Self> {
        finish_folder(folder)?;
        let path = folder.join(CONFIG);
        let text = read_bytes(&path)?;
        let json: Value =
            serde_json::from_slice(&text).map_err(|e| Error::format(&path, format!("not JSON: {e}")))?;
        let config = Config::from_json(&json).map_err(|e| Error::format(&path, e.to_string()))?;
        let weights = folder.join(WEIGHTS);
        if !weights.exists() && folder.join("adapter_model.bin").exists() {
            return Err(Error::format(
                folder.join("adapter_model.bin"),
                "is a pickle, which is not read: have peft save the adapter as safetensors",
            ));
        }
        Self::read(config, &weights).map_err(|e| match e {
            Error::Host(host::Error::Argument(what)) => Error::format(&weights, what),
            other => other,
        })
    }

    fn read(config: Config, path: &Path) -> Result<Self> {
        let shards = Shards::file_alone(path)?;
        let mut factors: BTreeMap<String, Factors> = BTreeMap::new();
        let mut replaced = Vec::new();
        for name in shards.names() {
            let shape = shards.shape(&name).unwrap_or_default();
            let spec = ParamSpec { name: name.clone(), shape, role: Role::Mlp, layer: None };
            let tensor = shards.read(&spec, DType::F32)?;
            let inner = name.strip_prefix("base_model.model.").ok_or_else(|| {
                Error::argument(format!(
                    "tensor {name} does not begin with base_model.model., as adapters' do"
                ))
            })?;
            let known = [
                (".lora_A.weight", false, false),
                (".lora_B.weight", true, false),
                (".lora_embedding_A", false, true),
                (".lora_embedding_B", true, true),
            ];
            let found = known.iter().find_map(|(end, b, embedding)| {
                inner.strip_suffix(end).map(|module| (module, *b, *embedding))
            });
            match found {
                Some((module, is_b, embedding)) => {
                    if tensor.rank() != 2 {
                        return Err(Error::argument(format!(
                            "tensor {name} has shape {:?}: only factors of matrices are read",
                            tensor.dims()
                        )));
                    }
                    if !config.reaches(module) {
                        return Err(Error::argument(format!(
                            "tensor {name} is of a module that target_modules and layers_to_transform of the \
                             configuration leave out: peft would not apply it. Correct these, or take the tensor out"
                        )));
                    }
                    let factors = factors.entry(module_name(module)).or_default();
                    factors.embedding = embedding;
                    *(if is_b { &mut factors.b } else { &mut factors.a }) = Some(tensor);
                }
                None if inner.contains("lora_") => {
                    return Err(Error::argument(format!(
                        "tensor {name} is of a kind of LoRA that is not read"
                    )));
                }
                None => {
                    let param =
                        canonical(&inner.replace(".modules_to_save.", ".").replace(".base_layer.", "."));
                    replaced.push(Replaced { param, values: tensor });
                }
            }
        }
        let modules = factors
            .into_iter()
            .map(|(name, factors)| module(&config, name, factors))
            .collect::<Result<Vec<_>>>()?;
        if modules.is_empty() && replaced.is_empty() {
            return Err(Error::argument("holds no factors"));
        }
        Ok(Self { config, modules, replaced })
    }
}

/// The module's name in a text-only decoder.
fn module_name(name: &str) -> String {
    // As a parameter, so that the prefixes of parameters are recognised.
    let param = canonical(&format!("{name}.weight"));
    param.strip_suffix(".weight").unwrap_or(&param).to_string()
}

fn module(config: &Config, name: String, factors: Factors) -> Result<Module> {
    let (Some(a), Some(b)) = (factors.a, factors.b) else {
        return Err(Error::argument(format!("module {name} has only one of its two factors")));
    };
    let (rank, scale) = config.of_module(&name)?;
    let (of_a, of_b) = (a.dims()[0], b.dims()[1]);
    if of_a != rank || of_b != rank {
        return Err(Error::argument(format!(
            "module {name} has factors of shapes {:?} and {:?}, and the configuration gives it rank {rank}",
            a.dims(),
            b.dims()
        )));
    }
    let transposed = factors.embedding || config.fan_in_fan_out;
    Ok(Module { name, a, b, scale, transposed, embedding: factors.embedding })
}
