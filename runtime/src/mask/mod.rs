//! Masks: for each parameter of a model, the set of entries that may change.
//!
//! Entries in the mask are trained; all others are frozen. A mask is one roaring bitmap per parameter over flat row-major
//! indices; every operation runs a parameter at a time and in parallel, and gives the same bits whatever the number of
//! threads.

mod algebra;
pub(crate) mod bits;
mod bracket;
mod budget;
mod build;
mod carry;
mod compare;
mod dense;
pub(crate) mod file;
mod glob;
mod hash;
mod heads;
pub(crate) mod keys;
mod published;
mod radix;
mod random;
mod report;
mod rows;
mod select;
mod threshold;
mod units;
mod values;
pub(crate) mod values_file;

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;

use crate::model::{ParamSpec, Universe};
use crate::ops::SparseIndex;
use crate::{Error, Result};

pub use algebra::{bounded, complement, difference, intersection, symmetric_difference, union};
pub(crate) use bits::to_bitmap;
pub use budget::{Budget, Budgets, Scope};
pub use build::Block;
pub(crate) use build::whole;
pub use glob::{glob_matches, matching_params};
pub use hash::{Part, hash, hash_tensor};
pub use heads::HeadLayout;
pub use random::random;
pub use report::{By, Capacity, Count, Overlap, capacity};
pub use select::{nonzero, top};
pub use threshold::{nm, support, threshold};
pub use units::{Unit, top_units};

/// For each parameter of a universe, the entries that may change.
#[derive(Clone, Debug)]
pub struct Mask {
    universe: Arc<Universe>,
    sets: Vec<RoaringBitmap>,
}

impl Mask {
    /// A mask of these sets, one for each parameter in order. An index past the end of its
    /// parameter is an error.
    pub fn new(universe: Arc<Universe>, sets: Vec<RoaringBitmap>) -> Result<Self> {
        if sets.len() != universe.len() {
            return Err(Error::argument(format!(
                "a mask of this model needs {} sets, one for each parameter, and got {}",
                universe.len(),
                sets.len()
            )));
        }
        for (spec, set) in universe.specs().iter().zip(&sets) {
            if let Some(max) = set.max().filter(|&max| u64::from(max) >= spec.entries()) {
                return Err(Error::argument(format!(
                    "entry {max} is past the end of parameter {}, which has {} entries",
                    spec.name,
                    spec.entries()
                )));
            }
        }
        Ok(Self::from_sets(universe, sets))
    }

    /// A mask of sets that are known to fit, each brought to its smallest form (runs, array, bits).
    pub(crate) fn from_sets(universe: Arc<Universe>, mut sets: Vec<RoaringBitmap>) -> Self {
        debug_assert_eq!(universe.len(), sets.len());
        sets.par_iter_mut().for_each(|set| {
            set.optimize();
        });
        Self { universe, sets }
    }

    /// The parameters this mask is about.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The selected entries of the parameter at `index`, as flat row-major indices.
    ///
    /// # Panics
    /// When `index` is not below the length of the universe.
    pub fn set(&self, index: usize) -> &RoaringBitmap {
        &self.sets[index]
    }

    /// The sets of all parameters, in order.
    pub fn sets(&self) -> &[RoaringBitmap] {
        &self.sets
    }

    /// The selected entries of a parameter by name.
    pub fn set_of(&self, name: &str) -> Result<&RoaringBitmap> {
        Ok(&self.sets[self.universe.get(name)?])
    }

    /// Parameters with at least one selected entry: index, description and set.
    pub fn selected(&self) -> impl Iterator<Item = (usize, &ParamSpec, &RoaringBitmap)> {
        let specs = self.universe.specs().iter();
        specs.zip(&self.sets).enumerate().filter(|(_, (_, set))| !set.is_empty()).map(|(i, (p, s))| (i, p, s))
    }

    /// The number of selected entries.
    pub fn count(&self) -> u64 {
        self.sets.iter().map(RoaringBitmap::len).sum()
    }

    /// Whether no entry is selected.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(RoaringBitmap::is_empty)
    }

    /// The selected fraction of all entries of the model.
    pub fn density(&self) -> f64 {
        fraction(self.count(), self.universe.entries())
    }

    /// The fraction of the entries of `other` that are in this mask too.
    pub fn density_within(&self, other: &Self) -> Result<f64> {
        Ok(fraction(self.intersection_count(other)?, other.count()))
    }

    /// The selected entries of a parameter in compressed rows, as training uses them.
    pub fn index(&self, index: usize) -> Result<SparseIndex> {
        let (rows, cols) = self.universe.spec(index).rows_cols();
        SparseIndex::from_sorted(rows, cols, &self.sets[index])
    }

    /// The bytes its sets take in a file. An empty set takes none.
    pub fn bytes(&self) -> u64 {
        self.selected().map(|(.., set)| set.serialized_size() as u64).sum()
    }

    /// About the bytes it takes in memory: its sets as they are in a file, and what holds each set and each of its parts.
    pub fn held_bytes(&self) -> u64 {
        let parts: u64 = self.selected().map(|(.., set)| u64::from(set.statistics().n_containers)).sum();
        self.bytes() + SET_BYTES * self.sets.len() as u64 + PART_BYTES * parts
    }

    /// An error naming the first parameter that differs, unless both masks are of the same model.
    pub fn check_same(&self, other: &Self) -> Result<()> {
        self.universe.check_same(&other.universe)
    }
}

impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        self.universe == other.universe && self.sets == other.sets
    }
}

impl Eq for Mask {}

/// What a set takes in memory beside its parts, and a part beside its entries, with what the allocator adds.
const SET_BYTES: u64 = 32;
const PART_BYTES: u64 = 128;

/// `part / whole`, and 0 of nothing.
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests;
