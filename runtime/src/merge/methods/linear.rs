//! `linear`: the weighted mean, or sum, of models (model soups, arXiv 2203.05482).

use crate::merge::group::Unit;
use crate::merge::settings::{Kind, Scope};
use crate::merge::{Group, Method, Sink, Spec, kernels};
use crate::{Error, Result};

pub(super) struct Linear(Spec);

impl Linear {
    pub(super) fn new() -> Self {
        Self(
            Spec::new("linear", "The weighted mean of models.", "arXiv 2203.05482")
                .param("weight", Kind::Number, Scope::Input, None, "how much of the model goes in")
                .flag("normalize", true, "divide by the sum of the weights")
                .any_values(),
        )
    }
}

impl Method for Linear {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> Result<()> {
        let all: Vec<usize> = (0..group.entries.len()).collect();
        let weights: Vec<f32> = all.iter().map(|&i| group.params.of(i, "weight") as f32).collect();
        let total: f32 = weights.iter().sum();
        let normalize = group.params.flag("normalize");
        if normalize && total == 0.0 {
            return Err(Error::argument(format!(
                "linear: the weights for {} add up to 0, and cannot be normalized: change them, or set normalize to false",
                group.name
            )));
        }
        group.write(sink, Unit::Entries, &all, |_, values, out| {
            for (values, weight) in values.iter().zip(&weights) {
                kernels::add_scaled(out, values, *weight);
            }
            if normalize && total != 1.0 {
                out.iter_mut().for_each(|v| *v /= total);
            }
            Ok(())
        })
    }
}
