//! Turning scores into a mask: exactly so many entries, the largest or the smallest in magnitude,
//! ties broken by position.

use roaring::RoaringBitmap;

use super::bits::{Domain, Piece};
use super::budget::{Budgets, Scope, Widest, any, check_enough};
use super::keys::Keys;
use super::{Mask, rows};
use crate::Result;
use crate::host::Host;
use crate::model::Universe;
use crate::vectors::Source;

/// Selects exactly as many entries as the budget of each group says, by the magnitude of their scores.
///
/// The population that a density is a fraction of is the scored entries, those in `within` if it
/// is given. Entries in `avoid` stay in that population but cannot be selected, so that a second
/// mask of density 0.1 is as large as the first one, which it must avoid.
///
/// When the largest are wanted, asking for more entries than have a non-zero score is an error:
/// after a calibration in bf16 most differences are zero, and a mask of them would mean nothing.
pub fn top(
    source: &dyn Source,
    budget: impl Into<Budgets>,
    scope: Scope,
    within: Option<&Mask>,
    avoid: Option<&Mask>,
    largest: bool,
    host: &Host,
) -> Result<Mask> {
    let (universe, budgets) = (source.universe(), budget.into());
    let domain = domain(universe, within, avoid)?;
    let keys = Keys { source, domain, largest, host };
    let scored: Vec<usize> = (0..universe.len()).filter(|&p| source.has(p)).collect();
    if scope == Scope::PerRow {
        return Ok(Mask::from_sets(universe.clone(), rows::select(&keys, &budgets, &scored)?));
    }
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut widest = Widest::default();
    for (group, params) in scope.groups(universe, &scored) {
        let entries = |p: usize| universe.spec(p).entries();
        let budget = budgets.of(universe, &params, |p| domain.population(p, entries(p)) > 0)?;
        let pieces: Vec<Piece> = params.iter().flat_map(|&p| Piece::of(p, entries(p))).collect();
        let population = params.iter().map(|&p| domain.population(p, entries(p))).sum();
        widest.saw(budget, population);
        let k = budget.of(population)?;
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
    widest.check(any(&sets), "entries")?;
    Ok(Mask::from_sets(universe.clone(), sets))
}

/// How many of the scored entries have a score that is not zero.
pub fn nonzero(source: &dyn Source, host: &Host) -> Result<u64> {
    let universe = source.universe();
    let keys = Keys { source, domain: Domain::default(), largest: true, host };
    let scored = (0..universe.len()).filter(|&p| source.has(p));
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
