//! `multislerp`: the weighted mean direction of several models, or of their task vectors, at their
//! mean length (barycentric interpolation on a sphere, by the tangent space at the mean).

use crate::merge::gram::{Along, combine};
use crate::merge::method::Base;
use crate::merge::settings::ANY;
use crate::merge::{Group, Method, Sink, Spec};
use crate::{Error, Result};

pub(super) struct MultiSlerp(Spec);

impl MultiSlerp {
    pub(super) fn new() -> Self {
        Self(
            Spec::new(
                "multislerp",
                "The mean direction of models, or of their task vectors, at their mean length.",
                "mergekit",
            )
            .weights()
            .flag("normalize_weights", true, "divide the weights by their sum")
            .number("eps", 1e-8, "lengths below this count as none")
            .between(0.0, ANY.1)
            .base(Base::Optional)
            .others(1, None),
        )
    }
}

impl Method for MultiSlerp {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let others = group.others();
        if let [only] = others[..] {
            return group.copy(sink, only);
        }
        let eps = group.params.number("eps");
        let mut weights: Vec<f64> = others.iter().map(|&i| group.params.of(i, "weight")).collect();
        if group.params.flag("normalize_weights") {
            let total: f64 = weights.iter().sum();
            if total == 0.0 {
                return Err(Error::argument(format!(
                    "multislerp: the weights for {} add up to 0, and cannot be normalized",
                    group.name
                )));
            }
            weights.iter_mut().for_each(|w| *w /= total);
        }
        combine(group, sink, &others, group.base(), Along::Whole, |gram| {
            let n = weights.len();
            let norms: Vec<f64> = (0..n).map(|i| gram.norm(i)).collect();
            let unit = |i: usize| 1.0 / (norms[i] + eps);
            let sum: Vec<f64> = (0..n).map(|i| weights[i] * unit(i)).collect();
            let length = gram.length(&sum);
            if length < eps {
                if n == 2 {
                    return Ok(weights.clone());
                }
                return Err(Error::argument(format!(
                    "multislerp: the weighted directions for {} cancel out, and have no mean: change the weights",
                    group.name
                )));
            }
            let mean: Vec<f64> = sum.iter().map(|c| c / length).collect();
            // What is left of the sum beside the mean's direction: nothing, up to rounding.
            let along = gram.between(&sum, &mean);
            let tangent: Vec<f64> = sum.iter().zip(&mean).map(|(s, m)| s - along * m).collect();
            let angle = gram.length(&tangent) + eps;
            let size: f64 = norms.iter().zip(&weights).map(|(n, w)| n * w).sum();
            let (cos, sinc) = (angle.cos(), angle.sin() / angle);
            Ok(mean.iter().zip(&tangent).map(|(m, t)| (m * cos + t * sinc) * size).collect())
        })
    }
}
