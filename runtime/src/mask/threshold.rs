//! Masks of scores above a threshold, and N:M masks.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Mask;
use super::bits::{Piece, to_bitmap};
use super::compare::compare;
use super::keys::{any_nan, magnitude, nan_error};
use super::select::domain;
use crate::host::Host;
use crate::vectors::Source;
use crate::{Error, Result};

/// The scored entries whose magnitude is greater than `above`, of those in `within` and not in
/// `avoid`.
pub fn threshold(
    source: &dyn Source,
    above: f32,
    within: Option<&Mask>,
    avoid: Option<&Mask>,
    host: &Host,
) -> Result<Mask> {
    if above.is_nan() {
        return Err(Error::argument("the threshold is not a number (NaN)"));
    }
    let domain = domain(source.universe(), within, avoid)?;
    // Magnitudes of numbers are ordered as their bits are, and all lie above a negative threshold.
    let bound = [if above < 0.0 { -1 } else { magnitude(above) as i32 }];
    per_param(source, |param| {
        let spec = source.universe().spec(param);
        let mut set = RoaringBitmap::new();
        for piece in Piece::of(param, spec.entries()) {
            host.cancel.check()?;
            let mut words = vec![[0u64]; piece.words()];
            let mut most = 0;
            source.read(param, piece.start, piece.len, &mut |scores| {
                most = compare(scores, 0, &bound, &mut words);
            })?;
            if most > f32::INFINITY.to_bits() {
                return Err(nan_error(&spec.name));
            }
            let mut words: Vec<u64> = words.into_flattened();
            if let Some(allowed) = domain.words(&piece) {
                words.iter_mut().zip(allowed).for_each(|(word, allowed)| *word &= allowed);
            }
            set |= to_bitmap(piece.start, words);
        }
        Ok(set)
    })
}

/// The scored entries whose score is not zero.
pub fn support(source: &dyn Source, host: &Host) -> Result<Mask> {
    threshold(source, 0.0, None, None, host)
}

/// In every group of `m` neighbours of a row, the `n` entries with the largest magnitude, ties by
/// position. Every scored parameter must have a multiple of `m` columns.
///
/// Only entries of `within` that are not in `avoid` are taken: all of them where a group has fewer than `n`.
pub fn nm(
    source: &dyn Source,
    n: usize,
    m: usize,
    within: Option<&Mask>,
    avoid: Option<&Mask>,
    host: &Host,
) -> Result<Mask> {
    if n > m || m == 0 {
        return Err(Error::argument(format!(
            "{n}:{m} is no pattern: of m neighbours (at least 1) keep n (at most m)"
        )));
    }
    let domain = domain(source.universe(), within, avoid)?;
    let bounded = domain.within.is_some() || domain.avoid.is_some();
    per_param(source, |param| {
        let spec = source.universe().spec(param);
        let (rows, cols) = spec.rows_cols();
        if !cols.is_multiple_of(m) {
            return Err(Error::argument(format!(
                "parameter {} has {cols} columns, which cannot be cut into groups of {m}",
                spec.name
            )));
        }
        let mut set = RoaringBitmap::new();
        let mut order: Vec<usize> = Vec::with_capacity(m);
        let groups = rows * cols / m;
        let some = (1usize << 18).div_ceil(m);
        for first in (0..groups).step_by(some) {
            host.cancel.check()?;
            let (start, len) = (first * m, some.min(groups - first) * m);
            let mut chosen = Vec::with_capacity(len / m * n);
            let mut nan = false;
            source.read(param, start, len, &mut |scores| {
                nan = any_nan(scores);
                for (g, group) in scores.chunks(m).enumerate() {
                    order.clear();
                    let at = start + g * m;
                    order.extend((0..m).filter(|i| !bounded || domain.holds(param, at + i)));
                    order.sort_unstable_by_key(|&i| (!magnitude(group[i]), i));
                    order.truncate(n);
                    order.sort_unstable();
                    chosen.extend(order.iter().map(|i| (at + i) as u32));
                }
            })?;
            if nan {
                return Err(nan_error(&spec.name));
            }
            let sorted = set.append(chosen);
            debug_assert!(sorted.is_ok());
        }
        Ok(set)
    })
}

/// Runs `f` for each scored parameter in parallel and makes a mask of the sets. Of several errors
/// the first parameter's is returned.
fn per_param(source: &dyn Source, f: impl Fn(usize) -> Result<RoaringBitmap> + Sync) -> Result<Mask> {
    let universe = source.universe();
    let set = |p: usize| if source.has(p) { f(p) } else { Ok(RoaringBitmap::new()) };
    let sets: Vec<_> = (0..universe.len()).into_par_iter().map(set).collect();
    Ok(Mask::from_sets(universe.clone(), sets.into_iter().collect::<Result<_>>()?))
}
