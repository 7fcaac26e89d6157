//! Set algebra over any number of masks of one model.

use rayon::prelude::*;
use roaring::{MultiOps, RoaringBitmap};

use super::Mask;
use super::build::whole;
use crate::{Error, Result};

/// Entries that are in any of the masks.
pub fn union(masks: &[&Mask]) -> Result<Mask> {
    combine(masks, |sets| sets.union())
}

/// Entries that are in all of the masks.
pub fn intersection(masks: &[&Mask]) -> Result<Mask> {
    combine(masks, |sets| sets.intersection())
}

/// Entries of the first mask that are in none of the others.
pub fn difference(masks: &[&Mask]) -> Result<Mask> {
    combine(masks, |sets| sets.difference())
}

/// Entries that are in an odd number of the masks; of two masks, in exactly one.
pub fn symmetric_difference(masks: &[&Mask]) -> Result<Mask> {
    combine(masks, |sets| sets.symmetric_difference())
}

/// Entries that are not in the mask: of the whole model, or of the mask `within`.
pub fn complement(mask: &Mask, within: Option<&Mask>) -> Result<Mask> {
    if let Some(within) = within {
        return difference(&[within, mask]);
    }
    let specs = mask.universe().specs();
    let sets = specs.par_iter().zip(mask.sets()).map(|(spec, set)| whole(spec) - set).collect();
    Ok(Mask::from_sets(mask.universe().clone(), sets))
}

/// The entries of the mask that are in `within` (any, if there is none) and not in `avoid`.
pub fn bounded(mask: Mask, within: Option<&Mask>, avoid: Option<&Mask>) -> Result<Mask> {
    let mask = match within {
        Some(within) => intersection(&[&mask, within])?,
        None => mask,
    };
    match avoid {
        Some(avoid) => difference(&[&mask, avoid]),
        None => Ok(mask),
    }
}

/// Applies a set operation parameter by parameter.
fn combine(masks: &[&Mask], op: impl Fn(Vec<&RoaringBitmap>) -> RoaringBitmap + Sync) -> Result<Mask> {
    let Some((first, rest)) = masks.split_first() else {
        return Err(Error::argument("at least one mask is needed, so that it is known of which model"));
    };
    rest.iter().try_for_each(|mask| first.check_same(mask))?;
    let set = |p: usize| op(masks.iter().map(|mask| mask.set(p)).collect());
    let sets = (0..first.universe().len()).into_par_iter().map(set).collect();
    Ok(Mask::from_sets(first.universe().clone(), sets))
}

impl Mask {
    /// The number of entries in both masks.
    pub fn intersection_count(&self, other: &Self) -> Result<u64> {
        self.check_same(other)?;
        Ok(self.sets().par_iter().zip(other.sets()).map(|(a, b)| a.intersection_len(b)).sum())
    }

    /// Whether no entry is in both masks.
    pub fn is_disjoint(&self, other: &Self) -> Result<bool> {
        self.check_same(other)?;
        Ok(self.sets().par_iter().zip(other.sets()).all(|(a, b)| a.is_disjoint(b)))
    }

    /// Whether every entry of this mask is in the other.
    pub fn is_subset(&self, other: &Self) -> Result<bool> {
        self.check_same(other)?;
        Ok(self.sets().par_iter().zip(other.sets()).all(|(a, b)| a.is_subset(b)))
    }

    /// The size of the intersection over the size of the union; 1 for two empty masks, which are
    /// equal.
    pub fn jaccard(&self, other: &Self) -> Result<f64> {
        let both = self.intersection_count(other)?;
        let either = self.count() + other.count() - both;
        Ok(if either == 0 { 1.0 } else { both as f64 / either as f64 })
    }
}
