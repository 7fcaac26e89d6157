//! The weights of a GGUF file as Hugging Face would hold them.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device, Tensor};

use super::header::{Entry, Gguf};
use super::kind::Kind;
use super::{blocks, names};
use crate::model::weights::Source;
use crate::model::{Config, ParamSpec};
use crate::{Error, Result};

/// The tensors of a file under Hugging Face names.
pub(crate) struct Weights<'a> {
    file: &'a Gguf,
    config: &'a Config,
    /// From the Hugging Face name to the file's.
    names: BTreeMap<String, &'a str>,
}

impl<'a> Weights<'a> {
    /// The weights of `file` for the model that `config` describes.
    pub(crate) fn new(file: &'a Gguf, config: &'a Config) -> Self {
        let names = file
            .tensors()
            .keys()
            .map(|name| (names::hugging_face(config.family, name), name.as_str()))
            .collect();
        Self { file, config, names }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.file.tensors().get(*self.names.get(name)?)
    }

    /// Undoes what the converter did to a tensor.
    fn restore(&self, name: &str, tensor: Tensor) -> candle_core::Result<Tensor> {
        let family = self.config.family;
        let heads = if name.contains(".self_attn.q_proj.") {
            self.config.heads
        } else if name.contains(".self_attn.k_proj.") {
            self.config.kv_heads
        } else if names::norms_shifted(family) && name.ends_with("norm.weight") {
            return tensor.affine(1.0, -1.0);
        } else {
            return Ok(tensor);
        };
        let rows = tensor.dim(0)?;
        if !names::interleaved(family) || !rows.is_multiple_of(2 * heads) {
            return Ok(tensor);
        }
        tensor.index_select(&Tensor::new(half_split(rows, heads), &Device::Cpu)?, 0)
    }
}

/// A tensor of the file in f32.
pub(super) fn dequantise(file: &Gguf, entry: &Entry) -> candle_core::Result<Tensor> {
    let (bytes, shape) = (file.bytes(entry), entry.shape.clone());
    let Kind::Candle(dtype) = entry.kind else {
        return Tensor::from_vec(blocks::dequantise(entry.kind, bytes), shape, &Device::Cpu);
    };
    if dtype != GgmlDType::Q8K {
        return qtensor_from_ggml(dtype, bytes, shape, &Device::Cpu)?.dequantize(&Device::Cpu);
    }
    // candle writes this type and computes with it, but its reader of tensors leaves it out. A block is
    // an f32 scale, 256 signed bytes, and sums that only products need.
    const VALUES: usize = 256;
    let mut values = Vec::with_capacity(entry.shape.iter().product());
    for block in bytes.chunks_exact(dtype.type_size()) {
        let (scale, rest) = block.split_at(4);
        let scale = f32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]);
        values.extend(rest[..VALUES].iter().map(|&b| scale * f32::from(b as i8)));
    }
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// For each row in half-split order, the row in interleaved order: a head's rows there are the
/// pairs that turn together, one pair after the other.
fn half_split(rows: usize, heads: usize) -> Vec<u32> {
    let head = rows / heads;
    (0..rows)
        .map(|row| {
            let (base, within) = (row / head * head, row % head);
            let (half, pair) = (within / (head / 2), within % (head / 2));
            (base + 2 * pair + half) as u32
        })
        .collect()
}

impl Source for Weights<'_> {
    fn names(&self) -> Vec<String> {
        // Tables of frequencies have become part of the configuration.
        self.names.keys().filter(|n| !n.starts_with("rope_")).cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entry(name).map(|e| e.shape.clone())
    }

    fn file(&self, name: &str) -> &Path {
        self.entry(name).map_or(self.file.path(), |entry| self.file.path_of(entry))
    }

    fn read(&self, spec: &ParamSpec, dtype: DType) -> Result<Tensor> {
        let failed =
            |what: String| Error::format(self.file(&spec.name), format!("tensor {} {what}", spec.name));
        let entry = self.entry(&spec.name).ok_or_else(|| failed("is missing".to_string()))?;
        let tensor = dequantise(self.file, entry)
            .and_then(|tensor| self.restore(&spec.name, tensor))
            .and_then(|tensor| tensor.to_dtype(dtype));
        self.file.release(entry);
        tensor.map_err(|e| failed(format!("cannot be dequantised: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_rows_come_back_in_halves() {
        // Two heads of four rows. The converter writes row (head, half, pair) at (head, pair, half).
        let original = [0u32, 1, 2, 3, 4, 5, 6, 7];
        let mut written = [0; 8];
        for head in 0..2 {
            for half in 0..2 {
                for pair in 0..2 {
                    written[head * 4 + pair * 2 + half] = original[head * 4 + half * 2 + pair];
                }
            }
        }
        let read: Vec<u32> = half_split(8, 2).into_iter().map(|i| written[i as usize]).collect();
        assert_eq!(read, original);
    }
}
