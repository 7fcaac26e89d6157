//! The slices of a configuration with their models as places among the inputs: which layers of which model meet.

use serde_json::Value;

use super::planner::Planner;
use crate::Result;
use crate::merge::Settings;
use crate::merge::config::{Body, Reference, Slice, Source};

/// A slice with its models as places among the inputs.
pub(super) struct Part<'c> {
    /// The models that meet in it.
    pub(super) models: Vec<usize>,
    /// The first layer of each.
    pub(super) first: Vec<usize>,
    /// The number of layers, of each and of the result.
    pub(super) length: usize,
    /// The place of the base among `models`.
    pub(super) base: Option<usize>,
    /// What the configuration says of each model.
    pub(super) sources: Vec<&'c Source>,
    /// Parameters of the slice.
    pub(super) parameters: Option<&'c Settings>,
}

/// What the configuration says of a base that it does not list: nothing.
static NONE: std::sync::LazyLock<Source> = std::sync::LazyLock::new(|| Source {
    model: Reference::new(""),
    layers: None,
    parameters: Settings::new(),
});

impl<'c> Planner<'c> {
    /// The number of layers of an input.
    pub(super) fn layers(&self, input: usize) -> usize {
        let said =
            self.inputs[input].config().and_then(|c| c.get("num_hidden_layers")).and_then(Value::as_u64);
        said.map_or_else(|| self.layouts[input].layers.keys().max().map_or(0, |l| l + 1), |n| n as usize)
    }

    /// The slices; whole models are one.
    pub(super) fn slices(&mut self) -> Result<Vec<Part<'c>>> {
        let config = self.config;
        let mut parts = Vec::new();
        match &config.body {
            Body::Models(models) => parts.push(self.part(models, config.base.as_ref(), None, "", true)?),
            Body::Slices(slices) => {
                for (i, Slice { sources, base, parameters }) in slices.iter().enumerate() {
                    let base = base.as_ref().or(config.base.as_ref());
                    parts.push(self.part(sources, base, Some(parameters), &format!("slices[{i}]"), false)?);
                }
            }
        }
        Ok(parts)
    }

    fn part(
        &mut self,
        sources: &'c [Source],
        base: Option<&Reference>,
        parameters: Option<&'c Settings>,
        place: &str,
        whole: bool,
    ) -> Result<Part<'c>> {
        let mut all: Vec<&'c Source> = sources.iter().collect();
        let mut models: Vec<usize> = sources.iter().map(|s| self.place[&s.model]).collect();
        // A base that is not listed among whole models comes last, as one without parameters.
        if let (true, Some(base)) = (whole, base.map(|b| self.place[b]))
            && !models.contains(&base)
        {
            models.push(base);
            all.push(&NONE);
        }
        let labels: Vec<&str> = models.iter().map(|m| self.inputs[*m].label()).collect();
        let label = base.map(|b| self.inputs[self.place[b]].label());
        let base = self.method.spec().check(&labels, label, place)?;
        let mut first = Vec::new();
        let mut lengths = Vec::new();
        for (source, &model) in all.iter().zip(&models) {
            let have = self.layers(model);
            let (from, to) = source.layers.unwrap_or((0, have));
            if to > have {
                self.problems.push(format!(
                    "{place}: layer_range [{from}, {to}] goes past the {have} layers of {}",
                    self.inputs[model].label()
                ));
            }
            first.push(from);
            lengths.push(to - from);
        }
        if lengths.iter().any(|l| *l != lengths[0]) {
            let each: Vec<String> =
                labels.iter().zip(&lengths).map(|(label, n)| format!("{label} has {n}")).collect();
            self.problems.push(format!("the models differ in their layers: {}", each.join(", ")));
        }
        Ok(Part { models, first, length: lengths[0], base, sources: all, parameters })
    }
}
