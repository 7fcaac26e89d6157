//! A merge as it is written down: mergekit's configuration, from which format ever it was read.
//!
//! Every key is known or refused, by name and with the nearest known one.

use serde_json::{Map, Value};

use super::nearest::did_you_mean;
use super::{Float, Settings, methods};
use crate::{Error, Result};

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// A folder, a file, or the id of a model of the hub.
    pub model: String,
    /// Of the hub: a branch, tag or commit.
    pub revision: Option<String>,
    /// A LoRA adapter to apply to it: a folder, or an id of the hub.
    pub lora: Option<String>,
    /// Of the adapter, on the hub: a branch, tag or commit.
    pub lora_revision: Option<String>,
    /// An architecture to take it for.
    pub architecture: Option<String>,
}

impl Reference {
    /// A model by its place.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), revision: None, lora: None, lora_revision: None, architecture: None }
    }

    /// `path`, `path@revision`, either with `+adapter` or `+adapter@revision`, or a map of `model`, `lora` and
    /// `override_architecture`.
    fn read(value: &Value, place: &str) -> Result<Self> {
        match value {
            Value::String(text) => {
                let (model, lora) = match text.split_once('+') {
                    Some((model, lora)) => (model, Some(path(lora))),
                    None => (text.as_str(), None),
                };
                let (model, revision) = path(model);
                let (lora, lora_revision) = lora.unzip();
                if model.is_empty() {
                    return Err(Error::argument(format!("{place}: a model needs a path or an id")));
                }
                Ok(Self { model, revision, lora, lora_revision: lora_revision.flatten(), architecture: None })
            }
            Value::Object(map) => {
                only(map, place, &["model", "lora", "override_architecture"])?;
                let part = |name: &str| match map.get(name) {
                    Some(Value::String(text)) => Ok(Some(path(text))),
                    Some(Value::Object(inner)) => {
                        only(inner, &format!("{place}.{name}"), &["path", "revision"])?;
                        let text = |key: &str| inner.get(key).and_then(Value::as_str).map(str::to_string);
                        Ok(text("path").map(|p| (p, text("revision"))))
                    }
                    None | Some(Value::Null) => Ok(None),
                    Some(_) => Err(Error::argument(format!("{place}.{name}: must be a path"))),
                };
                let (model, revision) =
                    part("model")?.ok_or_else(|| Error::argument(format!("{place}: says no model")))?;
                let (lora, lora_revision) = part("lora")?.unzip();
                let architecture =
                    map.get("override_architecture").and_then(Value::as_str).map(str::to_string);
                let lora_revision = lora_revision.flatten();
                Ok(Self { model, revision, lora, lora_revision, architecture })
            }
            other => Err(Error::argument(format!("{place}: {other} is no model: write a path or an id"))),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.model)?;
        self.revision.iter().try_for_each(|r| write!(f, "@{r}"))?;
        self.lora.iter().try_for_each(|l| write!(f, "+{l}"))?;
        self.lora_revision.iter().try_for_each(|r| write!(f, "@{r}"))
    }
}

fn path(text: &str) -> (String, Option<String>) {
    match text.rsplit_once('@') {
        Some((model, revision)) if !model.is_empty() => (model.to_string(), Some(revision.to_string())),
        _ => (text.to_string(), None),
    }
}

/// One model that goes into a slice.
#[derive(Clone, Debug)]
pub struct Source {
    /// The model.
    pub model: Reference,
    /// Its first layer and the one after its last; `None`: all.
    pub layers: Option<(usize, usize)>,
    /// Parameters for this model.
    pub parameters: Settings,
}

/// Layers of the result that are made together.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The models, with as many layers each.
    pub sources: Vec<Source>,
    /// Another base than the merge's.
    pub base: Option<Reference>,
    /// Parameters for this slice.
    pub parameters: Settings,
}

/// What the result is made of.
#[derive(Clone, Debug)]
pub enum Body {
    /// Whole models.
    Models(Vec<Source>),
    /// Slices, in the order of the result's layers.
    Slices(Vec<Slice>),
}

/// Whose tokenizer the result gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// One with all tokens of all models.
    Union,
    /// The base model's.
    Base,
    /// That of a model.
    Model(Reference),
}

/// Where the embedding of a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The usual way: the only model that has it, the base, or the mean.
    Usual,
    /// Zeros.
    Zero,
    /// The same token of a model.
    Model(Reference),
    /// A token of a model, by its text.
    Token(Reference, String),
    /// A token of a model, by its id.
    Id(Reference, usize),
}

/// The tokenizer of the result.
#[derive(Clone, Debug)]
pub struct TokenizerConfig {
    /// Whose it is.
    pub source: TokenizerSource,
    /// Tokens with embeddings of their own: the text, where it comes from, and whether models that
    /// have the token get it too.
    pub tokens: Vec<(String, TokenSource, bool)>,
    /// The rows of the embedding are filled up to a multiple of this.
    pub pad_to_multiple_of: Option<usize>,
}

/// A merge.
#[derive(Clone, Debug)]
pub struct Config {
    /// What later steps of the same file call the result.
    pub name: Option<String>,
    /// The method's name.
    pub method: String,
    /// The base.
    pub base: Option<Reference>,
    /// To what inputs are rounded.
    pub dtype: Option<Float>,
    /// To what results are rounded.
    pub out_dtype: Option<Float>,
    /// The tokenizer of the result; `None`: the base model's files, copied.
    pub tokenizer: Option<TokenizerConfig>,
    /// The chat template of the result: `auto`, a name, or its Jinja source.
    pub chat_template: Option<String>,
    /// Parameters for everything.
    pub parameters: Settings,
    /// Parameters for the module.
    pub module_parameters: Settings,
    /// What it is made of.
    pub body: Body,
    /// Things to be told: parameters that the method does not have.
    pub notices: Vec<String>,
}

impl Config {
    /// Reads a configuration from its neutral form.
    pub fn read(value: &Value) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(Error::argument("a merge configuration is a map with merge_method and models"));
        };
        only(
            map,
            "the configuration",
            &[
                "name",
                "merge_method",
                "base_model",
                "models",
                "slices",
                "modules",
                "parameters",
                "dtype",
                "out_dtype",
                "tokenizer_source",
                "tokenizer",
                "chat_template",
            ],
        )?;
        let text = |name: &str| match map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Error::argument(format!("{name}: {other} must be text"))),
        };
        let method = text("merge_method")?.ok_or_else(|| {
            Error::argument("the configuration has no merge_method, ties or linear for example")
        })?;
        let float = |name: &str| text(name)?.map(|t| Float::parse(&t)).transpose();
        let mut reader = Reader { method: method.clone(), notices: Vec::new() };
        let parameters = reader.parameters(map, "")?;
        let (module_parameters, body) = reader.body(map)?;
        Ok(Self {
            name: text("name")?,
            base: given(map, "base_model").map(|v| Reference::read(v, "base_model")).transpose()?,
            dtype: float("dtype")?,
            out_dtype: float("out_dtype")?,
            tokenizer: tokenizer(map)?,
            chat_template: text("chat_template")?,
            parameters,
            module_parameters,
            body,
            notices: reader.notices,
            method,
        })
    }

    /// All models, each once, in the order they are first named, the base first.
    pub fn references(&self) -> Vec<Reference> {
        let mut all: Vec<Reference> = Vec::new();
        let mut add = |reference: &Reference| {
            if !all.contains(reference) {
                all.push(reference.clone());
            }
        };
        self.base.iter().for_each(&mut add);
        match &self.body {
            Body::Models(models) => models.iter().for_each(|m| add(&m.model)),
            Body::Slices(slices) => {
                for slice in slices {
                    slice.base.iter().for_each(&mut add);
                    slice.sources.iter().for_each(|s| add(&s.model));
                }
            }
        }
        if let Some(TokenizerConfig { source: TokenizerSource::Model(model), .. }) = &self.tokenizer {
            add(model);
        }
        all
    }
}

struct Reader {
    method: String,
    notices: Vec<String>,
}

impl Reader {
    /// The `parameters` of a place: names that some method has.
    fn parameters(&mut self, map: &Map<String, Value>, place: &str) -> Result<Settings> {
        let at = if place.is_empty() { "parameters".to_string() } else { format!("{place}.parameters") };
        let settings = match map.get("parameters") {
            None | Some(Value::Null) => return Ok(Settings::new()),
            Some(Value::Object(settings)) => settings.clone(),
            Some(_) => return Err(Error::argument(format!("{at}: must be a map of names and values"))),
        };
        let known = super::method(&self.method);
        for name in settings.keys() {
            let has = |m: &dyn super::Method| m.spec().params.iter().any(|p| p.name == name.as_str());
            match &known {
                Ok(method) if has(method.as_ref()) => {}
                // A method of a script's own checks its parameters itself.
                Err(_) => {}
                Ok(_) if methods().iter().any(|m| has(m.as_ref())) => {
                    let text = format!("{at}: {} has no parameter {name:?}, which is ignored", self.method);
                    if !self.notices.contains(&text) {
                        self.notices.push(text);
                    }
                }
                Ok(method) => {
                    let names: Vec<&str> = method.spec().params.iter().map(|p| p.name.as_ref()).collect();
                    let hint = match did_you_mean(name, names.iter().copied()) {
                        near if !near.is_empty() => near,
                        _ if names.is_empty() => format!("; {} has none", self.method),
                        _ => format!("; {} has {}", self.method, names.join(", ")),
                    };
                    return Err(Error::argument(format!("{at}: unknown parameter {name:?}{hint}")));
                }
            }
        }
        Ok(settings)
    }

    fn body(&mut self, map: &Map<String, Value>) -> Result<(Settings, Body)> {
        let given: Vec<&str> = ["models", "slices", "modules"]
            .into_iter()
            .filter(|k| map.get(*k).is_some_and(|v| !v.is_null()))
            .collect();
        let [only_one] = given[..] else {
            return Err(Error::argument(format!(
                "exactly one of models, slices and modules must be there, and {} are",
                if given.is_empty() { "none".to_string() } else { given.join(" and ") }
            )));
        };
        if only_one != "modules" {
            return Ok((Settings::new(), self.parts(map, "")?));
        }
        let Some(Value::Object(modules)) = map.get("modules") else {
            return Err(Error::argument("modules: must be a map of module names"));
        };
        let mut entries = modules.iter();
        let (Some((name, Value::Object(module))), None) = (entries.next(), entries.next()) else {
            return Err(Error::argument(
                "modules: language models have one module, called default; write its models or slices under it",
            ));
        };
        let place = format!("modules.{name}");
        only(module, &place, &["models", "slices", "parameters"])?;
        Ok((self.parameters(module, &place)?, self.parts(module, &place)?))
    }

    /// The `models` or `slices` of a place.
    fn parts(&mut self, map: &Map<String, Value>, place: &str) -> Result<Body> {
        let at = |name: &str| if place.is_empty() { name.to_string() } else { format!("{place}.{name}") };
        let list = |name: &str| match map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) if !items.is_empty() => Ok(Some(items)),
            Some(_) => Err(Error::argument(format!("{}: must be a list with one entry at least", at(name)))),
        };
        match (list("models")?, list("slices")?) {
            (Some(models), None) => {
                let read = |(i, m): (usize, &Value)| self.source(m, &format!("{}[{i}]", at("models")), false);
                Ok(Body::Models(models.iter().enumerate().map(read).collect::<Result<_>>()?))
            }
            (None, Some(slices)) => {
                let mut all = Vec::new();
                for (i, slice) in slices.iter().enumerate() {
                    all.push(self.slice(slice, &format!("{}[{i}]", at("slices")))?);
                }
                Ok(Body::Slices(all))
            }
            _ => Err(Error::argument(format!("{place}: either models or slices must be there"))),
        }
    }

    fn slice(&mut self, value: &Value, place: &str) -> Result<Slice> {
        let Value::Object(map) = value else {
            return Err(Error::argument(format!("{place}: must be a map with sources")));
        };
        only(map, place, &["sources", "base_model", "residual_weight", "parameters"])?;
        if given(map, "residual_weight").is_some() {
            self.notices
                .push(format!("{place}: residual_weight has no meaning in any method and is ignored"));
        }
        let Some(Value::Array(items)) =
            map.get("sources").filter(|s| s.as_array().is_some_and(|a| !a.is_empty()))
        else {
            return Err(Error::argument(format!("{place}: sources must be a list with one entry at least")));
        };
        let mut sources = Vec::new();
        for (i, item) in items.iter().enumerate() {
            sources.push(self.source(item, &format!("{place}.sources[{i}]"), true)?);
        }
        let lengths: Vec<usize> = sources.iter().filter_map(|s| s.layers.map(|(a, b)| b - a)).collect();
        if lengths.iter().any(|l| *l != lengths[0]) {
            return Err(Error::argument(format!(
                "{place}: the sources have {} layers, and must have the same number",
                lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            )));
        }
        let base = given(map, "base_model")
            .map(|v| Reference::read(v, &format!("{place}.base_model")))
            .transpose()?;
        Ok(Slice { sources, base, parameters: self.parameters(map, place)? })
    }

    fn source(&mut self, value: &Value, place: &str, layered: bool) -> Result<Source> {
        let Value::Object(map) = value else {
            return Err(Error::argument(format!("{place}: must be a map with model")));
        };
        let known: &[&str] =
            if layered { &["model", "layer_range", "parameters"] } else { &["model", "parameters"] };
        only(map, place, known)?;
        let model = map.get("model").ok_or_else(|| Error::argument(format!("{place}: says no model")))?;
        let model = Reference::read(model, &format!("{place}.model"))?;
        let layers = match map.get("layer_range") {
            Some(Value::Array(ends)) => {
                let ends: Vec<Option<u64>> = ends.iter().map(Value::as_u64).collect();
                match ends[..] {
                    [Some(from), Some(to)] if from < to => Some((from as usize, to as usize)),
                    _ => {
                        return Err(Error::argument(format!(
                            "{place}: layer_range must be [first, one after the last]"
                        )));
                    }
                }
            }
            None if !layered => None,
            _ => {
                return Err(Error::argument(format!(
                    "{place}: layer_range [first, one after the last] is missing"
                )));
            }
        };
        Ok(Source { model, layers, parameters: self.parameters(map, place)? })
    }
}

fn tokenizer(map: &Map<String, Value>) -> Result<Option<TokenizerConfig>> {
    let source = |value: &Value, place: &str| match value.as_str() {
        Some("union") => Ok(TokenizerSource::Union),
        Some("base") => Ok(TokenizerSource::Base),
        _ => Reference::read(value, place).map(TokenizerSource::Model),
    };
    let plain = |source| TokenizerConfig { source, tokens: Vec::new(), pad_to_multiple_of: None };
    match (given(map, "tokenizer_source"), given(map, "tokenizer")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::argument("tokenizer_source and tokenizer exclude each other")),
        (Some(value), None) => source(value, "tokenizer_source").map(plain).map(Some),
        (None, Some(Value::Object(map))) => {
            only(map, "tokenizer", &["source", "tokens", "pad_to_multiple_of"])?;
            let mut config = plain(
                given(map, "source").map_or(Ok(TokenizerSource::Union), |v| source(v, "tokenizer.source"))?,
            );
            if let Some(value) = given(map, "pad_to_multiple_of") {
                let multiple = value.as_u64().filter(|n| *n > 0);
                config.pad_to_multiple_of = Some(multiple.ok_or_else(|| {
                    Error::argument(format!(
                        "tokenizer.pad_to_multiple_of: {value} must be a whole number above 0"
                    ))
                })? as usize);
            }
            if let Some(Value::Object(tokens)) = given(map, "tokens") {
                for (token, value) in tokens {
                    config.tokens.push(token_config(token, value)?);
                }
            }
            Ok(Some(config))
        }
        (None, Some(_)) => Err(Error::argument("tokenizer: must be a map with source")),
    }
}

fn token_config(token: &str, value: &Value) -> Result<(String, TokenSource, bool)> {
    let place = format!("tokenizer.tokens[{token:?}]");
    let Value::Object(map) = value else {
        return Err(Error::argument(format!("{place}: must be a map with source and force")));
    };
    only(map, &place, &["source", "force"])?;
    let force = given(map, "force").and_then(Value::as_bool).unwrap_or(false);
    let source = match given(map, "source") {
        None => TokenSource::Usual,
        Some(Value::Object(inner)) if inner.contains_key("kind") => {
            only(inner, &format!("{place}.source"), &["kind", "model", "token", "token_id"])?;
            let model = || {
                let model =
                    inner.get("model").ok_or_else(|| Error::argument(format!("{place}: says no model")))?;
                Reference::read(model, &format!("{place}.source.model"))
            };
            match (inner.get("kind").and_then(Value::as_str), inner.get("token"), inner.get("token_id")) {
                (Some("zero"), None, None) => TokenSource::Zero,
                (Some("model_token"), Some(Value::String(text)), None) => {
                    TokenSource::Token(model()?, text.clone())
                }
                (Some("model_token"), None, Some(Value::Number(id))) => {
                    TokenSource::Id(model()?, id.as_u64().unwrap_or(u64::MAX) as usize)
                }
                _ => {
                    return Err(Error::argument(format!(
                        "{place}: kind must be zero, or model_token with either token or token_id"
                    )));
                }
            }
        }
        Some(value) => TokenSource::Model(Reference::read(value, &format!("{place}.source"))?),
    };
    Ok((token.to_string(), source, force))
}

fn given<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    map.get(name).filter(|v| !v.is_null())
}

/// An error for the first key that is not known here.
fn only(map: &Map<String, Value>, place: &str, known: &[&str]) -> Result<()> {
    match map.keys().find(|k| !known.contains(&k.as_str())) {
        None => Ok(()),
        Some(key) => {
            let hint = match did_you_mean(key, known.iter().copied()) {
                near if !near.is_empty() => near,
                _ => format!("; known are {}", known.join(", ")),
            };
            Err(Error::argument(format!("{place}: unknown key {key:?}{hint}")))
        }
    }
}
