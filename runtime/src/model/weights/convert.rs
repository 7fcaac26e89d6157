//! From stored bytes to tensors: f32, f16 and bf16 in, f32 or bf16 out.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::{Error, Result};

/// The types of stored weights that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F32,
    F16,
    BF16,
}

impl Stored {
    /// The type of a name as safetensors spells it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::BF16),
            _ => None,
        }
    }

    /// Bytes of one entry.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// Entries converted at a time by one thread.
const CHUNK: usize = 1 << 16;

/// Little-endian `bytes` as a CPU tensor of `dtype` (f32 or bf16). The caller has checked that
/// there are as many bytes as `shape` needs.
pub(crate) fn to_tensor(bytes: &[u8], stored: Stored, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let f32s = |e: [u8; 4]| f32::from_le_bytes(e);
    let f16s = |e: [u8; 2]| f16::from_le_bytes(e);
    let bf16s = |e: [u8; 2]| bf16::from_le_bytes(e);
    let device = &Device::Cpu;
    let tensor = match (stored, dtype) {
        (Stored::F32, DType::F32) => Tensor::from_vec(map(bytes, f32s), shape, device),
        (Stored::F16, DType::F32) => Tensor::from_vec(map(bytes, |e| f16s(e).to_f32()), shape, device),
        (Stored::BF16, DType::F32) => Tensor::from_vec(map(bytes, |e| bf16s(e).to_f32()), shape, device),
        (Stored::F32, DType::BF16) => {
            Tensor::from_vec(map(bytes, |e| bf16::from_f32(f32s(e))), shape, device)
        }
        (Stored::F16, DType::BF16) => {
            Tensor::from_vec(map(bytes, |e| bf16::from_f32(f16s(e).to_f32())), shape, device)
        }
        (Stored::BF16, DType::BF16) => Tensor::from_vec(map(bytes, bf16s), shape, device),
        (_, other) => return Err(Error::argument(format!("weights cannot be read as {}", other.as_str()))),
    };
    Ok(tensor?)
}

/// Appends little-endian `bytes` as f32, on this thread.
pub(crate) fn append_f32(bytes: &[u8], stored: Stored, out: &mut Vec<f32>) {
    match stored {
        Stored::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&e| f32::from_le_bytes(e))),
        Stored::F16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|&e| f16::from_le_bytes(e).to_f32())),
        Stored::BF16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|&e| bf16::from_le_bytes(e).to_f32())),
    }
}

/// Every `N`-byte entry of `bytes` through `read`, in parallel.
fn map<const N: usize, T: Default + Copy + Send + Sync>(
    bytes: &[u8],
    read: impl Fn([u8; N]) -> T + Sync,
) -> Vec<T> {
    let (entries, _) = bytes.as_chunks::<N>();
    let mut out = vec![T::default(); entries.len()];
    out.par_chunks_mut(CHUNK).zip(entries.par_chunks(CHUNK)).for_each(|(out, entries)| {
        for (o, &e) in out.iter_mut().zip(entries) {
            *o = read(e);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_type_reads_as_both_types() {
        let values = [1.0f32, -2.5, 0.099_975_586, 65504.0];
        let bytes = |stored| -> Vec<u8> {
            values
                .iter()
                .flat_map(|&v| match stored {
                    Stored::F32 => v.to_le_bytes().to_vec(),
                    Stored::F16 => f16::from_f32(v).to_le_bytes().to_vec(),
                    Stored::BF16 => bf16::from_f32(v).to_le_bytes().to_vec(),
                })
                .collect()
        };
        for stored in [Stored::F32, Stored::F16, Stored::BF16] {
            for dtype in [DType::F32, DType::BF16] {
                let t = to_tensor(&bytes(stored), stored, &[2, 2], dtype).expect("reads");
                assert_eq!(t.dtype(), dtype);
                let exact = stored != Stored::BF16 && dtype == DType::F32;
                let read =
                    t.to_dtype(DType::F32).and_then(|t| t.flatten_all()).and_then(|t| t.to_vec1::<f32>());
                let read = read.expect("values");
                if dtype == DType::F32 {
                    let mut appended = vec![0.0];
                    append_f32(&bytes(stored), stored, &mut appended);
                    assert_eq!(appended[1..], read);
                }
                for (r, v) in read.iter().zip(values) {
                    let expected = if exact { v } else { bf16::from_f32(v).to_f32() };
                    assert_eq!(*r, expected, "{stored:?} as {dtype:?}");
                }
            }
        }
    }
}
