//! The pass that gathers statistics.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use candle_core::Tensor;

use super::gather::Gather;
use super::gram::Grams;
use super::held::{About, Stats};
use super::kind::Kind;
use super::magnitude::Magnitudes;
use super::norm::Norms;
use crate::data::Batch;
use crate::host::Host;
use crate::model::decoder::Observer;
use crate::model::{Decoder, ParamSpec, Params, Universe};
use crate::ops::Exec;
use crate::{Error, Result};

/// Is called with the weight of each layer and batch, the layer's input `[T, in]` and its output `[T, out]`.
pub type Each<'a> = dyn FnMut(&ParamSpec, &Tensor, &Tensor) -> Result<()> + 'a;

/// What is gathered, and of which layers.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The kinds of statistics.
    pub kinds: Vec<Kind>,
    /// The indices of the weights of the layers, each of a linear layer ([`Decoder::linear_layers`]).
    pub modules: Vec<usize>,
}

impl Wanted {
    /// For each parameter that is the weight of one of these layers, the first of them that takes the same input: what is
    /// known of that one's inputs holds for both.
    fn inputs(&self, decoder: &Decoder) -> Result<Vec<Option<usize>>> {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut found = vec![None; decoder.universe().len()];
        for layer in decoder.linear_layers() {
            if self.modules.contains(&layer.weight) {
                found[layer.weight] = Some(*first.entry(layer.input).or_insert(layer.weight));
            }
        }
        match self.modules.iter().find(|&&weight| found.get(weight).is_none_or(Option::is_none)) {
            Some(&weight) => Err(Error::argument(format!(
                "{} is the weight of no linear layer",
                decoder
                    .universe()
                    .specs()
                    .get(weight)
                    .map_or("a parameter that is not there", |spec| &spec.name)
            ))),
            None => Ok(found),
        }
    }

    /// The bytes that grow with what is asked for: those of Gram matrices, while they are gathered.
    pub fn bytes(&self, decoder: &Decoder) -> Result<u64> {
        if !self.kinds.contains(&Kind::Gram) {
            return Ok(0);
        }
        let inputs = self.inputs(decoder)?;
        let own = inputs.iter().enumerate().filter(|(weight, first)| **first == Some(*weight));
        let bytes = own.map(|(weight, _)| Grams::bytes(decoder.universe().spec(weight).rows_cols().1));
        Ok(bytes.fold(0, u64::saturating_add))
    }
}

/// Gathers while a decoder runs.
struct Collector<'a, 'e> {
    exec: &'a Exec,
    universe: &'a Universe,
    inputs: Vec<Option<usize>>,
    gatherers: Vec<(Kind, Box<dyn Gather>)>,
    each: Option<&'a mut Each<'e>>,
}

impl Observer for Collector<'_, '_> {
    fn looks_at(&self, weight: usize) -> bool {
        self.inputs[weight].is_some()
    }

    fn observe(&mut self, weight: usize, x: &Tensor, y: &Tensor) -> Result<()> {
        for (kind, gatherer) in &mut self.gatherers {
            if !kind.of_inputs() {
                gatherer.add(self.exec, weight, y)?;
            } else if self.inputs[weight] == Some(weight) {
                gatherer.add(self.exec, weight, x)?;
            }
        }
        match &mut self.each {
            Some(each) => each(self.universe.spec(weight), x, y),
            None => Ok(()),
        }
    }
}

/// Runs all batches and gathers what is wanted; `each` is called besides, with what flows through each of the layers.
///
/// # Errors
/// When there are no batches, nothing is wanted, or a kind or a layer is none that a forward pass shows.
pub fn collect<B: Borrow<Batch>>(
    exec: &Exec,
    host: &Host,
    decoder: &Decoder,
    params: &Params,
    batches: &[B],
    wanted: &Wanted,
    each: Option<&mut Each<'_>>,
) -> Result<Stats> {
    if batches.is_empty() {
        return Err(Error::argument("there are no batches, so there are no statistics of them"));
    }
    if wanted.kinds.is_empty() && each.is_none() {
        return Err(Error::argument("no kind of statistics is asked for"));
    }
    if wanted.modules.is_empty() {
        return Err(Error::argument("no linear layer was chosen"));
    }
    let _hold = params.hold("the gathering of statistics");
    decoder.tell_long_in(host, batches.iter().map(Borrow::borrow));
    let universe = decoder.universe();
    let gatherers = wanted.kinds.iter().map(|&kind| Ok((kind, gatherer(kind, universe.len())?)));
    let mut collector = Collector {
        exec,
        universe,
        inputs: wanted.inputs(decoder)?,
        gatherers: gatherers.collect::<Result<_>>()?,
        each,
    };
    let mut about = About { model: params.fingerprint(exec)?, ..About::default() };
    let mut data = blake3::Hasher::new();
    for (i, batch) in batches.iter().enumerate() {
        let batch = batch.borrow();
        decoder.observe(exec, host, params, batch, &mut collector)?;
        count(batch, &mut about, &mut data);
        if batches.len() > 1 {
            host.events.progress("statistics", i as u64 + 1, batches.len() as u64, "");
        }
    }
    about.data = data.finalize().to_hex().to_string();
    let Collector { inputs, gatherers, .. } = collector;
    let mut tables = BTreeMap::new();
    for (kind, gatherer) in gatherers {
        let mut table = gatherer.finish(about.tokens, exec.device())?;
        if kind.of_inputs() {
            let shared = |first: &Option<usize>| first.and_then(|first| table[first].clone());
            table = inputs.iter().map(shared).collect();
        }
        tables.insert(kind, table);
    }
    Stats::new(universe.clone(), tables, about)
}

fn gatherer(kind: Kind, params: usize) -> Result<Box<dyn Gather>> {
    Ok(match kind {
        Kind::InputNorm | Kind::OutputNorm => Box::new(Norms::new(params)),
        Kind::OutputMagnitude => Box::new(Magnitudes::new(params)),
        Kind::Gram => Box::new(Grams::new(params)),
        Kind::Fisher => {
            return Err(Error::argument("Fisher information comes from gradients: no forward pass shows it"));
        }
    })
}

impl Stats {
    /// What is known of batches that no forward pass has been run over: how many tokens and sequences there are.
    pub fn of_counts<B: Borrow<Batch>>(exec: &Exec, params: &Params, batches: &[B]) -> Result<Self> {
        let (mut about, mut data) =
            (About { model: params.fingerprint(exec)?, ..About::default() }, blake3::Hasher::new());
        batches.iter().for_each(|batch| count(batch.borrow(), &mut about, &mut data));
        about.data = data.finalize().to_hex().to_string();
        Self::new(params.universe().clone(), BTreeMap::new(), about)
    }
}

/// Counts a batch. The same sequences in the same order have one hash, however they are cut into batches.
fn count(batch: &Batch, about: &mut About, data: &mut blake3::Hasher) {
    about.tokens += batch.len() as u64;
    about.sequences += batch.sequences() as u64;
    batch.each().for_each(|sequence| hash_sequence(data, &sequence));
}

fn hash_sequence(hash: &mut blake3::Hasher, sequence: &Batch) {
    hash.update(&(sequence.len() as u64).to_le_bytes());
    sequence.tokens.iter().for_each(|token| {
        hash.update(&token.to_le_bytes());
    });
    sequence.labels.iter().for_each(|label| {
        hash.update(&label.to_le_bytes());
    });
}
