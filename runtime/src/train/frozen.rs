//! A hash of everything a training must not change, to prove that it did not.

use candle_core::Device;
use rayon::prelude::*;

use super::Selection;
use crate::Result;
use crate::model::Params;
use crate::model::decoder::Want;
use crate::ops::SparseIndex;
use crate::ops::slice::{self, Weight};

/// A hash of the bits of all entries outside `selection`, and of the scales of attached factors.
pub fn frozen_fingerprint(params: &Params, selection: &Selection) -> Result<String> {
    params.universe().check_same(selection.universe())?;
    let parts: Vec<blake3::Hash> = selection
        .wants()
        .par_iter()
        .enumerate()
        .map(|(i, want)| {
            let index = match want {
                Want::Dense => return Ok(blake3::hash(b"free")),
                Want::No => None,
                Want::At(index) => Some(index.as_ref()),
            };
            let cpu = params.get(i).to_device(&Device::Cpu)?;
            let read = slice::read(&cpu)?;
            let guard = read.lock();
            Ok(match guard.weight()? {
                Weight::F32(w) => outside(w, index),
                Weight::BF16(w) => outside(w, index),
            })
        })
        .collect::<Result<_>>()?;
    let mut hasher = blake3::Hasher::new();
    for part in &parts {
        hasher.update(part.as_bytes());
    }
    hasher.update(bytemuck::cast_slice(params.scales()));
    Ok(hasher.finalize().to_hex().to_string())
}

/// The hash of `w` with the entries of `index` set to zero.
fn outside<T: bytemuck::Pod>(w: &[T], index: Option<&SparseIndex>) -> blake3::Hash {
    let Some(index) = index else { return blake3::hash(bytemuck::cast_slice(w)) };
    let mut hasher = blake3::Hasher::new();
    let mut copy = Vec::with_capacity(index.cols());
    for (row, values) in w.chunks(index.cols().max(1)).enumerate() {
        copy.clear();
        copy.extend_from_slice(values);
        for k in index.row(row) {
            copy[index.col(k)] = T::zeroed();
        }
        hasher.update(bytemuck::cast_slice(&copy));
    }
    hasher.finalize()
}
