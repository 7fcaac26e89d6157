//! How many entries are selected, and among which ones they compete.

use std::collections::BTreeMap;
use std::fmt;

use roaring::RoaringBitmap;

use crate::model::Universe;
use crate::{Error, Result};

/// How many entries to select.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// This fraction of the population of each group, rounded to the nearest whole number. One above 0 that rounds to 0 in
    /// every group is an error.
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

/// The largest group that was given a density above 0: what an error speaks of if nothing was taken in all.
#[derive(Default)]
pub(super) struct Widest(Option<(f64, u64)>);

impl Widest {
    /// A group of so many, and what it was given.
    pub(super) fn saw(&mut self, budget: Budget, population: u64) {
        if let Budget::Density(density) = budget
            && density > 0.0
            && population > self.0.map_or(0, |(_, widest)| widest)
        {
            self.0 = Some((density, population));
        }
    }

    /// An error if nothing was taken though a group was given a density above 0. `what` is what is counted: "entries".
    pub(super) fn check(&self, taken: bool, what: &str) -> Result<()> {
        match self.0 {
            Some((density, population)) if !taken => Err(Error::argument(format!(
                "a density of {density:e} rounds to none of {population} {what}: the smallest that takes one is {:.1e}, and a \
                 count of 1 is exact",
                least_density(population)
            ))),
            _ => Ok(()),
        }
    }
}

/// The least density of two digits that takes one of so many.
fn least_density(population: u64) -> f64 {
    let exact = 0.5 / population as f64;
    let digit = 10f64.powi(exact.log10().floor() as i32 - 1);
    // The text of the result, with two digits, is what somebody copies: the next one up where it would be too small.
    let fits =
        |d: &f64| format!("{d:.1e}").parse::<f64>().is_ok_and(|d| (d * population as f64).round() >= 1.0);
    [exact, exact + digit].into_iter().find(fits).unwrap_or(exact + 2.0 * digit)
}

/// The budget of each group: the same for all of them, or one that depends on the parameters in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Budgets {
    /// Every group has this one.
    Same(Budget),
    /// One for each parameter of the model, in order; `None` where there is none. All parameters of a group must have the
    /// same one, and a group in which something can be selected must have one.
    Each(Vec<Option<Budget>>),
}

impl From<Budget> for Budgets {
    fn from(budget: Budget) -> Self {
        Self::Same(budget)
    }
}

impl Budgets {
    /// The budget of a group of parameters: nothing, unless `populated` says that something lies within one of them.
    pub(super) fn of(
        &self,
        universe: &Universe,
        group: &[usize],
        populated: impl Fn(usize) -> bool,
    ) -> Result<Budget> {
        let each = match self {
            Self::Same(budget) => return Ok(*budget),
            Self::Each(each) => each,
        };
        if each.len() != universe.len() {
            return Err(Error::argument(format!(
                "there are {} parameters, and {} budgets for them",
                universe.len(),
                each.len()
            )));
        }
        let name = |p: usize| &universe.spec(p).name;
        let mut found: Option<(usize, Budget)> = None;
        for &p in group.iter().filter(|&&p| populated(p)) {
            let Some(budget) = each[p] else {
                return Err(Error::argument(format!(
                    "parameter {} has no density or count: give every parameter that is chosen from one",
                    name(p)
                )));
            };
            match found {
                Some((first, other)) if other != budget => {
                    return Err(Error::argument(format!(
                        "parameters {} and {} share one budget in this scope, but have {other} and {budget}: give them the \
                         same, or use the scope \"parameter\"",
                        name(first),
                        name(p)
                    )));
                }
                _ => found = Some((p, budget)),
            }
        }
        Ok(found.map_or(Budget::Count(0), |(_, budget)| budget))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Density(density) => write!(f, "a density of {density}"),
            Self::Count(count) => write!(f, "a count of {count}"),
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

/// Whether anything was selected.
pub(super) fn any(sets: &[RoaringBitmap]) -> bool {
    sets.iter().any(|set| !set.is_empty())
}

/// An error that says how many there are, unless `k` can be had: entries with a score of 0 only together with all others.
pub(super) fn check_enough(k: u64, candidates: u64, zeros: u64, largest: bool, group: &str) -> Result<()> {
    if k > candidates {
        return Err(Error::argument(format!(
            "asked for {k} entries{group}, but only {candidates} may be selected"
        )));
    }
    let nonzero = candidates - zeros;
    // Where all are asked for, there is nothing to choose by.
    if largest && k > nonzero && k < candidates {
        return Err(Error::argument(format!(
            "asked for the {k} largest scores{group}, but only {nonzero} of {candidates} are not zero: \
             ask for fewer, or calibrate for longer, or in f32 (in bf16 small changes round away)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none_taken(budget: Budget, population: u64) -> Result<()> {
        let mut widest = Widest::default();
        widest.saw(budget, population);
        widest.check(false, "entries")
    }

    #[test]
    fn a_density_that_takes_nothing_names_the_least_that_takes_one() {
        for population in (1..3000).chain([24_576, 999_999, 134_515_008, 7_000_000_001]) {
            let small = Budget::Density(0.4 / population as f64);
            assert_eq!(small.of(population).expect("in range"), 0);
            let text = none_taken(small, population).expect_err("takes none").to_string();
            let least =
                text.split("takes one is ").nth(1).and_then(|t| t.split(',').next()).expect("a number");
            let least: f64 = least.parse().expect("a number");
            assert!((1..=2).contains(&Budget::Density(least).of(population).expect("in range")), "{text}");
        }
        assert!(none_taken(Budget::Density(0.0), 10).is_ok());
        assert!(none_taken(Budget::Density(1e-9), 0).is_ok());
        assert!(none_taken(Budget::Count(0), 10).is_ok());
    }
}
