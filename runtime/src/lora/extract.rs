//! An adapter of low rank that is nearest to a task vector.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde_json::json;

use super::svd::{LowRank, Search, low_rank};
use super::{Adapter, Config, Module};
use crate::host::{Host, Rng};
use crate::model::{ParamSpec, Params, Universe};
use crate::ops::Exec;
use crate::ticket::{Ticket, named};
use crate::vectors::Source;
use crate::{Error, Result};

/// How an adapter is made.
#[derive(Clone, Copy, Debug)]
pub struct ExtractOptions {
    /// The rank, or the smaller side of a matrix where that is less.
    pub rank: usize,
    /// How many random vectors more than the rank the range finder starts from.
    pub oversample: usize,
    /// How many power iterations it makes.
    pub power: usize,
    /// The seed of the random vectors.
    pub seed: u64,
}

/// More iterations than any search needs.
const MOST_POWER: usize = 100;

/// What was left of one parameter's change.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// The module.
    pub module: String,
    /// The Frobenius norm of the change.
    pub norm: f64,
    /// The Frobenius norm of what the adapter lacks of it.
    pub error: f64,
}

impl Adapter {
    /// The adapter nearest to a task vector in these parameters, which must be matrices, and what it lacks of
    /// each. A parameter that did not change gets no factors.
    pub fn extract(
        source: &dyn Source,
        params: &[usize],
        options: &ExtractOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<(Self, Vec<Extracted>)> {
        let dense = |param: usize| -> Result<Vec<f32>> {
            let entries = source.universe().spec(param).entries() as usize;
            let mut whole = Vec::with_capacity(entries);
            if source.has(param) {
                source.read(param, 0, entries, &mut |values| whole.extend_from_slice(values))?;
            }
            Ok(whole)
        };
        let elsewhere = |param: usize| -> Result<bool> {
            let entries = source.universe().spec(param).entries() as usize;
            let mut changed = false;
            let mut start = 0;
            while start < entries && !changed && source.has(param) {
                let len = PIECE.min(entries - start);
                source.read(param, start, len, &mut |values| changed |= values.iter().any(|v| *v != 0.0))?;
                start += len;
            }
            Ok(changed)
        };
        tell_left_out(source.universe(), params, elsewhere, host)?;
        extract(source.universe(), params, &dense, options, exec, host)
    }

    /// The same for the change that a ticket makes to its base.
    pub fn extract_ticket(
        ticket: &Ticket,
        base: &Params,
        params: &[usize],
        options: &ExtractOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<(Self, Vec<Extracted>)> {
        ticket.check(base, &base.fingerprint(exec)?)?;
        let dense = |param: usize| -> Result<Vec<f32>> {
            let set = ticket.mask().set(param);
            if set.is_empty() {
                return Ok(Vec::new());
            }
            let mut whole = vec![0.0; base.universe().spec(param).entries() as usize];
            for (entry, delta) in set.iter().zip(ticket.differences(param, (exec, base))?) {
                whole[entry as usize] = delta;
            }
            Ok(whole)
        };
        let elsewhere = |param: usize| Ok(!ticket.mask().set(param).is_empty());
        tell_left_out(base.universe(), params, elsewhere, host)?;
        extract(base.universe(), params, &dense, options, exec, host)
    }
}

/// Entries that are looked at together.
const PIECE: usize = 1 << 18;

/// What is told of changes that an adapter does not get.
pub const LEFT_OUT: &str = "the adapter has nothing of it: it holds changes of the matrices that `params` chooses, and of norms, \
                            biases, embeddings and heads none";

/// Tells as a notice which parameters that are not extracted changed, if any.
fn tell_left_out(
    universe: &Universe,
    params: &[usize],
    changed: impl Fn(usize) -> Result<bool>,
    host: &Host,
) -> Result<()> {
    let mut names = Vec::new();
    for (param, spec) in universe.specs().iter().enumerate() {
        host.cancel.check()?;
        if !params.contains(&param) && changed(param)? {
            names.push(spec.name.clone());
        }
    }
    if let Some(shown) = named(&names) {
        host.events.notice(format!("{shown} changed too, and {LEFT_OUT}"));
    }
    Ok(())
}

/// Reads the change of a parameter, row by row; empty where there is none.
type Dense<'a> = &'a (dyn Fn(usize) -> Result<Vec<f32>> + Sync);

fn extract(
    universe: &Universe,
    params: &[usize],
    dense: Dense<'_>,
    options: &ExtractOptions,
    exec: &Exec,
    host: &Host,
) -> Result<(Adapter, Vec<Extracted>)> {
    if options.rank == 0 {
        return Err(Error::argument("the rank of an adapter is at least 1"));
    }
    if options.power > MOST_POWER {
        return Err(Error::argument(format!(
            "power is {}, and {MOST_POWER} iterations are the most: after a few nothing changes",
            options.power
        )));
    }
    for &param in params {
        check(universe.spec(param))?;
    }
    let count = host.events.count("extract", 0, params.len() as u64);
    let seeds = Rng::new(options.seed);
    let search = Search { oversample: options.oversample, power: options.power };
    let one = |&param: &usize| -> Result<Option<(usize, LowRank)>> {
        host.cancel.check()?;
        let (spec, data) = (universe.spec(param), dense(param)?);
        if let Some(v) = data.iter().find(|v| !v.is_finite()) {
            return Err(Error::argument(format!("the change of parameter {} holds {v}", spec.name)));
        }
        let found = if data.iter().all(|&v| v == 0.0) {
            None
        } else {
            let mut rng = seeds.fork(&spec.name);
            let near = low_rank(&data, spec.shape[0], spec.shape[1], options.rank, search, &mut rng);
            Some(near.ok_or_else(|| {
                Error::argument(format!("the singular values of the change of {} do not converge", spec.name))
            })?)
        };
        count.one("");
        Ok(found.map(|near| (param, near)))
    };
    let found = exec.run(|| params.par_iter().map(one).collect::<Result<Vec<_>>>())?;
    let (mut modules, mut report) = (Vec::new(), Vec::new());
    for (param, near) in found.into_iter().flatten() {
        let spec = universe.spec(param);
        let name = spec.name.strip_suffix(".weight").unwrap_or(&spec.name).to_string();
        report.push(Extracted { module: name.clone(), norm: near.norm, error: near.error });
        let b = Tensor::from_vec(near.left, (spec.shape[0], near.rank), &Device::Cpu)?;
        let a = Tensor::from_vec(near.right, (near.rank, spec.shape[1]), &Device::Cpu)?;
        modules.push(Module { name, a, b, scale: 1.0, transposed: false, embedding: false });
    }
    if modules.is_empty() {
        return Err(Error::argument("there is nothing to extract: none of these parameters changed"));
    }
    let mut config = Config::of(&modules);
    config.targets = json!(targets(universe, &modules));
    Ok((Adapter { config, modules, replaced: Vec::new() }, report))
}

/// An error unless the parameter is the weight of a linear module.
fn check(spec: &ParamSpec) -> Result<()> {
    if spec.adaptable() && spec.name.ends_with(".weight") {
        return Ok(());
    }
    Err(Error::argument(format!(
        "parameter {} ({}, shape {:?}) cannot have an adapter of low rank here: only the matrices of attention and MLP can",
        spec.name, spec.role, spec.shape
    )))
}

/// The modules as short as they can be named: by the last part of the name where all that end so
/// are among them.
pub(super) fn targets(universe: &Universe, modules: &[Module]) -> Vec<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_string();
    let mut all: HashMap<String, usize> = HashMap::new();
    for spec in universe.specs() {
        if let Some(module) = spec.name.strip_suffix(".weight") {
            *all.entry(last(module)).or_default() += 1;
        }
    }
    let mut here: HashMap<String, usize> = HashMap::new();
    modules.iter().for_each(|m| *here.entry(last(&m.name)).or_default() += 1);
    let mut targets: Vec<String> = modules
        .iter()
        .map(|m| {
            let short = last(&m.name);
            if all.get(&short) == here.get(&short) { short } else { m.name.clone() }
        })
        .collect();
    targets.sort();
    targets.dedup();
    targets
}
