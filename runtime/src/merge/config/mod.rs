//! A merge as it is written down: mergekit's configuration, from whichever format it was read.

mod check;
mod node;
mod reference;
mod scalar;
mod tokenizer;
mod written;

pub use reference::Reference;
pub use tokenizer::{TokenSource, TokenizerConfig, TokenizerSource};

use super::{Float, Settings};

/// One model that goes into a slice.
#[derive(Clone, Debug)]
pub struct Source {
    /// The model.
    pub model: Reference,
    /// The first layer taken and the one after the last, counted from 0; `None`: all.
    pub layers: Option<(usize, usize)>,
    /// Parameters for this model.
    pub parameters: Settings,
}

/// Consecutive layers of the result, made of the same models.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The models, each with the same number of layers.
    pub sources: Vec<Source>,
    /// A base for this slice; `None`: the base of the merge.
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

/// A merge.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name by which other documents of the same file refer to the result.
    pub name: Option<String>,
    /// The method's name.
    pub method: String,
    /// The base.
    pub base: Option<Reference>,
    /// The type that inputs are rounded to; `None`: the type they are stored in.
    pub dtype: Option<Float>,
    /// The type that results are rounded to; `None`: the type of the inputs.
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
    /// Notices for the user: keys and parameters that have no effect.
    pub notices: Vec<String>,
}

impl Config {
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
    /// The settings of every place of it.
    pub(super) fn settings(&self) -> Vec<&Settings> {
        let mut all = vec![&self.parameters, &self.module_parameters];
        match &self.body {
            Body::Models(models) => all.extend(models.iter().map(|m| &m.parameters)),
            Body::Slices(slices) => {
                for slice in slices {
                    all.push(&slice.parameters);
                    all.extend(slice.sources.iter().map(|s| &s.parameters));
                }
            }
        }
        all
    }
}
