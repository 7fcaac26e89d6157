//! `model_stock`: from the base towards the mean of the others, the farther the more their task
//! vectors agree (arXiv 2403.19522, equation 6).
//!
//! As in mergekit, task vectors whose lengths have a product below 1e-6 count as less alike than they
//! are: so do those of norm weights and of single rows. With `scale_free` they count as alike as they
//! are.

use crate::Result;
use crate::merge::gram::{Along, combine};
use crate::merge::method::Base;
use crate::merge::{Group, Method, Sink, Spec};

pub(super) struct ModelStock(Spec);

impl ModelStock {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "model_stock",
                "From the base towards the mean of the others, by how much their task vectors agree.",
                "arXiv 2403.19522",
            )
            .flag("filter_wise", false, "measure each row by itself instead of the whole tensor")
            .flag("scale_free", false, "measure short task vectors as they are, which mergekit does not")
            .base(Base::Required)
            .inputs(3, None),
        )
    }
}

impl Method for ModelStock {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let others = group.others();
        let n = others.len();
        let along = if group.params.flag("filter_wise") { Along::Rows } else { Along::Whole };
        let shortest = if group.params.flag("scale_free") { f64::MIN_POSITIVE } else { 1e-6 };
        combine(group, sink, &others, group.base(), along, |gram| {
            let mut cosines = 0.0;
            for i in 0..n {
                for j in i + 1..n {
                    let lengths = (gram.norm(i) * gram.norm(j)).max(shortest);
                    cosines += (gram.get(i, j) / lengths).clamp(-1.0, 1.0);
                }
            }
            let cos = cosines / (n * (n - 1) / 2) as f64;
            let below = 1.0 + (n as f64 - 1.0) * cos;
            // Where the task vectors cancel out there is no estimate, and the base stays.
            let t = if below.abs() < 1e-6 { 0.0 } else { n as f64 * cos / below };
            Ok(vec![t / n as f64; n])
        })
    }
}
