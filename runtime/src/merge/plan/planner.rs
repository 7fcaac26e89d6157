//! What is known while a plan is made, and whether the models fit each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::{Job, PlanOptions};
use crate::merge::config::{Config, Reference};
use crate::merge::input::beside;
use crate::merge::layout::Layout;
use crate::merge::vocabulary::Vocabulary;
use crate::merge::{Input, Method};
use crate::{Error, Result};

/// A plan in the making.
pub(super) struct Planner<'c> {
    pub(super) config: &'c Config,
    /// The place of each model among the inputs.
    pub(super) place: HashMap<Reference, usize>,
    pub(super) layouts: Vec<Layout>,
    pub(super) method: Arc<dyn Method>,
    pub(super) options: PlanOptions,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) jobs: Vec<Job>,
    /// What is in the way, told together at the end.
    pub(super) problems: Vec<String>,
    pub(super) notices: Vec<String>,
    pub(super) inputs: &'c [Arc<dyn Input>],
}

impl Planner<'_> {
    /// Models must be of one architecture, unless the options say otherwise.
    pub(super) fn architectures(&mut self) -> Result<()> {
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
    pub(super) fn same_tokens(&mut self) {
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

    /// The error for what is in the way, if anything is.
    pub(super) fn finish_problems(&mut self) -> Result<()> {
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
}
