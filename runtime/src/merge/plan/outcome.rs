//! The `config.json` of the result.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::layers::stacked;
use super::parts::Part;
use super::planner::Planner;
use crate::Result;
use crate::merge::Input;
use crate::model::tied::{EMBEDDING, HEAD};

impl Planner<'_> {
    /// The configuration of the result: the base's, or the first model's, with what changes. `parts` are the slices, if
    /// the result is stacked of slices.
    pub(super) fn out_config(&mut self, parts: Option<&[Part<'_>]>) -> Result<Map<String, Value>> {
        let mut out = self.inputs.iter().find_map(|i| i.config()).cloned().unwrap_or_default();
        if let Some(parts) = parts {
            let layers: usize = parts.iter().map(|p| p.length).sum();
            out.insert("num_hidden_layers".into(), json!(layers));
            let sources = self.sources(parts);
            let configs: Vec<Option<&Map<String, Value>>> = self.inputs.iter().map(|i| i.config()).collect();
            stacked(&mut out, &configs, &sources, &mut self.notices);
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
            && out.get("tie_word_embeddings") != Some(&json!(false))
            && self.inputs.iter().any(|i| tied(i) == Some(false))
        {
            self.notices.push(
                "some of the models have a head of their own and some use their embedding for it: the result has one of its own"
                    .to_string(),
            );
            out.insert("tie_word_embeddings".into(), json!(false));
        }
        Ok(out)
    }

    /// For each layer of the result the input and the layer that it is like: of the base where a slice has one, else of
    /// its first model.
    fn sources(&self, parts: &[Part<'_>]) -> Vec<(usize, usize)> {
        let of = |part: &Part<'_>| {
            let at = part.base.unwrap_or(0);
            let (model, first) = (part.models[at], part.first[at]);
            (0..part.length).map(move |offset| (model, first + offset)).collect::<Vec<_>>()
        };
        parts.iter().flat_map(of).collect()
    }
}
