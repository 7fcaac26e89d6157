//! How the contents of a ticket are written: as plain sets and numbers that any program reads, or
//! as a compact code of them.
//!
//! The compact code of the positions is an entropy code (ANS) of the gaps between them. It knows
//! only sets and shapes: neither files nor models.

mod classes;
mod gap;
mod lines;
mod param;
mod shape;
mod stream;
mod table;
mod values;
mod varint;

use crate::mask::Mask;
use crate::{Error, Result};

pub(super) use stream::{decode, encode, heads};
pub(super) use values::{Loss, Rows, pack, quantise, restore, rows_of, unpack};

/// How the positions of a ticket's entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codec {
    /// A roaring set for each parameter, in the portable form that Python, Java and Go read. For
    /// exchange.
    #[default]
    Plain,
    /// An entropy code of the gaps between positions, about as short as they can be written. For
    /// storing and sending.
    Compact,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Compact];

    /// The word used in scripts and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Compact => "compact",
        }
    }

    /// The codec of a word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|codec| codec.as_str() == word).ok_or_else(|| {
            Error::argument(format!("{word:?} is no codec of tickets: use \"plain\" or \"compact\""))
        })
    }

    /// The newest version of this codec that is read, and the one that is written.
    pub(super) fn version(self) -> u32 {
        1
    }
}

/// How the values of a ticket are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValueType {
    /// Four bytes, exact.
    #[default]
    F32,
    /// Two bytes. Nothing is lost for a model whose weights are bf16 anyway.
    Bf16,
    /// One byte: whole steps from -127 to 127, whose size is a number for each row, the row's
    /// largest magnitude over 127.
    Int8,
    /// A fifth of a byte: minus, nothing or plus a size that is a number for each row; which
    /// entries are nothing, and the size, are those of the least square error.
    Ternary,
}

impl ValueType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::Int8, Self::Ternary];

    /// The word used in scripts and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Ternary => "ternary",
        }
    }

    /// The type of a word.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|values| values.as_str() == word).ok_or_else(|| {
            Error::argument(format!(
                "{word:?} is no type of values: use \"f32\", \"bf16\", \"int8\" or \"ternary\""
            ))
        })
    }

    /// Whether values are steps of a size that is written for each row.
    pub fn scaled(self) -> bool {
        matches!(self, Self::Int8 | Self::Ternary)
    }

    /// The bytes that this many values take, without the sizes of their steps.
    pub fn bytes(self, values: u64) -> u64 {
        match self {
            Self::F32 => 4 * values,
            Self::Bf16 => 2 * values,
            Self::Int8 => values,
            Self::Ternary => values.div_ceil(5),
        }
    }
}

/// The fewest bytes that positions of this density take on average if nothing else is known of
/// them: n H(k / n) bits for k of the n entries of the parameters that have any, where H is the
/// binary entropy (Shannon 1948). Where rows, columns or parameters differ in density, a code may
/// be shorter.
pub fn entropy_bound(mask: &Mask) -> f64 {
    let entries: u64 = mask.selected().map(|(_, spec, _)| spec.entries()).sum();
    entropy(mask.count(), entries) / 8.0
}

/// The bits of `count` positions among `cells`: n H(k / n).
fn entropy(count: u64, cells: u64) -> f64 {
    let (k, n) = (count as f64, cells as f64);
    let part = |k: f64| if k > 0.0 { k * (n / k).log2() } else { 0.0 };
    part(k) + part(n - k)
}

#[cfg(test)]
mod tests;
