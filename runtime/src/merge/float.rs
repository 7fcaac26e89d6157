//! The floating types that weights are stored in and merges are computed as: names, promotion,
//! rounding, bytes.
//!
//! Arithmetic is always f32; inputs and results are rounded to these types.

use candle_core::DType;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::{Error, Result};

/// A floating type of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    /// 32 bits.
    F32,
    /// 16 bits, five of them exponent.
    F16,
    /// 16 bits, eight of them exponent.
    BF16,
}

impl Float {
    /// The type of a name in a merge configuration (`bfloat16`, `torch.bfloat16`, `bf16`).
    pub fn parse(name: &str) -> Result<Self> {
        Self::named("dtype", name)
    }

    /// [`Float::parse`], with the key that has the name for messages.
    pub(super) fn named(key: &str, name: &str) -> Result<Self> {
        match name.strip_prefix("torch.").unwrap_or(name) {
            "float32" | "f32" => Ok(Self::F32),
            "float16" | "f16" | "half" => Ok(Self::F16),
            "bfloat16" | "bf16" => Ok(Self::BF16),
            "float64" | "f64" => Err(Error::argument(format!(
                "{key} float64: merges are computed in float32; write float32 instead"
            ))),
            other => Err(Error::argument(format!(
                "{key} {other:?} is not known: use float32, bfloat16 or float16"
            ))),
        }
    }

    /// The type that a safetensors header names, if it is one of these.
    pub fn of_header(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::BF16),
            _ => None,
        }
    }

    /// The same type as the tensor library has it, if it is one of these.
    pub(super) fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// As safetensors spells it.
    pub fn header(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    /// As configurations spell it.
    pub fn torch(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    /// Bytes of one entry.
    pub fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// The smallest type that holds both: two different half types meet in f32.
    pub fn promote(self, other: Self) -> Self {
        if self == other { self } else { Self::F32 }
    }

    /// The first finite value that this type can only hold as infinity, if there is one.
    pub(super) fn overflow(self, values: &[f32]) -> Option<f32> {
        // Half way between the largest number of the type and the next that it would have.
        let limit = match self {
            Self::F32 => return None,
            Self::F16 => 65_520.0,
            Self::BF16 => f32::from_bits(0x7f7f_8000),
        };
        values.iter().copied().find(|v| v.is_finite() && v.abs() >= limit)
    }

    /// The error for a value of a tensor that this type cannot hold.
    pub(super) fn too_large(self, value: f32, tensor: &str, key: &str) -> Error {
        let wider = if self == Self::F16 { "bfloat16 or float32" } else { "float32" };
        Error::mismatch(format!(
            "{tensor}: {value} is more than {} can hold, and would become infinite: set {key} to {wider}",
            self.torch()
        ))
    }

    /// Rounds values to the nearest of this type, ties to even.
    pub fn round(self, values: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::F16 => values.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32()),
            Self::BF16 => values.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32()),
        }
    }

    /// Little-endian bytes as f32. There must be as many bytes as `out` has entries of this type.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        out.resize(bytes.len() / self.size(), 0.0);
        match self {
            Self::F32 => {
                let read = bytes.as_chunks::<4>().0;
                out.iter_mut().zip(read).for_each(|(out, b)| *out = f32::from_le_bytes(*b));
            }
            Self::BF16 => {
                let read = bytes.as_chunks::<2>().0;
                let wide = |b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                out.iter_mut().zip(read).for_each(|(out, b)| *out = wide(b));
            }
            Self::F16 => {
                if let Ok(halves) = bytemuck::try_cast_slice::<u8, u16>(bytes)
                    && cfg!(target_endian = "little")
                {
                    let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(halves);
                    halves.convert_to_f32_slice(out);
                } else {
                    let read = bytes.as_chunks::<2>().0;
                    out.iter_mut().zip(read).for_each(|(out, b)| *out = f16::from_le_bytes(*b).to_f32());
                }
            }
        }
    }

    /// Values as little-endian bytes of this type, which replace what is in `out`.
    pub(crate) fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        out.clear();
        out.resize(values.len() * self.size(), 0);
        match self {
            Self::F32 => {
                let write = out.as_chunks_mut::<4>().0;
                write.iter_mut().zip(values).for_each(|(out, v)| *out = v.to_le_bytes());
            }
            Self::BF16 => {
                let write = out.as_chunks_mut::<2>().0;
                write.iter_mut().zip(values).for_each(|(out, v)| *out = bf16::from_f32(*v).to_le_bytes());
            }
            Self::F16 => {
                let write = out.as_chunks_mut::<2>().0;
                write.iter_mut().zip(values).for_each(|(out, v)| *out = f16::from_f32(*v).to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back_round_to_the_type() {
        let values: Vec<f32> = (0..100).map(|i| (i as f32 - 50.0) * 0.123_456).collect();
        for float in [Float::F32, Float::F16, Float::BF16] {
            let (mut bytes, mut read, mut rounded) = (Vec::new(), Vec::new(), values.clone());
            float.encode(&values, &mut bytes);
            assert_eq!(bytes.len(), values.len() * float.size());
            float.decode(&bytes, &mut read);
            float.round(&mut rounded);
            assert_eq!(read, rounded, "{float:?}");
        }
        for float in [Float::F16, Float::BF16] {
            for bits in (0x4700_0000..0x4790_0000u32).chain(0x7f7f_0000..0x7f80_0000) {
                let v = [-f32::from_bits(bits)];
                let mut rounded = v;
                float.round(&mut rounded);
                assert_eq!(float.overflow(&v).is_some(), rounded[0].is_infinite(), "{float:?} {v:?}");
            }
            assert_eq!(float.overflow(&[f32::INFINITY, f32::NAN, 1.0]), None);
        }
        assert_eq!(Float::F16.promote(Float::BF16), Float::F32);
        assert_eq!(Float::parse("torch.bfloat16").expect("known"), Float::BF16);
        assert!(Float::parse("int8").is_err() && Float::parse("float64").is_err());
    }
}
