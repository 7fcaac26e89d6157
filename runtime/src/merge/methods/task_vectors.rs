//! What the methods of task arithmetic share: task vectors are thinned out, weighted, perhaps made
//! to agree in sign, added up and added to the base.

use super::inputs::Inputs;
use super::sparsify::{Keep, Sparsify};
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec, kernels};
use crate::{Error, Result};

/// A method of this family.
pub(super) struct TaskVectors {
    spec: Spec,
    /// How each task vector is thinned out, if it is.
    sparsify: Option<Box<dyn Sparsify>>,
    /// Whether only entries count that have the sign of their sum (TIES, arXiv 2306.01708).
    elect: bool,
}

impl TaskVectors {
    pub(super) fn new(
        spec: Spec,
        sparsify: Option<Box<dyn Sparsify>>,
        elect: bool,
        normalize: bool,
        rescale: bool,
    ) -> Self {
        let spec = spec
            .base(Base::Required)
            .weights()
            .each("density", 1.0, "the fraction of a task vector's entries that stay")
            .between(0.0, 1.0)
            .flag("normalize", normalize, "divide by the sum of the weights that go in")
            .flag("rescale", rescale, "scale what stays of a task vector to the sum of magnitudes it had")
            .number("lambda", 1.0, "multiplies the sum of task vectors")
            .flag("int8_mask", false, "accepted for mergekit's sake, where it saves memory; changes nothing");
        Self { spec, sparsify, elect }
    }

    /// How the task vectors of a tensor are thinned out.
    fn keeps<'g>(
        &self,
        group: &'g Group<'_>,
        others: &[usize],
        base: usize,
    ) -> Result<Vec<Option<Box<dyn Keep + 'g>>>> {
        let Some(sparsify) = &self.sparsify else { return Ok(others.iter().map(|_| None).collect()) };
        others
            .iter()
            .map(|&other| {
                let density = group.params.of(other, "density");
                if density >= 1.0 {
                    Ok(None)
                } else {
                    sparsify.prepare(group, other, base, density).map(Some)
                }
            })
            .collect()
    }
}

impl Method for TaskVectors {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let Inputs { others, read, weights } = Inputs::of(group);
        let n = others.len();
        let base = read[n];
        if n == 0 {
            return group.copy(sink, base);
        }
        let keeps = self.keeps(group, &others, base)?;
        let total: f32 = weights.iter().sum();
        let total = if total.abs() < 1e-8 { 1.0 } else { total };
        let (normalize, lambda) = (group.params.flag("normalize"), group.params.number("lambda") as f32);
        let unit = self.sparsify.as_ref().map_or(crate::merge::group::Unit::Entries, |s| s.unit());
        group.write(sink, unit, &read, |piece, values, out| {
            let base = values[n];
            let mut deltas = vec![vec![0.0f32; piece.len]; n];
            for (i, delta) in deltas.iter_mut().enumerate() {
                kernels::difference(delta, values[i], base);
                if let Some(keep) = &keeps[i] {
                    keep.apply(piece, delta)?;
                }
                kernels::scale(delta, weights[i]);
            }
            if self.elect {
                elect(group, &deltas, &weights, normalize, out)?;
            } else {
                deltas.iter().for_each(|delta| kernels::add(out, delta));
                if normalize {
                    out.iter_mut().for_each(|v| *v /= total);
                }
            }
            if lambda != 1.0 {
                kernels::scale(out, lambda);
            }
            kernels::add(out, base);
            Ok(())
        })
    }
}

/// The sum of those weighted task vectors that have, entry by entry, the sign of the sum of all; a
/// sum of 0 counts as positive. With `normalize` divided by the sum of their weights.
///
/// An error where a weighted task vector is not finite: it has no sign that means anything.
pub(super) fn elect(
    group: &Group<'_>,
    deltas: &[Vec<f32>],
    weights: &[f32],
    normalize: bool,
    out: &mut [f32],
) -> Result<()> {
    if let Some(at) = deltas.iter().position(|delta| !kernels::all_finite(delta)) {
        return Err(Error::mismatch(format!(
            "tensor {}: the weight {} makes a task vector larger than float32 holds",
            group.name, weights[at]
        )));
    }
    let mut total = vec![0.0; out.len()];
    let mut divisor = vec![0.0; out.len()];
    deltas.iter().for_each(|delta| kernels::add(&mut total, delta));
    for (delta, weight) in deltas.iter().zip(weights) {
        kernels::agree(out, &mut divisor, &total, delta, *weight);
    }
    if normalize {
        kernels::divide(out, &divisor);
    }
    Ok(())
}
