//! From stored bytes to tensors: floats of 8 to 64 bits in, f32 or bf16 out.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;

use super::float8::{e4m3, e5m2};
use crate::{Error, Result};

/// The types of stored weights that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F64,
    F32,
    F16,
    BF16,
    F8E4M3,
    F8E5M2,
}

impl Stored {
    /// All, with their names as safetensors spells them.
    const NAMES: [(&'static str, Self); 6] = [
        ("F64", Self::F64),
        ("F32", Self::F32),
        ("F16", Self::F16),
        ("BF16", Self::BF16),
        ("F8_E4M3", Self::F8E4M3),
        ("F8_E5M2", Self::F8E5M2),
    ];

    /// The type of a name as safetensors spells it, or what is wrong with a tensor of that type.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, stored)| *stored).ok_or_else(|| {
            let whole = name == "BOOL" || name.starts_with(['I', 'U']);
            let what = if whole { ", which are whole numbers where weights are wanted" } else { "" };
            let known = Self::NAMES.map(|(known, _)| known).join(", ");
            format!("is stored as {name}{what}: only {known} are read")
        })
    }

    /// Bytes of one entry.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::F8E4M3 | Self::F8E5M2 => 1,
        }
    }

    /// Whether it has eight bits, too few for weights that have no scales.
    pub(crate) fn is_float8(self) -> bool {
        self.size() == 1
    }
}

/// Entries converted at a time by one thread.
pub(super) const CHUNK: usize = 1 << 16;

/// Little-endian `bytes` as a CPU tensor of `dtype` (f32 or bf16). The caller has checked that
/// there are as many bytes as `shape` needs.
pub(crate) fn to_tensor(bytes: &[u8], stored: Stored, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let device = &Device::Cpu;
    let tensor = match (stored, dtype) {
        (_, DType::F32) => Tensor::from_vec(to_f32(bytes, stored), shape, device),
        (Stored::BF16, DType::BF16) => Tensor::from_vec(map(bytes, bf16::from_le_bytes), shape, device),
        (_, DType::BF16) => Tensor::from_vec(each(bytes, stored, bf16::from_f32), shape, device),
        (_, other) => return Err(Error::argument(format!("weights cannot be read as {}", other.as_str()))),
    };
    Ok(tensor?)
}

/// Little-endian `bytes` as f32, in parallel.
pub(super) fn to_f32(bytes: &[u8], stored: Stored) -> Vec<f32> {
    each(bytes, stored, |value| value)
}

/// Every entry of `bytes` as f32 through `then`, in parallel.
fn each<T: Default + Copy + Send + Sync>(
    bytes: &[u8],
    stored: Stored,
    then: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    match stored {
        Stored::F64 => map(bytes, |e| then(f64::from_le_bytes(e) as f32)),
        Stored::F32 => map(bytes, |e| then(f32::from_le_bytes(e))),
        Stored::F16 => map(bytes, |e| then(f16::from_le_bytes(e).to_f32())),
        Stored::BF16 => map(bytes, |e| then(bf16::from_le_bytes(e).to_f32())),
        Stored::F8E4M3 => map(bytes, |[e]| then(e4m3(e))),
        Stored::F8E5M2 => map(bytes, |[e]| then(e5m2(e))),
    }
}

/// Appends little-endian `bytes` as f32, on this thread.
pub(crate) fn append_f32(bytes: &[u8], stored: Stored, out: &mut Vec<f32>) {
    fn append<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, read: impl Fn([u8; N]) -> f32) {
        out.extend(bytes.as_chunks::<N>().0.iter().map(|&e| read(e)));
    }
    match stored {
        Stored::F64 => append(bytes, out, |e| f64::from_le_bytes(e) as f32),
        Stored::F32 => append(bytes, out, f32::from_le_bytes),
        Stored::F16 => append(bytes, out, |e| f16::from_le_bytes(e).to_f32()),
        Stored::BF16 => append(bytes, out, |e| bf16::from_le_bytes(e).to_f32()),
        Stored::F8E4M3 => append(bytes, out, |[e]| e4m3(e)),
        Stored::F8E5M2 => append(bytes, out, |[e]| e5m2(e)),
    }
}

/// The first entry of little-endian `bytes` as f32.
pub(super) fn first(bytes: &[u8], stored: Stored) -> Option<f32> {
    Some(match stored {
        Stored::F64 => f64::from_le_bytes(*bytes.first_chunk()?) as f32,
        Stored::F32 => f32::from_le_bytes(*bytes.first_chunk()?),
        Stored::F16 => f16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
        Stored::BF16 => bf16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
        Stored::F8E4M3 => e4m3(*bytes.first()?),
        Stored::F8E5M2 => e5m2(*bytes.first()?),
    })
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
                    Stored::F64 => f64::from(v).to_le_bytes().to_vec(),
                    Stored::F32 => v.to_le_bytes().to_vec(),
                    Stored::F16 => f16::from_f32(v).to_le_bytes().to_vec(),
                    Stored::BF16 => bf16::from_f32(v).to_le_bytes().to_vec(),
                    Stored::F8E4M3 | Stored::F8E5M2 => {
                        unreachable!("values of eight bits are another test's")
                    }
                })
                .collect()
        };
        for stored in [Stored::F64, Stored::F32, Stored::F16, Stored::BF16] {
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

    #[test]
    fn floats_of_eight_bits_are_read_by_their_values() {
        let bytes = [0x38, 0xb8, 0x7e];
        for (stored, values) in
            [(Stored::F8E4M3, [1.0f32, -1.0, 448.0]), (Stored::F8E5M2, [0.5, -0.5, f32::NAN])]
        {
            let mut appended = Vec::new();
            append_f32(&bytes, stored, &mut appended);
            for (got, value) in appended.iter().chain(&to_f32(&bytes, stored)).zip(values.iter().cycle()) {
                assert!(got == value || got.is_nan() && value.is_nan(), "{stored:?}: {got}");
            }
        }
    }

    #[test]
    fn other_types_are_refused_by_name() {
        let known = "only F64, F32, F16, BF16, F8_E4M3, F8_E5M2 are read";
        let whole = "which are whole numbers where weights are wanted";
        for (name, told) in [
            ("I64", format!("is stored as I64, {whole}: {known}")),
            ("U8", format!("is stored as U8, {whole}: {known}")),
            ("F4", format!("is stored as F4: {known}")),
        ] {
            assert_eq!(Stored::parse(name), Err(told));
        }
    }
}
