//! A ticket from two models: the entries that moved most between a base and its fine-tuned
//! version, with the values they have there.
//!
//! Both are read from their files in pieces, several times, and never held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use roaring::RoaringBitmap;
use serde_json::json;

use super::{Meta, Ticket};
use crate::host::Host;
use crate::mask::{self, Budget, Budgets, Mask, Scope};
use crate::model::tied::HEAD;
use crate::model::{ParamSpec, Role, Universe, WeightFiles};
use crate::ops::Exec;
use crate::vectors::Source;
use crate::{Error, Result};

/// Entries whose values are read at a time.
const PIECE: usize = 1 << 18;

/// Which entries become a ticket.
#[derive(Clone, Debug)]
pub struct FromOptions {
    /// How many entries.
    pub budget: Budgets,
    /// Among which entries they compete.
    pub scope: Scope,
    /// The parameters, as indices of the base's.
    pub params: Vec<usize>,
    /// Where the two models' embedding (or head) has different numbers of rows, compare the rows
    /// that both have. Otherwise such a parameter is refused.
    pub shared_rows: bool,
}

impl Ticket {
    /// The ticket of the `budget` entries of largest |tuned - base|, exactly so many, ties broken by
    /// position.
    ///
    /// The ticket is about the base's parameters. One of another shape in `tuned` is an error,
    /// but for more or fewer rows of an embedding or head: that is no matter where it is not among the
    /// chosen parameters, and is for [`FromOptions::shared_rows`] to say where it is. Rows that
    /// only `tuned` has are never part of the ticket.
    pub fn from_models(
        base: &WeightFiles,
        tuned: &WeightFiles,
        options: &FromOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<Self> {
        let delta = FileDelta::new(base, tuned, &options.params, options.shared_rows, host)?;
        let mask =
            exec.run(|| mask::top(&delta, options.budget.clone(), options.scope, None, None, true, host))?;
        delta.tell_elsewhere("the ticket has nothing of it: `params` says which parameters are compared")?;
        let read = delta.pieces.load(Ordering::Relaxed);
        host.events.progress("compare", read, read, "");
        let values = exec.run(|| delta.values(&mask))?;
        let mut meta = Meta::new(base.fingerprint(exec, host)?, "difference");
        for (name, value) in [
            ("base_model", json!(base.source())),
            ("tuned_model", json!(tuned.source())),
            (
                "density",
                match options.budget {
                    Budgets::Same(Budget::Density(density)) => json!(density),
                    Budgets::Same(Budget::Count(_)) | Budgets::Each(_) => json!(null),
                },
            ),
        ] {
            if !value.is_null() {
                meta.settings.insert(name.into(), value);
            }
        }
        Self::new(mask, values, meta)
    }
}

/// The difference of two models' files, tuned - base, as scores, see [`Ticket::from_models`].
pub struct FileDelta<'a> {
    base: &'a WeightFiles,
    tuned: &'a WeightFiles,
    /// For each parameter that is compared, the entries that both models have: all of them but where rows
    /// are lacking.
    common: Vec<Option<usize>>,
    host: &'a Host,
    pieces: AtomicU64,
}

impl<'a> FileDelta<'a> {
    /// The difference in these parameters of the base; the other ones are not scored.
    pub fn new(
        base: &'a WeightFiles,
        tuned: &'a WeightFiles,
        params: &[usize],
        shared_rows: bool,
        host: &'a Host,
    ) -> Result<Self> {
        let universe = base.universe();
        if base.config().tied
            && !tuned.config().tied
            && params.iter().any(|&p| universe.spec(p).role == Role::Embed)
        {
            return Err(Error::mismatch(format!(
                "the head of {} is its embedding, and {} has a head of its own: a change of the one embedding would be a change \
                 of the head too. Make a base with a head of its own (`lota model convert --untied`, Model:untied), or leave \
                 the embedding out of the parameters",
                base.source(),
                tuned.source()
            )));
        }
        let mut common = vec![None; universe.len()];
        for &p in params {
            let spec = universe.spec(p);
            base.check(spec)?;
            common[p] = Some(comparable(spec, tuned, shared_rows)?);
        }
        for (spec, common) in universe.specs().iter().zip(&common) {
            if let (None, Some(shape)) = (common, tuned.shape(&spec.name))
                && shape != spec.shape
            {
                host.events.notice(format!(
                    "parameter {} has shape {:?} in {} and {shape:?} in {}; it is not compared",
                    spec.name,
                    spec.shape,
                    base.source(),
                    tuned.source()
                ));
            }
        }
        Ok(Self { base, tuned, common, host, pieces: AtomicU64::new(0) })
    }

    /// Tells as a notice which parameters are not compared and differ, if any.
    pub fn tell_elsewhere(&self, what: &str) -> Result<()> {
        let changed = self.changed_elsewhere()?;
        if let Some(names) = named(&changed) {
            self.host.events.notice(format!(
                "{names} differ{} between {} and {}, and {what}",
                if changed.len() == 1 { "s" } else { "" },
                self.base.source(),
                self.tuned.source()
            ));
        }
        Ok(())
    }

    /// The parameters that are not compared and differ, by name; also a head that only one of the models has apart from its
    /// embedding.
    pub fn changed_elsewhere(&self) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (spec, common) in self.base.universe().specs().iter().zip(&self.common) {
            if common.is_some() || self.tuned.shape(&spec.name).as_ref() != Some(&spec.shape) {
                continue;
            }
            let entries = spec.entries() as usize;
            let (mut new, mut old) = (Vec::new(), Vec::new());
            for start in (0..entries).step_by(PIECE) {
                self.host.cancel.check()?;
                let len = PIECE.min(entries - start);
                new.clear();
                old.clear();
                self.tuned.read(&spec.name, start, len, &mut new)?;
                self.base.read(&spec.name, start, len, &mut old)?;
                if new != old {
                    changed.push(spec.name.clone());
                    break;
                }
            }
        }
        if self.base.config().tied && !self.tuned.config().tied {
            changed.push(HEAD.to_string());
        }
        Ok(changed)
    }

    /// The values that the tuned model has at the entries of a mask.
    fn values(&self, mask: &Mask) -> Result<Vec<Vec<f32>>> {
        let count = self.host.events.count("values", 0, mask.selected().count() as u64);
        let of_param = |((spec, set), common): ((&ParamSpec, &RoaringBitmap), &Option<usize>)| {
            let mut values = Vec::with_capacity(set.len() as usize);
            let mut entries = set.iter().map(|entry| entry as usize).peekable();
            let mut piece = Vec::new();
            while let Some(&first) = entries.peek() {
                self.host.cancel.check()?;
                let start = first - first % PIECE;
                piece.clear();
                // An entry that is not in both has no difference, and is in no mask.
                let len = PIECE.min(common.unwrap_or_default().saturating_sub(start));
                self.tuned.read(&spec.name, start, len, &mut piece)?;
                while let Some(entry) = entries.next_if(|&entry| entry < start + PIECE) {
                    values.push(piece[entry - start]);
                }
            }
            if !set.is_empty() {
                count.one("");
            }
            Ok::<_, Error>(values)
        };
        mask.universe().specs().par_iter().zip(mask.sets()).zip(&self.common).map(of_param).collect()
    }
}

/// A few names of many, as a sentence begins with them; `None` if there are none.
pub(crate) fn named(names: &[String]) -> Option<String> {
    const SHOWN: usize = 4;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => None,
        n if n <= SHOWN => Some(shown),
        n => Some(format!("{shown} and {} more parameters", n - SHOWN)),
    }
}

/// How many entries of a parameter both models have, or why they cannot be compared.
fn comparable(spec: &ParamSpec, tuned: &WeightFiles, shared_rows: bool) -> Result<usize> {
    let Some(shape) = tuned.shape(&spec.name) else {
        return Err(Error::format(
            tuned.file(&spec.name),
            format!(
                "tensor {} is missing, which the base has: is this a model made from that base?",
                spec.name
            ),
        ));
    };
    if shape == spec.shape {
        return Ok(spec.entries() as usize);
    }
    let vocabulary = matches!(spec.role, Role::Embed | Role::Head);
    if vocabulary && shape.len() == 2 && shape[1..] == spec.shape[1..] {
        if shared_rows {
            return Ok(shape[0].min(spec.shape[0]) * shape[1]);
        }
        return Err(Error::mismatch(format!(
            "{}: parameter {} has {} rows, and {} in the base (the vocabulary was changed): leave it out of the \
             parameters, or ask for the rows that both have (shared_rows)",
            tuned.file(&spec.name).display(),
            spec.name,
            shape[0],
            spec.shape[0]
        )));
    }
    Err(Error::mismatch(format!(
        "{}: parameter {} has shape {shape:?}, and {:?} in the base: a ticket is made from two models of one architecture",
        tuned.file(&spec.name).display(),
        spec.name,
        spec.shape
    )))
}

impl Source for FileDelta<'_> {
    fn universe(&self) -> &Arc<Universe> {
        self.base.universe()
    }

    fn has(&self, param: usize) -> bool {
        self.common[param].is_some()
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let Some(common) = self.common[param] else { return Ok(()) };
        self.host.cancel.check()?;
        let name = &self.base.universe().spec(param).name;
        let here = common.saturating_sub(start).min(len);
        let (mut delta, mut old) = (Vec::with_capacity(len), Vec::with_capacity(here));
        if here > 0 {
            self.tuned.read(name, start, here, &mut delta)?;
            self.base.read(name, start, here, &mut old)?;
        }
        delta.iter_mut().zip(&old).for_each(|(new, old)| *new -= old);
        delta.resize(len, 0.0);
        self.host.events.progress("compare", self.pieces.fetch_add(1, Ordering::Relaxed) + 1, 0, "");
        visit(&delta);
        Ok(())
    }
}
