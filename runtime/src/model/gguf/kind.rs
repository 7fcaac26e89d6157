//! The types of tensors in GGUF files, by their numbers.

use candle_core::quantized::GgmlDType;

/// A type whose tensors can be dequantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that candle reads.
    Candle(GgmlDType),
    /// Floats of 64 bits.
    F64,
    /// 4 bits through a table, one scale for 32.
    Iq4Nl,
    /// The same with scales of scales, for 256.
    Iq4Xs,
    /// Floats of 4 bits with a power of two for 32 (OCP Microscaling Formats 1.0).
    Mxfp4,
    /// -1, 0 and 1, five in a byte, one scale for 256.
    Tq1,
    /// The same, four in a byte.
    Tq2,
}

impl Kind {
    /// The type of a number, or what is wrong with a tensor of it.
    pub(super) fn of(number: u32) -> Result<Self, String> {
        Ok(match number {
            0 => Self::Candle(GgmlDType::F32),
            1 => Self::Candle(GgmlDType::F16),
            2 => Self::Candle(GgmlDType::Q4_0),
            3 => Self::Candle(GgmlDType::Q4_1),
            6 => Self::Candle(GgmlDType::Q5_0),
            7 => Self::Candle(GgmlDType::Q5_1),
            8 => Self::Candle(GgmlDType::Q8_0),
            10 => Self::Candle(GgmlDType::Q2K),
            11 => Self::Candle(GgmlDType::Q3K),
            12 => Self::Candle(GgmlDType::Q4K),
            13 => Self::Candle(GgmlDType::Q5K),
            14 => Self::Candle(GgmlDType::Q6K),
            15 => Self::Candle(GgmlDType::Q8K),
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            28 => Self::F64,
            30 => Self::Candle(GgmlDType::BF16),
            34 => Self::Tq1,
            35 => Self::Tq2,
            39 => Self::Mxfp4,
            other => return Err(unread(other)),
        })
    }

    /// The entries of a block.
    pub(super) fn entries(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.block_size(),
            Self::F64 => 1,
            Self::Iq4Nl | Self::Mxfp4 => 32,
            Self::Iq4Xs | Self::Tq1 | Self::Tq2 => 256,
        }
    }

    /// The bytes of a block.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.type_size(),
            Self::F64 => 8,
            Self::Iq4Nl => 18,
            Self::Iq4Xs => 136,
            Self::Mxfp4 => 17,
            Self::Tq1 => 54,
            Self::Tq2 => 66,
        }
    }
}

/// What is said of a tensor whose type cannot be read.
fn unread(number: u32) -> String {
    let name = match number {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        24 => "I8, whole numbers",
        25 => "I16, whole numbers",
        26 => "I32, whole numbers",
        27 => "I64, whole numbers",
        29 => "IQ1_M",
        40 => "NVFP4",
        41 => "Q1_0",
        other => return format!("is stored as type {other}, which cannot be read"),
    };
    format!("is stored as {name}, which cannot be read")
}
