//! From a configuration and its models to a list of tensors to make: what each is made of, with
//! which parameters. Everything that can be wrong with a merge is found here, before weights are read.

mod filters;
mod layers;
mod outcome;
mod parts;
mod planner;
mod tensors;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::planner::Planner;
use super::config::{Body, Config};
use super::layout::Layout;
use super::vocabulary::{RowMap, Vocabulary};
use super::{Float, Input, Method, Resolved, method};
use crate::model::tied::EMBEDDING;
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
    /// The name of the configuration, if it has one.
    pub(super) step: Option<String>,
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
            notices: [config.notices.clone(), inputs.iter().filter_map(|i| i.notice()).collect()].concat(),
            inputs: &inputs,
        };
        let slices = planner.slices()?;
        planner.architectures()?;
        if let Some(tokenizer) = &config.tokenizer {
            let rows: Vec<_> =
                inputs.iter().map(|i| i.info(EMBEDDING).and_then(|i| i.shape.first().copied())).collect();
            let made = Vocabulary::build(tokenizer, &references, &inputs, &rows, &mut planner.notices)?;
            planner.vocabulary = Some(made);
        } else {
            planner.same_tokens();
        }
        planner.tensors(&slices)?;
        planner.finish_problems()?;
        let stacked = matches!(config.body, Body::Slices(_));
        let out_config = planner.out_config(stacked.then_some(slices.as_slice()))?;
        let Planner { vocabulary, jobs, mut notices, .. } = planner;
        notices.extend(filters::unused(config, &jobs));
        notices.dedup();
        let plan = Self {
            method,
            jobs,
            config: out_config,
            donor: vocabulary.as_ref().map_or(0, |v| v.donor),
            vocabulary,
            chat_template: config.chat_template.clone(),
            step: config.name.clone(),
            inputs,
            notices,
        };
        // A chat template that does not exist or is not Jinja is told of now.
        super::chat_template::source(plan.chat_template.as_deref(), &plan.inputs)?;
        Ok(plan)
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
