//! Turning scores into a mask: exactly so many entries, the largest or the smallest in magnitude,
//! ties broken by position.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::bits::{Domain, Piece};
use super::radix::Keys;
use super::scores::Source;
use super::{Mask, rows};
use crate::host::Host;
use crate::model::Universe;
use crate::{Error, Result};

/// How many entries to select.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// This fraction of the population of each group, rounded to the nearest whole number.
    Density(f64),
    /// This many of each group.
    Count(u64),
}

impl Budget {
    /// The number of entries out of a population.
    pub fn of(self, population: u64) -> Result<u64> {
        match self {
            Self::Count(count) => Ok(count),
            Self::Density(d) if (0.0..=1.0).contains(&d) => Ok((d * population as f64).round() as u64),
            Self::Density(d) => {
                Err(Error::argument(format!("a density lies between 0 and 1, and {d} does not")))
            }
        }
    }
}

/// Among which entries scores compete. The budget holds for each group of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// All entries together.
    #[default]
    Global,
    /// Each parameter by itself.
    PerParameter,
    /// Each decoder layer by itself; a parameter outside the layers is a group of its own.
    PerLayer,
    /// Each row of each parameter by itself.
    PerRow,
}

impl Scope {
    /// The scope of a word used in scripts.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "global" => Ok(Self::Global),
            "parameter" => Ok(Self::PerParameter),
            "layer" => Ok(Self::PerLayer),
            "row" => Ok(Self::PerRow),
            _ => Err(Error::argument(format!(
                "{word:?} is no scope: use \"global\", \"parameter\", \"layer\" or \"row\""
            ))),
        }
    }

    /// The groups of these parameters, each with the words that name it in an error. Rows are
    /// grouped by their parameter.
    pub(super) fn groups(self, universe: &Universe, params: &[usize]) -> Vec<(String, Vec<usize>)> {
        let alone = |&p: &usize| (format!(" of parameter {}", universe.spec(p).name), vec![p]);
        match self {
            Self::Global => vec![(String::new(), params.to_vec())],
            Self::PerParameter | Self::PerRow => params.iter().map(alone).collect(),
            Self::PerLayer => {
                let mut layers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
                let mut groups = Vec::new();
                for p in params {
                    match universe.spec(*p).layer {
                        Some(layer) => layers.entry(layer).or_default().push(*p),
                        None => groups.push(alone(p)),
                    }
                }
                groups
                    .extend(layers.into_iter().map(|(layer, params)| (format!(" of layer {layer}"), params)));
                groups
            }
        }
    }
}

/// Selects exactly as many entries as the budget says, by the magnitude of their scores.
///
/// The population that a density is a fraction of is the scored entries, those in `within` if it
/// is given. Entries in `avoid` stay in that population but cannot be selected, so that a second
/// mask of density 0.1 is as large as the first one, which it must avoid.
///
/// When the largest are wanted, asking for more entries than have a non-zero score is an error:
/// after a calibration in bf16 most differences are zero, and a mask of them would mean nothing.
pub fn top(
    source: &dyn Source,
    budget: Budget,
    scope: Scope,
    within: Option<&Mask>,
    avoid: Option<&Mask>,
    largest: bool,
    host: &Host,
) -> Result<Mask> {
    let universe = source.universe();
    let domain = domain(universe, within, avoid)?;
    let keys = Keys { source, domain, largest, host };
    let scored: Vec<usize> = (0..universe.len()).filter(|&p| source.scored(p)).collect();
    if scope == Scope::PerRow {
        return Ok(Mask::from_sets(universe.clone(), rows::select(&keys, budget, &scored)?));
    }
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    for (group, params) in scope.groups(universe, &scored) {
        let entries = |p: usize| universe.spec(p).entries();
        let pieces: Vec<Piece> = params.iter().flat_map(|&p| Piece::of(p, entries(p))).collect();
        let k = budget.of(params.iter().map(|&p| domain.population(p, entries(p))).sum())?;
        let candidates = params.iter().map(|&p| domain.candidates(p, entries(p))).sum();
        let cut = keys.cut(&pieces, candidates, k.min(candidates))?;
        if k > candidates || largest && cut.is_some_and(|cut| cut.key == 0) {
            let census = keys.census(&pieces)?;
            check_enough(k, census.candidates, census.zeros, largest, &group)?;
        }
        if let Some(cut) = cut {
            keys.collect(&pieces, cut, &mut sets)?;
        }
    }
    Ok(Mask::from_sets(universe.clone(), sets))
}

/// How many of the scored entries have a score that is not zero.
pub fn nonzero(source: &dyn Source, host: &Host) -> Result<u64> {
    let universe = source.universe();
    let keys = Keys { source, domain: Domain::default(), largest: true, host };
    let scored = (0..universe.len()).filter(|&p| source.scored(p));
    let pieces: Vec<Piece> = scored.flat_map(|p| Piece::of(p, universe.spec(p).entries())).collect();
    let census = keys.census(&pieces)?;
    Ok(census.candidates - census.zeros)
}

/// The domain of two optional masks, both of this universe.
pub(super) fn domain<'a>(
    universe: &Universe,
    within: Option<&'a Mask>,
    avoid: Option<&'a Mask>,
) -> Result<Domain<'a>> {
    for mask in within.into_iter().chain(avoid) {
        universe.check_same(mask.universe())?;
    }
    Ok(Domain { within: within.map(Mask::sets), avoid: avoid.map(Mask::sets) })
}

/// An error that says how many there are, unless `k` can be had.
pub(super) fn check_enough(k: u64, candidates: u64, zeros: u64, largest: bool, group: &str) -> Result<()> {
    if k > candidates {
        return Err(Error::argument(format!(
            "asked for {k} entries{group}, but only {candidates} may be selected"
        )));
    }
    let nonzero = candidates - zeros;
    if largest && k > nonzero {
        return Err(Error::argument(format!(
            "asked for the {k} largest scores{group}, but only {nonzero} of {candidates} are not zero: \
             ask for fewer, or calibrate for longer, or in f32 (in bf16 small changes round away)"
        )));
    }
    Ok(())
}
