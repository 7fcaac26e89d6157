//! `magmax`: of all task vectors, entry by entry the one that is largest in magnitude (arXiv
//! 2407.06322).

use super::inputs::Inputs;
use crate::Result;
use crate::merge::group::Unit;
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct MagMax(Spec);

impl MagMax {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "magmax",
                "Entry by entry the task vector that is largest in magnitude.",
                "arXiv 2407.06322",
            )
            .base(Base::Required)
            .each("weight", 1.0, "multiplies the task vector")
            .number("lambda", 1.0, "multiplies the task vector that is taken"),
        )
    }
}

impl Method for MagMax {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let Inputs { others, read, weights } = Inputs::of(group);
        let n = others.len();
        let lambda = group.params.number("lambda") as f32;
        group.write(sink, Unit::Entries, &read, |_, values, out| {
            for (at, out) in out.iter_mut().enumerate() {
                let base = values[n][at];
                let (mut best, mut size, mut whose) = (0.0f32, 0.0f32, None);
                for (i, weight) in weights.iter().enumerate() {
                    let delta = weight * (values[i][at] - base);
                    if delta.abs() > size {
                        (best, size, whose) = (delta, delta.abs(), Some(i));
                    }
                }
                *out = match whose {
                    Some(i) if weights[i] == 1.0 && lambda == 1.0 => values[i][at],
                    _ => base + lambda * best,
                };
            }
            Ok(())
        })
    }
}
