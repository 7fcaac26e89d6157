//! Random masks of an exact size. The work grows with the entries chosen, not with the model: how
//! many fall on each stretch of a parameter is drawn first, and then which ones.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::budget::{Budgets, Scope, Widest, any, check_enough};
use super::{Mask, intersection};
use crate::Result;
use crate::host::{Host, Rng};

/// The longest stretch, and the most candidates a drawing has to choose from at a time.
const STRETCH: u64 = 1 << 16;

/// Part of a parameter: `take` entries are to be chosen among its candidates.
struct Stretch {
    param: usize,
    start: u64,
    len: u64,
    candidates: u64,
    take: u64,
    seed: u64,
}

/// Chooses entries of `within` at random, none of them in `avoid`: exactly as many as the budget
/// says, every choice equally likely. The population that a density is a fraction of is `within`,
/// avoided entries included. The same generator gives the same mask on any number of threads.
pub fn random(
    within: &Mask,
    avoid: Option<&Mask>,
    budget: impl Into<Budgets>,
    scope: Scope,
    rng: &mut Rng,
    host: &Host,
) -> Result<Mask> {
    let (universe, budgets) = (within.universe(), budget.into());
    let free = Free { within, avoided: avoid.map(|avoid| intersection(&[within, avoid])).transpose()? };
    let seed = rng.next_u64();
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut widest = Widest::default();
    let params: Vec<usize> = within.selected().map(|(p, ..)| p).collect();
    for (label, params) in scope.groups(universe, &params) {
        host.cancel.check()?;
        let budget = budgets.of(universe, &params, |_| true)?;
        let mut rng = Rng::new(seed).fork(&label);
        let mut stretches = Vec::new();
        let mut draw = |label: &str, spans: &[(usize, u64, u64)]| -> Result<()> {
            let population = spans.iter().map(|&(p, from, to)| among(within.set(p), from, to)).sum();
            let candidates = spans.iter().map(|&(p, from, to)| free.among(p, from, to)).sum();
            widest.saw(budget, population);
            let k = budget.of(population)?;
            check_enough(k, candidates, 0, false, label)?;
            // An entry takes two bytes, and never more than a bit of each that there is.
            host.room.ask((2 * k).min(population / 8))?;
            share(&free, spans, candidates, k, &mut rng, &mut stretches, host)
        };
        if scope == Scope::PerRow {
            for &p in &params {
                let (rows, cols) = universe.spec(p).rows_cols();
                for row in 0..rows as u64 {
                    let span = (p, row * cols as u64, (row + 1) * cols as u64);
                    draw(&format!(" of row {row} of parameter {}", universe.spec(p).name), &[span])?;
                }
            }
        } else {
            let spans: Vec<_> = params.iter().map(|&p| (p, 0, universe.spec(p).entries())).collect();
            draw(&label, &spans)?;
        }
        for batch in stretches.chunks(1024) {
            host.cancel.check()?;
            let chosen: Vec<_> = batch.par_iter().map(|stretch| choose(&free, stretch)).collect();
            for (stretch, chosen) in batch.iter().zip(chosen) {
                let sorted = sets[stretch.param].append(chosen);
                debug_assert!(sorted.is_ok());
            }
        }
    }
    widest.check(any(&sets), "entries")?;
    Ok(Mask::from_sets(universe.clone(), sets))
}

/// What may be chosen. The difference itself is not made: of a large model it would be a bit for every entry.
struct Free<'a> {
    within: &'a Mask,
    /// Entries of `within` that may not be chosen.
    avoided: Option<Mask>,
}

impl Free<'_> {
    /// How many candidates of a parameter lie in `from..to`.
    fn among(&self, param: usize, from: u64, to: u64) -> u64 {
        let avoided = self.avoided.as_ref().map_or(0, |avoided| among(avoided.set(param), from, to));
        among(self.within.set(param), from, to) - avoided
    }

    /// The candidates of a stretch whose ranks among all of them are `ranks`, ascending.
    fn at(&self, stretch: &Stretch, ranks: impl Iterator<Item = u32>) -> Vec<u32> {
        let (start, last) = (stretch.start as u32, (stretch.start + stretch.len - 1) as u32);
        if stretch.candidates == stretch.len {
            return ranks.map(|rank| start + rank).collect();
        }
        let within = self.within.set(stretch.param);
        let avoided = self.avoided.as_ref().map(|avoided| avoided.set(stretch.param));
        if within.range_cardinality(start..=last) == stretch.len {
            // A candidate comes as many places later as avoided entries lie before it.
            let mut avoided = avoided.into_iter().flat_map(|set| set.range(start..=last)).peekable();
            let mut place = start;
            return ranks
                .map(|rank| {
                    let mut at = place + rank;
                    while avoided.next_if(|&a| a <= at).is_some() {
                        place += 1;
                        at += 1;
                    }
                    at
                })
                .collect();
        }
        let allowed = |i: &u32| avoided.is_none_or(|set| !set.contains(*i));
        let candidates: Vec<u32> = within.range(start..=last).filter(allowed).collect();
        ranks.map(|rank| candidates[rank as usize]).collect()
    }
}

/// How many entries of a set lie in `from..to`.
fn among(set: &RoaringBitmap, from: u64, to: u64) -> u64 {
    set.range_cardinality(from as u32..=(to - 1) as u32)
}

/// Cuts spans (parameter, from, to) into stretches and shares `k` choices out among them as a
/// uniform choice over all candidates would.
fn share(
    free: &Free<'_>,
    spans: &[(usize, u64, u64)],
    candidates: u64,
    k: u64,
    rng: &mut Rng,
    stretches: &mut Vec<Stretch>,
    host: &Host,
) -> Result<()> {
    let (mut rest, mut left) = (candidates, k);
    for &(param, from, to) in spans {
        for (i, start) in (from..to).step_by(STRETCH as usize).enumerate() {
            if i.is_multiple_of(256) {
                host.cancel.check()?;
            }
            let len = STRETCH.min(to - start);
            let here = free.among(param, start, start + len);
            let take = hypergeometric(rng, rest, left, here);
            rest -= here;
            left -= take;
            if take > 0 {
                stretches.push(Stretch { param, start, len, candidates: here, take, seed: rng.next_u64() });
            }
        }
    }
    debug_assert_eq!(left, 0);
    Ok(())
}

/// How many of `k` choices among `all` fall on `here` of them. The weights are built outwards from
/// the likeliest number, by their ratios and without a gamma function: the same bits everywhere.
fn hypergeometric(rng: &mut Rng, all: u64, k: u64, here: u64) -> u64 {
    let (least, most) = ((here + k).saturating_sub(all), here.min(k));
    if least == most {
        return least;
    }
    let (n, k, m) = (all as f64, k as f64, here as f64);
    // The weight of x + 1 over that of x.
    let ratio = |x: f64| (k - x) * (m - x) / ((x + 1.0) * (n - k - m + x + 1.0));
    let mode = (((m + 1.0) * (k + 1.0) / (n + 2.0)) as u64).clamp(least, most);
    let negligible = 1e-18;
    let mut up = vec![1.0];
    for x in mode..most {
        let weight = up[up.len() - 1] * ratio(x as f64);
        if weight < negligible {
            break;
        }
        up.push(weight);
    }
    let mut down = Vec::new();
    let mut weight = 1.0;
    for x in (least..mode).rev() {
        weight /= ratio(x as f64);
        if weight < negligible {
            break;
        }
        down.push(weight);
    }
    let total: f64 = up.iter().sum::<f64>() + down.iter().sum::<f64>();
    let mut u = rng.uniform() * total;
    for (i, weight) in up.iter().enumerate() {
        u -= weight;
        if u < 0.0 {
            return mode + i as u64;
        }
    }
    for (i, weight) in down.iter().enumerate() {
        u -= weight;
        if u < 0.0 {
            return mode - 1 - i as u64;
        }
    }
    mode
}

/// The chosen entries of a stretch, ascending.
fn choose(free: &Free<'_>, stretch: &Stretch) -> Vec<u32> {
    let mut rng = Rng::new(stretch.seed);
    let (m, take) = (stretch.candidates, stretch.take);
    // Of a majority, those left out are drawn instead.
    let inverted = take > m / 2;
    let mut drawn = vec![0u64; m.div_ceil(64) as usize];
    let mut missing = if inverted { m - take } else { take };
    while missing > 0 {
        let rank = rng.below(m) as usize;
        let (word, bit) = (&mut drawn[rank / 64], 1 << (rank % 64));
        missing -= u64::from(*word & bit == 0);
        *word |= bit;
    }
    let ranks = (0..m as u32).filter(|rank| (drawn[*rank as usize / 64] >> (rank % 64) & 1 == 1) != inverted);
    free.at(stretch, ranks)
}
