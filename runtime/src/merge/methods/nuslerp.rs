//! `nuslerp`: two models along the arc between them, by their weights; with a base, their task
//! vectors. Whole tensors, or rows, or columns.
//!
//! The option names are mergekit's, of which `nuslerp_row_wise` means columns: vectors run along the
//! first dimension.

use crate::Result;
use crate::merge::gram::{Along, combine};
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec};

/// Vectors shorter than this are divided by it.
const SHORT: f64 = 1e-7;

pub(super) struct NuSlerp(Spec);

impl NuSlerp {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "nuslerp",
                "Two models, or their task vectors, along the arc between them, by weight.",
                "mergekit",
            )
            .weights()
            .flag("nuslerp_flatten", true, "turn a tensor as one vector")
            .flag(
                "nuslerp_row_wise",
                false,
                "without nuslerp_flatten: vectors run along the first dimension, not the last",
            )
            .base(Base::Optional)
            .others(2, Some(2)),
        )
    }
}

impl Method for NuSlerp {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let others = group.others();
        let weights: Vec<f64> = others.iter().map(|&i| group.params.of(i, "weight")).collect();
        let total = weights[0] + weights[1];
        let t = if total.abs() < 1e-6 { 0.5 } else { weights[1] / total };
        let along = match (group.params.flag("nuslerp_flatten"), group.params.flag("nuslerp_row_wise")) {
            (true, _) => Along::Whole,
            (false, true) => Along::Columns,
            (false, false) => Along::Rows,
        };
        combine(group, sink, &others, group.base(), along, |gram| {
            let cos = gram.get(0, 1) / (gram.norm(0).max(SHORT) * gram.norm(1).max(SHORT));
            let cos = cos.clamp(-1.0, 1.0);
            // In f32 vectors are on one line as soon as nothing tells them apart there.
            let narrow = cos as f32;
            if 1.0 - narrow * narrow <= 1e-16 {
                return Ok(vec![1.0 - t, t]);
            }
            let angle = cos.acos();
            Ok(vec![((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()])
        })
    }
}
