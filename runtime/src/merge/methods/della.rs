//! `della` and `della_linear`: each entry of a task vector stays with a probability that grows with
//! the rank of its magnitude in its row (arXiv 2406.11617).
//!
//! Probabilities go evenly from density - epsilon, for the least of a row, to density + epsilon, for
//! the greatest; a vector is one row. Of a row with one entry the probability is the density.

use super::dare::{scale, stream, threshold};
use super::sparsify::{Keep, Sparsify};
use super::task_vectors::TaskVectors;
use crate::host::Rng;
use crate::merge::group::{Piece, Unit};
use crate::merge::{Group, Spec};
use crate::{Error, Result};

pub(super) fn ties() -> TaskVectors {
    method(
        "della",
        "Task vectors with small entries likelier dropped, of which those count that agree in sign.",
        true,
    )
}

pub(super) fn linear() -> TaskVectors {
    method("della_linear", "Task vectors with small entries likelier dropped.", false)
}

fn method(name: &'static str, doc: &'static str, elect: bool) -> TaskVectors {
    let epsilon = "how far probabilities lie from the density at most";
    let spec =
        Spec::new(name, doc, "arXiv 2406.11617").random().each("epsilon", 0.15, epsilon).between(0.0, 1.0);
    TaskVectors::new(spec, Some(Box::new(Ranked)), elect, elect, true)
}

struct Ranked;

impl Sparsify for Ranked {
    fn unit(&self) -> Unit {
        Unit::Rows
    }

    fn prepare<'g>(
        &self,
        group: &'g Group<'_>,
        other: usize,
        base: usize,
        density: f64,
    ) -> Result<Box<dyn Keep + 'g>> {
        let epsilon = group.params.of(other, "epsilon");
        if density > 0.0 && (density + epsilon >= 1.0 || density - epsilon <= 0.0) {
            return Err(Error::argument(format!(
                "della: density {density} with epsilon {epsilon} makes probabilities of 0 or less, or of 1 or more: choose \
                 them so that density - epsilon and density + epsilon lie between"
            )));
        }
        let epsilon = if density > 0.0 { epsilon } else { 0.0 };
        let mut drop = Drop {
            rng: stream(group, other),
            density: density.max(0.0),
            epsilon,
            cols: group.cols(),
            scale: 1.0,
        };
        if group.params.flag("rescale") {
            drop.scale = scale(group, Unit::Rows, [other, base], &drop)?;
        }
        Ok(Box::new(drop))
    }
}

struct Drop {
    rng: Rng,
    density: f64,
    epsilon: f64,
    cols: usize,
    scale: f32,
}

impl Keep for Drop {
    fn apply(&self, piece: Piece, delta: &mut [f32]) -> Result<()> {
        let mut rng = self.rng.fork(&piece.start.to_string());
        let mut order: Vec<u64> = Vec::with_capacity(self.cols);
        let limits: Vec<u64> = (0..self.cols).map(|rank| threshold(self.probability(rank))).collect();
        for row in delta.chunks_mut(self.cols) {
            order.clear();
            // Magnitude first, then place.
            order.extend(
                row.iter().enumerate().map(|(i, v)| u64::from(v.to_bits() & 0x7fff_ffff) << 32 | i as u64),
            );
            order.sort_unstable();
            for (limit, entry) in limits.iter().zip(&order) {
                let v = &mut row[(entry & 0xffff_ffff) as usize];
                let stays = u64::from(rng.next_u32()) < *limit;
                *v = if stays { *v * self.scale } else { 0.0 };
            }
        }
        Ok(())
    }
}

impl Drop {
    /// The probability of the entry that has `rank` smaller ones in its row.
    fn probability(&self, rank: usize) -> f64 {
        if self.cols < 2 {
            return self.density;
        }
        self.density - self.epsilon + 2.0 * self.epsilon * rank as f64 / (self.cols - 1) as f64
    }
}
