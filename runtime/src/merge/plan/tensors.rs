//! The tensors of the result, one by one: where each comes from and with which parameters.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::parts::Part;
use super::planner::Planner;
use super::{Feed, Job, Task};
use crate::merge::layout::{Layout, is_computed, is_vocabulary};
use crate::merge::settings::ANY;
use crate::merge::vocabulary::RowMap;
use crate::merge::{Float, Info, Resolved, Scalar, Scope, Settings, resolve};
use crate::model::tied::{EMBEDDING, HEAD};
use crate::{Error, Result};

impl<'c> Planner<'c> {
    /// Plans all tensors, in the order of the result.
    pub(super) fn tensors(&mut self, parts: &[Part<'c>]) -> Result<()> {
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

    /// Plans one tensor; `source` is its name in each of the models.
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
                // Old checkpoints carry tables that the configuration gives; models without them lack nothing.
                None if is_computed(&own) => return Ok(()),
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
    fn buffer(&mut self, name: String, mut feeds: Vec<Feed>, infos: &[Info]) -> Result<()> {
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

    /// The parameters of the method for one tensor.
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
        let weights = out.inputs.iter().filter_map(|input| input.get("weight"));
        let sum = weights.map(|w| if let Scalar::Number(x) = w { x.abs() } else { 0.0 }).sum::<f64>();
        if sum > ANY.1 {
            return Err(Error::argument(format!(
                "the weights for {name} add up to {sum:e}, more than float32 holds, as which merges are computed"
            )));
        }
        Ok(out)
    }
}
