//! How many entries are selected, and among which ones they compete.

use std::collections::BTreeMap;

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
