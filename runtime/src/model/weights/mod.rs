//! Weight files: where tensors come from, and how they become the parameters of a model.

mod convert;
mod float8;
mod mapped;
mod safetensors;
mod scaled;
mod torch;

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{ParamSpec, Params, Universe};
use crate::host::Host;
use crate::ops::Exec;
use crate::{Error, Result};

use convert::{Stored, append_f32, to_tensor};
pub(crate) use mapped::Mapped;
pub(crate) use safetensors::{Raw, Shards, canonical};

/// A place that holds tensors under Hugging Face names.
pub(crate) trait Source: Sync {
    /// The names of all tensors, sorted.
    fn names(&self) -> Vec<String>;
    /// The shape of a tensor, if it is there.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// The file a tensor lies in (or would), for messages.
    fn file(&self, name: &str) -> &Path;
    /// Reads a tensor to the CPU as `dtype` (f32 or bf16).
    fn read(&self, spec: &ParamSpec, dtype: DType) -> Result<Tensor>;
}

/// Reads every parameter of `universe` from `source`, in parallel, checking each; weights as
/// `dtype`. Tensors that belong to no parameter are reported unless they are known to be of no
/// use.
pub(crate) fn read_params(
    source: &dyn Source,
    universe: &Arc<Universe>,
    dtype: DType,
    exec: &Exec,
    host: &Host,
) -> Result<Params> {
    check_dtype(dtype)?;
    for spec in universe.specs() {
        check(source, spec)?;
    }
    let bytes = |spec: &ParamSpec| spec.entries() * Params::dtype_of(spec.role, dtype).size_in_bytes() as u64;
    host.room.ask(universe.specs().iter().map(bytes).fold(0, u64::saturating_add))?;
    report_extra(source, universe, host);
    let device: &Device = exec.device();
    let count = host.events.count("load", 0, universe.len() as u64);
    let read = |spec: &ParamSpec| -> Result<Tensor> {
        host.cancel.check()?;
        let tensor = source.read(spec, Params::dtype_of(spec.role, dtype))?;
        let tensor = if device.is_cpu() { tensor } else { tensor.to_device(device)? };
        count.one("");
        Ok(tensor)
    };
    let tensors = exec.run(|| universe.specs().par_iter().map(read).collect::<Result<Vec<_>>>())?;
    Params::new(universe.clone(), tensors)
}

/// An error unless `dtype` is one that weights can have.
fn check_dtype(dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 | DType::BF16 => Ok(()),
        other => Err(Error::argument(format!(
            "weights are held as f32 or bf16, not {}: choose one of the two",
            other.as_str()
        ))),
    }
}

/// An error naming file and tensor unless `source` has this parameter in its shape.
pub(crate) fn check(source: &dyn Source, spec: &ParamSpec) -> Result<()> {
    let Some(shape) = source.shape(&spec.name) else {
        let hint = match spec.name.as_str() {
            "lm_head.weight" => {
                " (if the output head is the embedding, config.json must say tie_word_embeddings)"
            }
            _ => "",
        };
        return Err(Error::format(
            source.file(&spec.name),
            format!("tensor {} of shape {:?} is missing{hint}", spec.name, spec.shape),
        ));
    };
    if shape != spec.shape {
        return Err(Error::format(
            source.file(&spec.name),
            format!(
                "tensor {} has shape {shape:?}, but the configuration asks for {:?}",
                spec.name, spec.shape
            ),
        ));
    }
    Ok(())
}

/// Emits a notice that names tensors which are in the file and not in the model.
fn report_extra(source: &dyn Source, universe: &Universe, host: &Host) {
    let extra: Vec<String> = source
        .names()
        .into_iter()
        .filter(|name| universe.index_of(name).is_none() && !harmless(name))
        .collect();
    if let Some(first) = extra.first() {
        let others = match extra.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        host.events.notice(format!(
            "{}: tensor {first}{others} belongs to no parameter of this architecture and is ignored",
            source.file(first).display()
        ));
    }
}

/// Tensors that files carry and no decoder needs: rotary tables, causal masks, the copy of a tied
/// head, and the image half of a model whose text half is read.
fn harmless(name: &str) -> bool {
    name == "lm_head.weight"
        || name.ends_with(".inv_freq")
        || name.ends_with(".attn.bias")
        || name.ends_with(".masked_bias")
        || ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
