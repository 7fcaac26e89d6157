//! From a configuration and its models to a list of tensors to make: what each is made of, with
//! which parameters. All that can be wrong with a merge is found here, before anything is read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::config::{Body, Config, Reference, Slice, Source};
use super::input::beside;
use super::layout::{EMBEDDING, HEAD, Layout, is_vocabulary};
use super::vocabulary::{RowMap, Vocabulary};
use super::{Float, Input, Method, Resolved, Scope, Settings, method, resolve};
use crate::{Error, Result};

/// What may be lenient.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// Models of different architectures are tried.
    pub mixed_architectures: bool,
    /// Embeddings of different length are cut to the shortest, as if their tokens were the same.
    pub truncate_vocabulary: bool,
}

/// Where the entries of a tensor come from in one model.
pub(super) struct Feed {
    /// The input.
    pub input: usize,
    /// The tensor's name there.
    pub name: String,
    /// Its rows in another order.
    pub rows: Option<Arc<RowMap>>,
}

/// What is to be done for a tensor.
pub(super) enum Task {
    /// Merge.
    Merge { feeds: Vec<Feed>, base: Option<usize>, params: Resolved, float: Float },
    /// Copy the bytes of a tensor of another type.
    Copy { feed: Feed, dtype: String },
}

/// A tensor of the result.
pub(super) struct Job {
    pub name: String,
    pub shape: Vec<usize>,
    pub out: Float,
    pub task: Task,
}

impl Job {
    pub(super) fn entries(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All that a merge does, known before it begins.
pub struct Plan {
    pub(super) method: Arc<dyn Method>,
    pub(super) inputs: Vec<Arc<dyn Input>>,
    pub(super) jobs: Vec<Job>,
    pub(super) config: Map<String, Value>,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) donor: usize,
    pub(super) chat_template: Option<String>,
    notices: Vec<String>,
}

impl Plan {
    /// Plans a merge. `inputs` are the models of [`Config::references`], in that order; `own` is a
    /// method that is not built in.
    pub fn new(
        config: &Config,
        inputs: Vec<Arc<dyn Input>>,
        own: Option<Arc<dyn Method>>,
        options: PlanOptions,
    ) -> Result<Self> {
        let method = own.map_or_else(|| method(&config.method), Ok)?;
        let references = config.references();
        if inputs.len() != references.len() {
            return Err(Error::argument("a merge needs an input for each model that it names"));
        }
        let mut planner = Planner {
            config,
            place: references.iter().cloned().enumerate().map(|(i, r)| (r, i)).collect(),
            layouts: inputs.iter().map(|i| Layout::of(&i.names())).collect(),
            method: method.clone(),
            options,
            vocabulary: None,
            jobs: Vec::new(),
            problems: Vec::new(),
            notices: config.notices.clone(),
            inputs: &inputs,
        };
        let slices = planner.slices()?;
        planner.architectures()?;
        if let Some(tokenizer) = &config.tokenizer {
            let rows: Vec<_> =
                inputs.iter().map(|i| i.info(EMBEDDING).and_then(|i| i.shape.first().copied())).collect();
            planner.vocabulary = Some(Vocabulary::build(tokenizer, &references, &inputs, &rows)?);
        } else {
            planner.same_tokens();
        }
        planner.tensors(&slices)?;
        planner.finish_problems()?;
        let layers = slices.iter().map(|s| s.length).sum::<usize>();
        let whole = matches!(config.body, Body::Models(_));
        let out_config = planner.out_config((!whole).then_some(layers));
        let Planner { vocabulary, jobs, mut notices, .. } = planner;
        notices.dedup();
        Ok(Self {
            method,
            jobs,
            config: out_config,
            donor: vocabulary.as_ref().map_or(0, |v| v.donor),
            vocabulary,
            chat_template: config.chat_template.clone(),
            inputs,
            notices,
        })
    }

    /// What a person should know: parameters that are ignored, tokens that differ.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The number of tensors of the result.
    pub fn tensors(&self) -> usize {
        self.jobs.len()
    }

    /// The number of entries of the result.
    pub fn entries(&self) -> u64 {
        self.jobs.iter().map(|j| j.entries() as u64).sum()
    }

    /// The models.
    pub fn inputs(&self) -> &[Arc<dyn Input>] {
        &self.inputs
    }

    /// The method.
    pub fn method(&self) -> &Arc<dyn Method> {
        &self.method
    }
}

/// A slice with its models as places among the inputs.
struct Part<'c> {
    models: Vec<usize>,
    first: Vec<usize>,
    length: usize,
    base: Option<usize>,
    sources: Vec<&'c Source>,
    parameters: Option<&'c Settings>,
}

struct Planner<'c> {
    config: &'c Config,
    place: HashMap<Reference, usize>,
    layouts: Vec<Layout>,
    method: Arc<dyn Method>,
    options: PlanOptions,
    vocabulary: Option<Vocabulary>,
    jobs: Vec<Job>,
    problems: Vec<String>,
    notices: Vec<String>,
    inputs: &'c [Arc<dyn Input>],
}

static NONE: std::sync::LazyLock<Source> = std::sync::LazyLock::new(|| Source {
    model: Reference::new(""),
    layers: None,
    parameters: Settings::new(),
});

impl<'c> Planner<'c> {
    fn layers(&self, input: usize) -> usize {
        let said =
            self.inputs[input].config().and_then(|c| c.get("num_hidden_layers")).and_then(Value::as_u64);
        said.map_or_else(|| self.layouts[input].layers.keys().max().map_or(0, |l| l + 1), |n| n as usize)
    }

    fn slices(&mut self) -> Result<Vec<Part<'c>>> {
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

    fn architectures(&mut self) -> Result<()> {
        let of = |input: &Arc<dyn Input>| -> Option<String> {
            let config = input.config()?;
            let class = config.get("architectures").and_then(Value::as_array).and_then(|a| a.first());
            class.or(config.get("model_type")).and_then(Value::as_str).map(str::to_string)
        };
        let all: Vec<(usize, String)> =
            self.inputs.iter().enumerate().filter_map(|(i, input)| of(input).map(|a| (i, a))).collect();
        let Some((first, architecture)) = all.first() else { return Ok(()) };
        for (i, other) in &all {
            if other != architecture {
                let text = format!(
                    "{} is a {architecture} and {} a {other}",
                    self.inputs[*first].label(),
                    self.inputs[*i].label()
                );
                if self.options.mixed_architectures {
                    self.notices.push(text);
                } else {
                    self.problems.push(format!(
                        "{text}: architectures must be the same (--allow-crimes tries it all the same)"
                    ));
                }
            }
        }
        if self.problems.is_empty() { Ok(()) } else { self.finish_problems() }
    }

    /// A notice where models without `tokenizer_source` have tokenizers that give tokens other ids.
    fn same_tokens(&mut self) {
        let vocabulary = |bytes: &[u8]| {
            tokenizers::Tokenizer::from_bytes(bytes)
                .ok()
                .map(|t| t.get_vocab(true).into_iter().collect::<BTreeSet<_>>())
        };
        let mut first: Option<(&str, Vec<u8>)> = None;
        for input in self.inputs {
            let Ok(Some(bytes)) = beside(input.as_ref(), "tokenizer.json") else { continue };
            match &first {
                None => first = Some((input.label(), bytes)),
                Some((label, known)) if *known != bytes => {
                    let (a, b) = (vocabulary(known), vocabulary(&bytes));
                    if let (Some(a), Some(b)) = (a, b)
                        && let Some((token, id)) = a.symmetric_difference(&b).next()
                    {
                        self.notices.push(format!(
                            "{label} and {} give tokens different ids ({token:?}, {id}): the merge pairs rows by number; \
                             say tokenizer_source: base or union to pair them by token",
                            input.label()
                        ));
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn tensors(&mut self, parts: &[Part<'c>]) -> Result<()> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(()) };
        for name in self.loose(first, |l| &l.before) {
            self.tensor(first, name.clone(), |_| name.clone(), 0.0)?;
        }
        let mut layer = 0;
        let out = self.layouts[first.models[0]].clone();
        for part in parts {
            for offset in 0..part.length {
                let at = if part.length > 1 { offset as f64 / (part.length - 1) as f64 } else { 1.0 };
                let mut rest: BTreeSet<String> = BTreeSet::new();
                for (model, first) in part.models.iter().zip(&part.first) {
                    rest.extend(
                        self.layouts[*model].layers.get(&(first + offset)).cloned().unwrap_or_default(),
                    );
                }
                for rest in rest {
                    let names: Vec<String> = part
                        .models
                        .iter()
                        .zip(&part.first)
                        .map(|(model, first)| self.layouts[*model].name(first + offset, &rest))
                        .collect();
                    self.tensor(part, out.name(layer, &rest), |i| names[i].clone(), at)?;
                }
                layer += 1;
            }
        }
        for name in self.loose(last, |l| &l.after) {
            self.tensor(last, name.clone(), |_| name.clone(), 0.0)?;
        }
        Ok(())
    }

    /// The names outside of layers that any of the models has.
    fn loose(&self, part: &Part<'_>, side: impl Fn(&Layout) -> &Vec<String>) -> BTreeSet<String> {
        part.models.iter().flat_map(|m| side(&self.layouts[*m]).clone()).collect()
    }

    fn tensor(
        &mut self,
        part: &Part<'c>,
        name: String,
        source: impl Fn(usize) -> String,
        at: f64,
    ) -> Result<()> {
        let mut feeds = Vec::new();
        let mut infos = Vec::new();
        for (i, &model) in part.models.iter().enumerate() {
            let mut own = source(i);
            // Files leave the head out where it is the embedding.
            if name == HEAD && self.inputs[model].info(HEAD).is_none() {
                own = EMBEDDING.to_string();
            }
            match self.inputs[model].info(&own) {
                Some(info) => infos.push(info),
                None => {
                    self.problems.push(format!("{} has no tensor {own}", self.inputs[model].label()));
                    return Ok(());
                }
            }
            feeds.push(Feed { input: model, name: own, rows: None });
        }
        let params = self.params(part, &name, &feeds, at)?;
        if infos.iter().any(|i| i.float.is_none()) {
            return self.buffer(name, feeds, &infos);
        }
        let mut shape = infos[0].shape.clone();
        if is_vocabulary(&name) {
            let rows: Vec<usize> = infos.iter().map(|i| i.shape.first().copied().unwrap_or(0)).collect();
            let same = infos.iter().all(|i| i.shape.get(1..) == shape.get(1..));
            if let (true, Some(vocabulary)) = (same, &self.vocabulary) {
                let maps = vocabulary.maps(&part.models, part.base)?;
                feeds.iter_mut().zip(maps).for_each(|(feed, map)| feed.rows = Some(Arc::new(map)));
                shape[0] = vocabulary.rows;
            } else if same && rows.iter().any(|r| *r != rows[0]) {
                if !self.options.truncate_vocabulary {
                    let each: Vec<String> = feeds
                        .iter()
                        .zip(&rows)
                        .map(|(f, r)| format!("{} has {r}", self.inputs[f.input].label()))
                        .collect();
                    self.problems.push(format!(
                        "{name}: the vocabularies differ in size: {}; say tokenizer_source: base or union, which pairs \
                         rows by token",
                        each.join(", ")
                    ));
                    return Ok(());
                }
                let least = rows.iter().copied().min().unwrap_or(0);
                for (i, feed) in feeds.iter_mut().enumerate() {
                    feed.rows = Some(Arc::new(RowMap::first(i, least)));
                }
                shape[0] = least;
            }
        }
        if feeds.iter().all(|f| f.rows.is_none())
            && let Some(at) = infos.iter().position(|i| i.shape != shape)
        {
            self.problems.push(format!(
                "{name} has shape {shape:?} in {} and {:?} in {}",
                self.inputs[feeds[0].input].label(),
                infos[at].shape,
                self.inputs[feeds[at].input].label()
            ));
            return Ok(());
        }
        let stored = infos.iter().filter_map(|i| i.float).reduce(Float::promote).unwrap_or(Float::F32);
        let float = self.config.dtype.unwrap_or(stored);
        let out = self.config.out_dtype.unwrap_or(float);
        self.jobs.push(Job { name, shape, out, task: Task::Merge { feeds, base: part.base, params, float } });
        Ok(())
    }

    /// A tensor that is not of a floating type: it must be the same in all models.
    fn buffer(&mut self, name: String, mut feeds: Vec<Feed>, infos: &[super::Info]) -> Result<()> {
        let same = infos.iter().all(|i| *i == infos[0])
            && feeds.iter().all(|f| {
                self.inputs[f.input].raw(&f.name) == self.inputs[feeds[0].input].raw(&feeds[0].name)
            });
        if !same {
            self.problems.push(format!(
                "{name} is stored as {} and is not the same in all models: only floating types can be merged",
                infos.iter().find(|i| i.float.is_none()).map_or("", |i| i.dtype.as_str())
            ));
            return Ok(());
        }
        let task = Task::Copy { feed: feeds.swap_remove(0), dtype: infos[0].dtype.clone() };
        self.jobs.push(Job { name, shape: infos[0].shape.clone(), out: Float::F32, task });
        Ok(())
    }

    fn params(&self, part: &Part<'c>, name: &str, feeds: &[Feed], at: f64) -> Result<Resolved> {
        let mut shared: Vec<&Settings> = part.parameters.into_iter().collect();
        shared.extend([&self.config.module_parameters, &self.config.parameters]);
        let mut out = Resolved { inputs: vec![Default::default(); feeds.len()], ..Resolved::default() };
        for param in &self.method.spec().params {
            if param.scope == Scope::Shared {
                out.shared.insert(param.name.clone(), resolve(param, &shared, name, at, "")?);
                continue;
            }
            for (i, feed) in feeds.iter().enumerate() {
                if param.scope == Scope::Other && Some(i) == part.base {
                    continue;
                }
                let mut places = vec![&part.sources[i].parameters];
                places.extend(&shared);
                let label = self.inputs[feed.input].label();
                out.inputs[i].insert(param.name.clone(), resolve(param, &places, &feed.name, at, label)?);
            }
        }
        Ok(out)
    }

    fn finish_problems(&mut self) -> Result<()> {
        const SHOWN: usize = 8;
        self.problems.dedup();
        match self.problems.len() {
            0 => Ok(()),
            1 => Err(Error::mismatch(format!("these models cannot be merged: {}", self.problems[0]))),
            n => {
                let mut text = format!("these models cannot be merged, for {n} reasons:");
                self.problems.iter().take(SHOWN).for_each(|p| text += &format!("\n  - {p}"));
                if n > SHOWN {
                    text += &format!("\n  - and {} more", n - SHOWN);
                }
                Err(Error::mismatch(text))
            }
        }
    }

    /// The configuration of the result: the base's, or the first model's, with what changes.
    fn out_config(&mut self, layers: Option<usize>) -> Map<String, Value> {
        let mut out = self.inputs.iter().find_map(|i| i.config()).cloned().unwrap_or_default();
        if let Some(layers) = layers {
            out.insert("num_hidden_layers".into(), json!(layers));
            // Lists with an entry for each layer would no longer fit.
            out.shift_remove("layer_types");
        }
        if let Some(job) = self.jobs.iter().find(|j| j.name == EMBEDDING) {
            out.insert("vocab_size".into(), json!(job.shape[0]));
        }
        let dtype = self.config.out_dtype.or(self.config.dtype).or_else(|| self.jobs.first().map(|j| j.out));
        if let Some(dtype) = dtype {
            let key = if out.contains_key("dtype") { "dtype" } else { "torch_dtype" };
            out.insert(key.into(), json!(dtype.torch()));
        }
        let tied = |i: &Arc<dyn Input>| {
            i.config().and_then(|c| c.get("tie_word_embeddings")).and_then(Value::as_bool)
        };
        let head = self.jobs.iter().any(|j| j.name == HEAD);
        if head
            && out.get("tie_word_embeddings") == Some(&json!(true))
            && self.inputs.iter().any(|i| tied(i) == Some(false))
        {
            self.notices.push(
                "some of the models have a head of their own and some use their embedding for it: the result has one of its own"
                    .to_string(),
            );
            out.insert("tie_word_embeddings".into(), json!(false));
        }
        out
    }
}
