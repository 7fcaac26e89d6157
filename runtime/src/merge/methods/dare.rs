//! `dare_linear` and `dare_ties`: each entry of a task vector stays with the same probability, and
//! what stays is scaled up (arXiv 2311.03099).
//!
//! The paper scales by 1 / density. With `rescale`, as in mergekit, the scale is instead what gives
//! the sum of magnitudes back, which is the same on average and exact for each tensor.

use super::sparsify::{Keep, Sparsify, rescaling};
use super::task_vectors::TaskVectors;
use crate::Result;
use crate::host::Rng;
use crate::merge::group::{Piece, Unit};
use crate::merge::{Group, Spec, kernels};

pub(super) fn linear() -> TaskVectors {
    method("dare_linear", "Task vectors with entries dropped at random.", false)
}

pub(super) fn ties() -> TaskVectors {
    method("dare_ties", "Like dare_linear, of which only entries that agree in sign count.", true)
}

fn method(name: &'static str, doc: &'static str, elect: bool) -> TaskVectors {
    TaskVectors::new(
        Spec::new(name, doc, "arXiv 2311.03099").random(),
        Some(Box::new(Dropping)),
        elect,
        false,
        true,
    )
}

struct Dropping;

impl Sparsify for Dropping {
    fn prepare<'g>(
        &self,
        group: &'g Group<'_>,
        other: usize,
        base: usize,
        density: f64,
    ) -> Result<Box<dyn Keep + 'g>> {
        let mut drop = Drop { rng: stream(group, other), below: threshold(density), scale: 1.0 };
        if group.params.flag("rescale") {
            drop.scale = scale(group, Unit::Entries, [other, base], &drop)?;
        }
        Ok(Box::new(drop))
    }
}

/// The factor that restores the sum of magnitudes of a task vector after `keep`, which does not scale yet.
pub(super) fn scale(group: &Group<'_>, unit: Unit, pair: [usize; 2], keep: &dyn Keep) -> Result<f32> {
    let parts = group.fold(unit, &pair, |piece, values| {
        let mut delta = vec![0.0; piece.len];
        kernels::difference(&mut delta, values[0], values[1]);
        let before = sum(&delta);
        keep.apply(piece, &mut delta)?;
        Ok((before, sum(&delta)))
    })?;
    let (before, after) = parts.iter().fold((0.0, 0.0), |(b, a), part| (b + part.0, a + part.1));
    Ok(rescaling(before, after))
}

struct Drop {
    rng: Rng,
    below: u64,
    scale: f32,
}

impl Keep for Drop {
    fn apply(&self, piece: Piece, delta: &mut [f32]) -> Result<()> {
        let mut rng = self.rng.fork(&piece.start.to_string());
        for v in delta {
            let stays = u64::from(rng.next_u32()) < self.below;
            *v = if stays { *v * self.scale } else { 0.0 };
        }
        Ok(())
    }
}

/// The random numbers of one input's tensor, the same whatever else is merged with it.
pub(super) fn stream(group: &Group<'_>, other: usize) -> Rng {
    Rng::new(group.seed).fork(&format!("{} {other}", group.name))
}

/// Uniform 32-bit numbers are below this with a probability.
pub(super) fn threshold(probability: f64) -> u64 {
    (probability.clamp(0.0, 1.0) * 4_294_967_296.0).round() as u64
}

/// The sum of magnitudes.
fn sum(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(v.abs())).sum()
}
