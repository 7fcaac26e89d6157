//! Carrying a plan out: tensor by tensor, as many at a time as their sizes allow.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::finite::Finite;
use super::group::Rounded;
use super::plan::{Feed, Job, Plan, Task};
use super::vocabulary::Mapped;
use super::{Entry, Float, Group, Reader, Sink};
use crate::host::Host;
use crate::ops::Exec;
use crate::{Error, Result};

/// Tensors with fewer entries than this together are always made at the same time.
const TOGETHER: usize = 1 << 22;

/// Where finished tensors go.
pub(super) trait Store: Sync {
    /// Whether a tensor is there already.
    fn has(&self, _job: usize) -> bool {
        false
    }
    /// Takes the entries of a tensor.
    fn sink<'s>(&'s self, job: usize) -> Result<Box<dyn Sink + 's>>;
    /// Takes the bytes of a tensor that is copied.
    fn bytes(&self, job: usize, bytes: &[u8]) -> Result<()>;
    /// Is told that a tensor is whole.
    fn done(&self, _job: usize) -> Result<()> {
        Ok(())
    }
}

impl Plan {
    /// Makes every tensor that `store` does not have yet.
    pub(super) fn run(&self, store: &dyn Store, seed: u64, exec: &Exec, host: &Host) -> Result<()> {
        self.notices().iter().for_each(|n| host.events.notice(n.clone()));
        let total = self.jobs.len() as u64;
        let open: Vec<usize> = (0..self.jobs.len()).filter(|&j| !store.has(j)).collect();
        let count = host.events.count("merge", total - open.len() as u64, total);
        let one = |&job: &usize| -> Result<()> {
            host.cancel.check()?;
            self.make(&self.jobs[job], store, job, seed, host).map_err(|e| self.in_step(e))?;
            store.done(job)?;
            count.one(self.jobs[job].name.clone());
            Ok(())
        };
        if self.method.sequential() {
            return open.iter().try_for_each(one);
        }
        exec.run(|| self.waves(&open).iter().try_for_each(|wave| wave.par_iter().try_for_each(one)))
    }

    /// The error of a tensor with the name of the step that makes it, if it has one.
    fn in_step(&self, error: Error) -> Error {
        match (&self.step, error) {
            (Some(step), Error::Mismatch(what)) => Error::Mismatch(format!("step {step:?}: {what}")),
            (Some(step), Error::Host(crate::host::Error::Argument(what))) => {
                Error::argument(format!("step {step:?}: {what}"))
            }
            (_, error) => error,
        }
    }

    /// The tensors in groups that are made at the same time: no group is larger than the largest
    /// tensor, so that what is in memory does not grow with the number of processors.
    fn waves(&self, open: &[usize]) -> Vec<Vec<usize>> {
        let largest = open.iter().map(|&j| self.jobs[j].entries()).max().unwrap_or(0).max(TOGETHER);
        let mut waves: Vec<Vec<usize>> = Vec::new();
        let mut filled = usize::MAX;
        for &job in open {
            let entries = self.jobs[job].entries();
            match waves.last_mut() {
                Some(wave) if filled.saturating_add(entries) <= largest => wave.push(job),
                _ => {
                    waves.push(vec![job]);
                    filled = 0;
                }
            }
            filled = filled.saturating_add(entries);
        }
        waves
    }

    fn make(&self, job: &Job, store: &dyn Store, at: usize, seed: u64, host: &Host) -> Result<()> {
        match &job.task {
            Task::Copy { feed, .. } => {
                store.bytes(at, self.inputs[feed.input].raw(&feed.name).unwrap_or_default())
            }
            Task::Merge { feeds, base, params, float } => {
                let mut entries = Vec::with_capacity(feeds.len());
                for (i, feed) in feeds.iter().enumerate() {
                    entries.push(Entry {
                        label: self.inputs[feed.input].label(),
                        reader: self.reader(job, feeds, i, *float)?,
                        base: Some(i) == *base,
                        input: self.inputs[feed.input].as_ref(),
                        name: &feed.name,
                    });
                }
                let group =
                    Group { name: &job.name, shape: &job.shape, entries, params, float: *float, seed, host };
                if !self.method.spec().any_values {
                    group.check_finite()?;
                }
                let sink = Finite::new(store.sink(at)?, &job.name, job.out);
                let made = self.method.merge(&group, &sink);
                sink.outcome(made, &group, &self.method.spec().name)?;
                for entry in &group.entries {
                    entry.reader.release(0, group.len());
                }
                Ok(())
            }
        }
    }

    /// The entries of one model's tensor, in the result's order and rounded to the merge's type.
    fn reader<'a>(
        &'a self,
        job: &Job,
        feeds: &'a [Feed],
        at: usize,
        float: Float,
    ) -> Result<Box<dyn Reader + 'a>> {
        let feed = &feeds[at];
        let plain = |feed: &'a Feed| self.inputs[feed.input].reader(&feed.name);
        let stored = self.inputs[feed.input].info(&feed.name).and_then(|i| i.float);
        let reader: Box<dyn Reader + 'a> = match &feed.rows {
            None => plain(feed)?,
            Some(map) => Box::new(Mapped {
                readers: feeds.iter().map(plain).collect::<Result<_>>()?,
                map: Arc::clone(map),
                cols: job.shape.get(1..).map_or(1, |s| s.iter().product()),
                mean: OnceLock::new(),
            }),
        };
        if float == Float::F32 || stored == Some(float) && feed.rows.is_none() {
            return Ok(reader);
        }
        let label = self.inputs[feed.input].label();
        Ok(Box::new(Rounded { inner: reader, float, name: &feed.name, label }))
    }
}
