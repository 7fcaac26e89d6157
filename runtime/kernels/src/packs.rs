//! Weights that stay as they are from one product to the next, kept as the kernels read them.
//!
//! A product packs its weight first, which costs as much for eight tokens as for a thousand. A frozen weight need be
//! packed but once for each of its two uses (forward, and the gradient of the input), at the price of two more copies of
//! it. It knows nothing of training: whoever changes a weight says so.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{Tensor, TensorId};

use super::gemm::{Factor, Mat, Out, Packed, product_parallel};
use super::slice::read;
use super::{Exec, SparseIndex};
use crate::Result;

/// How a weight `[out, in]` is the right factor of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// As it is, `[out, in]`.
    Plain,
    /// Turned, `[in, out]`.
    Turned,
}

/// The packed copies of some weights. They are made when first needed.
pub struct Packs {
    weights: HashSet<TensorId>,
    made: Mutex<HashMap<(TensorId, Side), Arc<Packed>>>,
}

impl fmt::Debug for Packs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packs({} weights, {} bytes)", self.weights.len(), self.bytes())
    }
}

impl Packs {
    /// Keeps packed copies of these weights, matrices that no one else changes.
    pub fn new<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Self {
        Self { weights: weights.into_iter().map(Tensor::id).collect(), made: Mutex::default() }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<(TensorId, Side), Arc<Packed>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory all copies take.
    pub fn bytes(&self) -> usize {
        self.made().values().map(|packed| packed.bytes()).sum()
    }

    /// Drops all copies, after weights changed in a way that is not known: each is packed again when it is next needed.
    pub fn clear(&self) {
        self.made().clear();
    }

    /// Says that the entries of `index` have changed in `w`.
    pub fn changed(&self, w: &Tensor, index: &SparseIndex) -> Result<()> {
        let taken = |side| self.made().remove(&(w.id(), side));
        for side in [Side::Plain, Side::Turned] {
            // A copy that someone is multiplying with, or whose change fails, is packed again.
            let Some(mut packed) = taken(side).and_then(Arc::into_inner) else { continue };
            index.check("packed weights", w.dims())?;
            let values = read(w)?;
            let values = values.lock();
            let cols = index.cols();
            let entries = index.iter().map(|at| {
                let (row, col) = (at as usize / cols, at as usize % cols);
                match side {
                    Side::Plain => (row, col, at as usize),
                    Side::Turned => (col, row, at as usize),
                }
            });
            packed.set(entries, values.weight()?);
            self.made().insert((w.id(), side), Arc::new(packed));
        }
        Ok(())
    }

    /// The copy of a weight for this numeric mode; `None` if it is not one of those that are kept.
    fn get(&self, exec: &Exec, w: &Tensor, side: Side, factor: Factor<'_>) -> Option<Arc<Packed>> {
        if !self.weights.contains(&w.id()) {
            return None;
        }
        let key = (w.id(), side);
        if let Some(packed) = self.made().get(&key).filter(|p| p.compute() == exec.compute()) {
            return Some(packed.clone());
        }
        let packed = Arc::new(Packed::new(exec, factor)?);
        self.made().insert(key, packed.clone());
        Some(packed)
    }
}

/// `out = x · w` or `x · wᵀ` (or `out += …`) of a CPU weight `[out, in]`, f32 or bf16, with its packed copy where there is one.
pub(super) fn product(exec: &Exec, x: Mat<'_>, w: &Tensor, side: Side, out: Out<'_>) -> Result<()> {
    let (rows, cols) = w.dims2()?;
    let values = read(w)?;
    let values = values.lock();
    let factor = Factor::new(values.weight()?, rows, cols);
    let factor = match side {
        Side::Plain => factor,
        Side::Turned => factor.t(),
    };
    match exec.packs().and_then(|packs| packs.get(exec, w, side, factor)) {
        Some(packed) => packed.product(exec, x, out),
        None => product_parallel(exec, x, factor, out),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fast, random, random_bf16, same_bits};
    use crate::{Compute, linear, scatter};

    #[test]
    fn kept_weights_follow_what_they_are_told_and_no_more() -> Result<()> {
        for compute in [Compute::F32, Compute::BF16] {
            let plain = fast().with_compute(compute);
            for w in [random(1, &[50, 33]), random_bf16(1, &[50, 33])] {
                let packs = Arc::new(Packs::new([&w]));
                let kept = plain.clone().with_packs(Some(packs.clone()));
                let (x, dy) = (random(2, &[40, 33]), random(3, &[40, 50]));
                let same = || -> Result<()> {
                    let (found, expected) =
                        (linear::forward(&kept, &x, &w, None)?, linear::forward(&plain, &x, &w, None)?);
                    same_bits("forward", &found, &expected);
                    let found = linear::backward_input(&kept, &dy, &w)?;
                    same_bits("backward", &found, &linear::backward_input(&plain, &dy, &w)?);
                    Ok(())
                };
                same()?;
                let index = SparseIndex::from_sorted(50, 33, (0..1650).filter(|i| i % 13 == 2))?;
                scatter::scatter_in_place(&plain, &w, &index, &random(4, &[index.nnz()]))?;
                packs.changed(&w, &index)?;
                same()?;
                scatter::scatter_in_place(&plain, &w, &index, &random(5, &[index.nnz()]))?;
                packs.clear();
                assert_eq!(packs.bytes(), 0);
                same()?;
                // A weight that is not kept is read anew each time.
                let other = random(6, &[50, 33]);
                let before = packs.bytes();
                linear::forward(&kept, &x, &other, None)?;
                assert_eq!(packs.bytes(), before);
            }
        }
        Ok(())
    }
}
