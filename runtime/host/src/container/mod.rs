//! The one tensor container: safetensors headers, read and written under one set of limits.
//!
//! A file begins with the length of its header (8 bytes, little-endian). The header is JSON: for each
//! tensor its type, its shape and where its bytes lie. The bytes follow, tensor by tensor, with no gap and
//! no overlap, up to the end of the file.
//!
//! Headers are read here rather than by the `safetensors` crate, which wants the whole file in memory, knows no
//! limits, and whose errors name neither the file nor the tensor. Never trust a size in a header: what reading
//! one costs is bounded by the file's real size.

mod read;
pub mod shards;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

pub use write::{Declared, exactly, header, write};

use crate::Error;

/// The longest header that is read or written, in bytes.
pub const MAX_HEADER: u64 = 100 << 20;
/// The most tensors in one file.
pub const MAX_TENSORS: usize = 1 << 20;
/// The largest product of the other dimensions of a tensor that has one of 0.
const MAX_BESIDE_NONE: u64 = 1 << 32;
/// The most dimensions of a tensor.
pub const MAX_RANK: usize = 16;

/// The key of the texts that belong to no tensor.
const METADATA: &str = "__metadata__";

/// What the header of a file says, checked against the file's real size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Texts that belong to no tensor.
    pub metadata: BTreeMap<String, String>,
    /// The tensors, in the order in which their bytes lie.
    pub tensors: Vec<Entry>,
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The type of its entries, as safetensors spells it: `F32`, `BF16`, `U8`, …
    pub dtype: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// The byte of the file at which it begins.
    pub begin: u64,
    /// The byte of the file before which it ends.
    pub end: u64,
}

impl Entry {
    /// The number of its bytes.
    pub fn bytes(&self) -> u64 {
        self.end - self.begin
    }

    /// What is wrong with it by itself: its rank, or a size that its shape and type do not give.
    fn fault(&self) -> Option<String> {
        let Self { name, dtype, shape, .. } = self;
        if shape.len() > MAX_RANK {
            return Some(format!(
                "tensor {name} has {} dimensions; at most {MAX_RANK} are read",
                shape.len()
            ));
        }
        let entries = shape.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim as u64));
        // No bytes bound the other dimensions of an empty tensor, and what is made of it may have these alone.
        let others =
            || shape.iter().filter(|&&dim| dim > 0).try_fold(1u64, |n, &dim| n.checked_mul(dim as u64));
        if entries == Some(0) && others().is_none_or(|n| n > MAX_BESIDE_NONE) {
            return Some(format!("tensor {name} is empty and has the shape {shape:?}, which cannot be"));
        }
        let fits = match (bits(dtype), entries) {
            // How wide a type is that we do not know, only its reader can say.
            (None, Some(_)) => true,
            (Some(bits), Some(entries)) => entries.checked_mul(bits) == self.bytes().checked_mul(8),
            (_, None) => false,
        };
        let told = || {
            format!(
                "tensor {name} has shape {shape:?} and type {dtype}, which does not fit its {} bytes",
                self.bytes()
            )
        };
        (!fits).then(told)
    }
}

/// The width of a type in bits, if it is one of those that safetensors defines.
pub fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E4M3FNUZ" | "F8_E5M2" | "F8_E5M2FNUZ" | "F8_E8M0" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// Why a header is refused.
#[derive(Debug)]
pub enum Refusal {
    /// A Git LFS pointer lies in place of the file.
    Pointer,
    /// The file is no safetensors file at all: what is wrong.
    Alien(String),
    /// The file ends too early.
    Short {
        /// The size it has, in bytes.
        size: u64,
        /// The size it should have; at least that, if it ends inside its header.
        needed: u64,
        /// The first tensor that is cut and the byte before which it should end; `None` if the header is cut.
        tensor: Option<(String, u64)>,
    },
    /// The header contradicts itself or the file, or goes past a limit: how.
    Damaged(String),
    /// The file cannot be read.
    Io(std::io::Error),
}

impl Refusal {
    /// The error about the file at `path`.
    pub fn at(self, path: &Path) -> Error {
        let what = match self {
            Self::Io(source) => return Error::io(path, source),
            Self::Pointer => crate::pointer::WHAT.to_string(),
            Self::Alien(what) => format!("not a safetensors file: {what}"),
            Self::Short { tensor: None, .. } => {
                "not a safetensors file: it ends inside its header".to_string()
            }
            Self::Short { size, tensor: Some((name, end)), .. } => {
                format!("tensor {name} ends at byte {end}, but the file has only {size}: it is truncated")
            }
            Self::Damaged(how) => how,
        };
        Error::format(path, what)
    }
}

/// What is wrong with tensors that lie one after another from byte `data` on. Reading and writing make the same checks.
fn check(tensors: &[Entry], data: u64) -> Result<(), String> {
    if tensors.len() > MAX_TENSORS {
        return Err(format!("it has {} tensors; at most {MAX_TENSORS} are read", tensors.len()));
    }
    let mut names = HashSet::new();
    let mut before: Option<&Entry> = None;
    for tensor in tensors {
        if !names.insert(tensor.name.as_str()) {
            return Err(format!("two tensors are called {}", tensor.name));
        }
        if let Some(fault) = tensor.fault() {
            return Err(fault);
        }
        let end = before.map_or(data, |before| before.end);
        if tensor.begin != end {
            let name = &tensor.name;
            return Err(match before {
                Some(before) if tensor.begin < end => {
                    format!("tensors {} and {name} overlap", before.name)
                }
                _ => format!(
                    "tensor {name} does not follow the one before: {} bytes lie between",
                    tensor.begin - end
                ),
            });
        }
        before = Some(tensor);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
