//! Thinning out a task vector: which entries stay, and what they are multiplied by.

use std::sync::Arc;

use crate::Result;
use crate::mask::bits::{Domain, Piece as MaskPiece};
use crate::mask::keys::{Cut, Keys, magnitude};
use crate::merge::group::{Piece, Unit};
use crate::merge::{Group, kernels};
use crate::model::{ParamSpec, Role, Universe};
use crate::vectors::Source;

/// A way to thin out task vectors.
pub(super) trait Sparsify: Send + Sync {
    /// Looks at one task vector, of the input `other`, before it is gone through. `density` is below 1.
    fn prepare<'g>(
        &self,
        group: &'g Group<'_>,
        other: usize,
        base: usize,
        density: f64,
    ) -> Result<Box<dyn Keep + 'g>>;

    /// How pieces must be cut for [`Keep::apply`].
    fn unit(&self) -> Unit {
        Unit::Entries
    }
}

/// What stays of one task vector.
pub(super) trait Keep: Sync {
    /// Zeroes the entries of a piece that do not stay, and scales the others.
    fn apply(&self, piece: Piece, delta: &mut [f32]) -> Result<()>;
}

/// The factor by which kept entries are multiplied so that their magnitudes have the sum that all had.
pub(super) fn rescaling(before: f64, after: f64) -> f32 {
    if before < 1e-7 || after < 1e-7 { 1.0 } else { (before / after) as f32 }
}

/// Scores of one tensor, computed as they are read.
pub(super) struct Computed<'g, F> {
    group: &'g Group<'g>,
    read: Vec<usize>,
    score: F,
    universe: Arc<Universe>,
}

impl<'g, F: Fn(usize, &[&[f32]], &mut [f32]) + Sync> Computed<'g, F> {
    /// Scores that `score(start, values, scores)` makes of the values of the inputs `read`.
    pub(super) fn new(group: &'g Group<'_>, read: Vec<usize>, score: F) -> Result<Self> {
        let spec = ParamSpec {
            name: group.name.to_string(),
            shape: group.shape.to_vec(),
            role: Role::Mlp,
            layer: None,
        };
        Ok(Self { group, read, score, universe: Universe::new(vec![spec])? })
    }

    /// The cut above which the `k` largest magnitudes lie; `None` for 0. Ties go by position.
    pub(super) fn cut(&self, k: u64) -> Result<Option<Cut>> {
        if k == 0 {
            return Ok(None);
        }
        let n = self.group.len() as u64;
        let keys = Keys { source: self, domain: Domain::default(), largest: true, host: self.group.host };
        let pieces: Vec<MaskPiece> = MaskPiece::of(0, n).collect();
        keys.cut(&pieces, n, k.min(n))
    }
}

impl<F: Fn(usize, &[&[f32]], &mut [f32]) + Sync> Source for Computed<'_, F> {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn has(&self, _: usize) -> bool {
        true
    }

    fn read(&self, _: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let mut scores = vec![0.0; len];
        let mut scratch = vec![Vec::new(); self.read.len()];
        let mut values = Vec::with_capacity(self.read.len());
        for (&entry, scratch) in self.read.iter().zip(&mut scratch) {
            values.push(self.group.read(entry, Piece { start, len }, scratch)?);
        }
        (self.score)(start, &values, &mut scores);
        visit(&scores);
        for &entry in &self.read {
            self.group.entries[entry].reader.release(start, len);
        }
        Ok(())
    }
}

/// How scores are made of values.
type Score = fn(usize, &[&[f32]], &mut [f32]);

/// The task vector of one input as scores.
fn task_vector<'g>(group: &'g Group<'_>, other: usize, base: usize) -> Result<Computed<'g, Score>> {
    Computed::new(group, vec![other, base], |_, values, out| kernels::difference(out, values[0], values[1]))
}

/// A cut, and how many entries just at it lie before each piece.
pub(super) struct Bound {
    cut: Cut,
    before: Vec<u64>,
}

impl Bound {
    /// Of a cut and the number of entries just at it in each piece.
    pub(super) fn new(cut: Cut, at: impl Iterator<Item = u64>) -> Self {
        let mut sum = 0;
        let mut before = vec![0];
        before.extend(at.map(|n| {
            sum += n;
            sum
        }));
        Self { cut, before }
    }

    /// The least key that is in, for a piece whose ties are all in or all out.
    fn least(&self, piece: usize) -> Option<u32> {
        if self.before[piece + 1] <= self.cut.ties {
            Some(self.cut.key)
        } else if self.before[piece] >= self.cut.ties {
            Some(self.cut.key + 1)
        } else {
            None
        }
    }
}

/// Entries by magnitude: those inside one cut and outside of another.
pub(super) struct Window {
    /// Entries from here up stay; `None`: nothing does.
    pub inside: Option<Bound>,
    /// Unless they lie from here up.
    pub outside: Option<Bound>,
    /// By what they are multiplied.
    pub scale: f32,
    /// The first entries of the pieces.
    pub starts: Vec<usize>,
}

impl Window {
    /// The `k` largest magnitudes of a task vector but the `skip` largest.
    pub(super) fn prepare(
        group: &Group<'_>,
        other: usize,
        base: usize,
        k: u64,
        skip: u64,
        rescale: bool,
    ) -> Result<Self> {
        let scores = task_vector(group, other, base)?;
        let (inside, outside) = (scores.cut(k)?, scores.cut(skip)?);
        // Far from every key, so that nothing lies at a cut that is not there.
        let key = |cut: Option<Cut>| cut.map_or(u32::MAX, |c| c.key);
        let (low, high) = (key(inside), key(outside));
        let tallies = group.fold(Unit::Entries, &[other, base], |piece, values| {
            let mut delta = vec![0.0; piece.len];
            kernels::difference(&mut delta, values[0], values[1]);
            let mut sums = [0.0f64; 3];
            if rescale {
                for v in &delta {
                    let (key, size) = (magnitude(*v), f64::from(v.abs()));
                    sums[0] += size;
                    sums[1] += if key > low { size } else { 0.0 };
                    sums[2] += if key > high { size } else { 0.0 };
                }
            }
            Ok((kernels::count_at(&delta, low), kernels::count_at(&delta, high), sums))
        })?;
        let sum = |i: usize| tallies.iter().map(|t| t.2[i]).sum::<f64>();
        let at = |cut: Option<Cut>| cut.map_or(0.0, |c| c.ties as f64 * f64::from(f32::from_bits(c.key)));
        let after = sum(1) + at(inside) - sum(2) - at(outside);
        Ok(Self {
            inside: inside.map(|cut| Bound::new(cut, tallies.iter().map(|t| t.0))),
            outside: outside.map(|cut| Bound::new(cut, tallies.iter().map(|t| t.1))),
            scale: if rescale { rescaling(sum(0), after) } else { 1.0 },
            starts: group.pieces(Unit::Entries).iter().map(|p| p.start).collect(),
        })
    }

    /// Whether entries of a piece stay, one by one.
    fn one_by_one(&self, piece: usize, values: &mut [f32]) {
        let mut ranks = [&self.inside, &self.outside].map(|b| b.as_ref().map_or(0, |b| b.before[piece]));
        for v in values {
            let key = magnitude(*v);
            let mut within = |i: usize, bound: &Option<Bound>| {
                bound.as_ref().is_some_and(|b| {
                    if key != b.cut.key {
                        return key > b.cut.key;
                    }
                    ranks[i] += 1;
                    ranks[i] <= b.cut.ties
                })
            };
            let (inside, outside) = (within(0, &self.inside), within(1, &self.outside));
            *v = if inside && !outside { *v * self.scale } else { 0.0 };
        }
    }
}

impl Keep for Window {
    fn apply(&self, piece: Piece, delta: &mut [f32]) -> Result<()> {
        let at = self.starts.partition_point(|&start| start < piece.start);
        let Some(inside) = &self.inside else {
            delta.fill(0.0);
            return Ok(());
        };
        let high = self.outside.as_ref().map_or(Some(u32::MAX), |b| b.least(at));
        match (inside.least(at), high) {
            (Some(low), Some(high)) => kernels::window(delta, low, high, self.scale),
            _ => self.one_by_one(at, delta),
        }
        Ok(())
    }
}
