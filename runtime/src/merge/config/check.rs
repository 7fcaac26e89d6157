//! Checks across the keys of a configuration: what must be there exactly once, which parameters the method has, and
//! whether the models of a slice have the same number of layers.

use serde_json::Value;

use super::written::{Document, Slice as WrittenSlice};
use super::{Body, Config, Slice, Source, TokenizerConfig, node};
use crate::merge::nearest::did_you_mean;
use crate::merge::{Float, Method, Settings, method, methods};
use crate::{Error, Result};

impl Config {
    /// Reads a configuration from its neutral form. Errors name the path of what is wrong, and for an unknown key the
    /// nearest known one.
    pub fn read(value: &Value) -> Result<Self> {
        let Some(map) = value.as_object() else {
            return Err(Error::argument("a merge configuration is a map with merge_method and models"));
        };
        let bodies = BODIES.into_iter().filter(|key| map.get(*key).is_some_and(|v| !v.is_null()));
        let bodies: Vec<&str> = bodies.collect();
        if bodies.len() > 1 {
            return Err(Error::argument(format!("{ONE_BODY}, and {} are", bodies.join(" and "))));
        }
        let written: Document = node::read(value)?;
        let method = written.merge_method.ok_or_else(|| {
            Error::argument("the configuration has no merge_method, ties or linear for example")
        })?;
        if bodies.is_empty() {
            return Err(Error::argument(format!("{ONE_BODY}, and none are")));
        }
        let mut check = Check { method: method.clone(), notices: Vec::new() };
        let parameters = check.parameters(written.parameters, "")?;
        let (module_parameters, body) = match written.modules {
            None => (Settings::new(), check.body(written.models, written.slices, "")?),
            Some(modules) => {
                let mut entries = modules.into_iter();
                let (Some((name, module)), None) = (entries.next(), entries.next()) else {
                    return Err(Error::argument(
                        "modules: language models have one module, called default; write its models or slices under it",
                    ));
                };
                let place = format!("modules.{name}");
                let parameters = check.parameters(module.parameters, &place)?;
                (parameters, check.body(module.models, module.slices, &place)?)
            }
        };
        let float = |key: &str, text: Option<String>| text.map(|t| Float::named(key, &t)).transpose();
        Ok(Self {
            name: written.name,
            base: written.base_model,
            dtype: float("dtype", written.dtype)?,
            out_dtype: float("out_dtype", written.out_dtype)?,
            tokenizer: match (written.tokenizer_source, written.tokenizer) {
                (Some(_), Some(_)) => {
                    return Err(Error::argument("tokenizer_source and tokenizer exclude each other"));
                }
                (Some(source), None) => {
                    Some(TokenizerConfig { source, tokens: Vec::new(), pad_to_multiple_of: None })
                }
                (None, tokenizer) => tokenizer.map(TokenizerConfig::from),
            },
            chat_template: written.chat_template,
            parameters,
            module_parameters,
            body,
            notices: check.notices,
            method,
        })
    }
}

/// The keys that say what the result is made of.
const BODIES: [&str; 3] = ["models", "slices", "modules"];
const ONE_BODY: &str = "exactly one of models, slices and modules must be there";

struct Check {
    method: String,
    notices: Vec<String>,
}

impl Check {
    /// The `models` or `slices` of a place.
    fn body(
        &mut self,
        models: Option<Vec<super::written::Source>>,
        slices: Option<Vec<WrittenSlice>>,
        place: &str,
    ) -> Result<Body> {
        let at = |name: &str| if place.is_empty() { name.to_string() } else { format!("{place}.{name}") };
        let empty =
            |name: &str| Error::argument(format!("{}: must be a list with one entry at least", at(name)));
        match (models, slices) {
            (Some(models), None) if models.is_empty() => Err(empty("models")),
            (Some(models), None) => {
                let mut all = Vec::new();
                for (i, source) in models.into_iter().enumerate() {
                    let place = format!("{}[{i}]", at("models"));
                    let parameters = self.parameters(source.parameters, &place)?;
                    all.push(Source { model: source.model, layers: None, parameters });
                }
                Ok(Body::Models(all))
            }
            (None, Some(slices)) if slices.is_empty() => Err(empty("slices")),
            (None, Some(slices)) => {
                let mut all = Vec::new();
                for (i, slice) in slices.into_iter().enumerate() {
                    all.push(self.slice(slice, &format!("{}[{i}]", at("slices")))?);
                }
                if all.iter().flat_map(|s| &s.sources).all(|s| s.layers.is_none_or(|(a, b)| a == b)) {
                    return Err(Error::argument(format!("{}: the result would have no layer", at("slices"))));
                }
                Ok(Body::Slices(all))
            }
            _ => Err(Error::argument(format!("{place}: either models or slices must be there"))),
        }
    }

    fn slice(&mut self, written: WrittenSlice, place: &str) -> Result<Slice> {
        if written.residual_weight.is_some_and(|w| !w.is_null()) {
            self.notices
                .push(format!("{place}: residual_weight has no meaning in any method and is ignored"));
        }
        if written.sources.is_empty() {
            return Err(Error::argument(format!("{place}.sources: must be a list with one entry at least")));
        }
        let lengths: Vec<usize> =
            written.sources.iter().map(|s| s.layer_range.end - s.layer_range.first).collect();
        if lengths.iter().any(|l| *l != lengths[0]) {
            return Err(Error::argument(format!(
                "{place}: the sources have {} layers, and must have the same number",
                lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            )));
        }
        let mut sources = Vec::new();
        for (i, source) in written.sources.into_iter().enumerate() {
            let parameters = self.parameters(source.parameters, &format!("{place}.sources[{i}]"))?;
            let layers = Some((source.layer_range.first, source.layer_range.end));
            sources.push(Source { model: source.model, layers, parameters });
        }
        let parameters = self.parameters(written.parameters, place)?;
        Ok(Slice { sources, base: written.base_model, parameters })
    }

    /// The `parameters` of a place. Their names must be those of the method; one that only another method has is ignored
    /// with a notice, so that the method of a configuration can be changed.
    fn parameters(&mut self, written: Option<Settings>, place: &str) -> Result<Settings> {
        let settings = written.unwrap_or_default();
        let at = if place.is_empty() { "parameters".to_string() } else { format!("{place}.parameters") };
        // A method that a script brings checks its parameters itself.
        let Ok(chosen) = method(&self.method) else { return Ok(settings) };
        let has = |m: &dyn Method, name: &str| m.spec().params.iter().any(|p| p.name == name);
        for name in settings.keys().filter(|name| !has(chosen.as_ref(), name)) {
            if methods().iter().any(|m| has(m.as_ref(), name)) {
                let text = format!("{at}: {} has no parameter {name:?}, which is ignored", self.method);
                if !self.notices.contains(&text) {
                    self.notices.push(text);
                }
                continue;
            }
            let names: Vec<&str> = chosen.spec().params.iter().map(|p| p.name.as_ref()).collect();
            let hint = match did_you_mean(name, names.iter().copied()) {
                near if !near.is_empty() => near,
                _ if names.is_empty() => format!("; {} has none", self.method),
                _ => format!("; {} has {}", self.method, names.join(", ")),
            };
            return Err(Error::argument(format!("{at}: unknown parameter {name:?}{hint}")));
        }
        Ok(settings)
    }
}
