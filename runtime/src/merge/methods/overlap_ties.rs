//! `overlap_ties`: task vectors whole where one model alone changes an entry, and TIES only where
//! several do: there those count that have the sign of the sum.

use super::claims::claims;
use super::inputs::Inputs;
use super::task_vectors::elect;
use crate::Result;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec, kernels};

pub(super) struct OverlapTies(Spec);

impl OverlapTies {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "overlap_ties",
                "Task vectors whole where they are alone, elected by sign where they meet.",
                "lota",
            )
            .base(Base::Required)
            .each("weight", 1.0, "multiplies the task vector")
            .flag("normalize", true, "where several meet, divide by the sum of the weights that go in")
            .number("lambda", 1.0, "multiplies the sum of task vectors"),
        )
    }
}

impl Method for OverlapTies {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let Inputs { others, read, weights } = Inputs::of(group);
        let n = others.len();
        let (normalize, lambda) = (group.params.flag("normalize"), group.params.number("lambda") as f32);
        group.write(sink, Unit::Entries, &read, |piece, values, out| {
            let claimed = claims(group, &others, piece, values);
            let mut deltas = vec![vec![0.0f32; piece.len]; n];
            for (i, delta) in deltas.iter_mut().enumerate() {
                kernels::difference(delta, values[i], values[n]);
                kernels::scale(delta, weights[i]);
            }
            elect(group, &deltas, &weights, normalize, out)?;
            for (at, out) in out.iter_mut().enumerate() {
                let mut who = (0..n).filter(|&i| claimed[i][at]);
                let base = values[n][at];
                *out = match (who.next(), who.next()) {
                    (Some(i), None) if weights[i] == 1.0 && lambda == 1.0 => values[i][at],
                    (Some(i), None) => base + lambda * deltas[i][at],
                    (None, _) => base,
                    _ => base + lambda * *out,
                };
            }
            Ok(())
        })
    }
}
