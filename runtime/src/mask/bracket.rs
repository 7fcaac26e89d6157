//! The k-th largest of many scores in one pass: a sample says between which two keys it must lie,
//! and only the keys in between are gathered. Exact whatever the sample says: if the k-th key is
//! not where it was expected, or too much lies there, the answer is that it was not found.

use std::sync::Mutex;

use rayon::prelude::*;

use super::bits::Piece;
use super::compare::{WORD, compare};
use super::keys::{Cut, Keys, magnitude, nan_error};
use crate::Result;

/// With so few candidates all their keys are gathered, without a sample.
const FEW: u64 = 1 << 17;
/// The most keys that are gathered between the two.
const MOST: usize = 1 << 24;
/// Neighbours in one run of the sample.
const RUN: usize = 8;
/// Scores compared at a time, so that they are still in the first-level cache when keys between
/// the bounds are gathered.
const CHUNK: usize = 64 * WORD;

/// Two keys, between which (or at which) the k-th largest is expected.
#[derive(Clone, Copy, Debug)]
struct Bracket {
    low: u32,
    high: u32,
    /// About how many candidates are expected in between.
    between: usize,
}

/// What one pass counts about a bracket.
#[derive(Default)]
struct Tally {
    above: u64,
    at_high: u64,
    between: u64,
    at_low: u64,
    nan: Option<usize>,
    /// Keys between, of one piece at a time.
    here: Vec<u32>,
}

/// A search for the k-th largest key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// It is this, of so many ties.
    Found(Cut),
    /// The bracket missed it.
    Missed,
}

impl Keys<'_> {
    /// One pass in search of the cut that leaves `k` of the `candidates` in (`k` is from 1 to
    /// their number). A score that is not a number is an error, wherever it lies.
    pub fn search(&self, pieces: &[Piece], candidates: u64, k: u64) -> Result<Search> {
        debug_assert!((1..=candidates).contains(&k));
        let Some(bracket) = self.bracket(pieces, candidates, k)? else { return Ok(Search::Missed) };
        let (tally, between) = self.tally(pieces, bracket)?;
        if let Some(param) = tally.nan {
            return Err(nan_error(&self.source.universe().spec(param).name));
        }
        if tally.between > MOST as u64 {
            return Ok(Search::Missed);
        }
        Ok(tally.resolve(bracket, between, k))
    }

    /// An error if any score is not a number.
    pub fn check_numbers(&self, pieces: &[Piece]) -> Result<()> {
        let top = 0x7fff_ffff;
        match self.tally(pieces, Bracket { low: top, high: top, between: 0 })?.0.nan {
            Some(param) => Err(nan_error(&self.source.universe().spec(param).name)),
            None => Ok(()),
        }
    }

    /// Where the k-th largest key must be, as far as a sample can tell; `None` if it cannot.
    fn bracket(&self, pieces: &[Piece], candidates: u64, k: u64) -> Result<Option<Bracket>> {
        let (mut low, mut high) = (0, 0x7fff_ffff);
        if candidates <= FEW {
            return Ok(Some(Bracket { low, high, between: candidates as usize }));
        }
        let mut sample = self.sample(pieces)?;
        if sample.len() < 1024 {
            return Ok(None);
        }
        sample.par_sort_unstable_by(|a, b| b.cmp(a));
        let size = sample.len() as f64;
        let rank = k as f64 / candidates as f64 * size;
        // Twelve standard deviations of a sample of independent entries; neighbours are not quite.
        let margin = 16.0 + 12.0 * (rank * (1.0 - rank / size)).sqrt();
        if rank - margin >= 0.0 {
            high = sample[(rank - margin) as usize];
        }
        if rank + margin < size {
            low = sample[(rank + margin) as usize];
        }
        let above = sample.partition_point(|key| *key >= high);
        let inside = sample.partition_point(|key| *key > low).saturating_sub(above);
        let between = (inside as f64 / size * candidates as f64) as usize;
        Ok(Some(Bracket { low, high, between }))
    }

    /// Keys of candidates from all over the pieces, in short runs. Which ones depends on nothing
    /// but the sizes of the pieces.
    fn sample(&self, pieces: &[Piece]) -> Result<Vec<u32>> {
        let total: usize = pieces.iter().map(|piece| piece.len).sum();
        // Some 260,000 runs of a large model, and at least 2,000 of a small one.
        let stride = (total >> 18).max((total >> 11).clamp(RUN + 1, 1 << 12));
        let mut start = 0;
        let mut spots: Vec<Piece> = Vec::with_capacity(total / stride + 1);
        for piece in pieces {
            let first = start / stride + usize::from(start % stride != 0);
            start += piece.len;
            for spot in first..start.div_ceil(stride) {
                // Not the same column of each row, if rows are as long as the stride.
                let within = spot * stride + jitter(spot) % (stride - RUN) + piece.len - start;
                let at = within.min(piece.len.saturating_sub(RUN));
                spots.push(Piece { start: piece.start + at, len: RUN.min(piece.len), ..*piece });
            }
        }
        let flip = self.flip();
        let read = |spots: &[Piece]| -> Result<Vec<u32>> {
            let mut keys = Vec::with_capacity(spots.len() * RUN);
            for spot in spots {
                self.source.read(spot.param, spot.start, spot.len, &mut |scores| {
                    for (i, score) in scores.iter().enumerate() {
                        if self.domain.holds(spot.param, spot.start + i) {
                            keys.push(magnitude(*score) ^ flip);
                        }
                    }
                })?;
            }
            Ok(keys)
        };
        Ok(spots.par_chunks(1 << 10).map(read).collect::<Result<Vec<_>>>()?.concat())
    }

    /// Counts what is above, at the ends of and in a bracket, and gathers the keys in between, in
    /// no particular order, unless there are more than [`MOST`].
    fn tally(&self, pieces: &[Piece], bracket: Bracket) -> Result<(Tally, Vec<u32>)> {
        let flip = self.flip();
        let (low, high) = (bracket.low as i32, bracket.high as i32);
        let bounds = [low - 1, low, (high - 1).max(low), high];
        // One buffer for all, of about the right size: many that grow would take several times as much.
        let expected = bracket.between + bracket.between / 8 + 64;
        let gathered = Mutex::new(Vec::with_capacity(expected.min(MOST)));
        let count = |mut tally: Tally, piece: &Piece| -> Result<Tally> {
            self.host.cancel.check()?;
            let domain = self.domain.words(piece);
            self.source.read(piece.param, piece.start, piece.len, &mut |scores| {
                let mut words = [[0; 4]; CHUNK / WORD];
                let mut most = 0;
                tally.here.clear();
                for (chunk, part) in scores.chunks(CHUNK).enumerate() {
                    let words = &mut words[..part.len().div_ceil(WORD)];
                    most = most.max(compare(part, flip, &bounds, words));
                    for (w, word) in words.iter_mut().enumerate().filter(|(_, word)| word[0] != 0) {
                        if let Some(domain) = &domain {
                            let allowed = domain[chunk * (CHUNK / WORD) + w];
                            word.iter_mut().for_each(|bits| *bits &= allowed);
                        }
                        let [from_low, above_low, from_high, above] = *word;
                        tally.above += u64::from(above.count_ones());
                        tally.at_high += u64::from((from_high & !above).count_ones());
                        tally.at_low += u64::from((from_low & !above_low).count_ones());
                        let mut left = above_low & !from_high;
                        while left != 0 {
                            let i = left.trailing_zeros() as usize;
                            tally.here.push(magnitude(part[w * WORD + i]) ^ flip);
                            left &= left - 1;
                        }
                    }
                }
                if most > f32::INFINITY.to_bits() {
                    tally.nan = Some(tally.nan.map_or(piece.param, |p| p.min(piece.param)));
                }
                tally.between += tally.here.len() as u64;
                let mut gathered = gathered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if gathered.len() + tally.here.len() <= MOST {
                    gathered.extend_from_slice(&tally.here);
                }
            })?;
            Ok(tally)
        };
        let tally = pieces.par_iter().try_fold(Tally::default, count).try_reduce(Tally::default, join)?;
        Ok((tally, gathered.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }
}

fn join(a: Tally, b: Tally) -> Result<Tally> {
    Ok(Tally {
        above: a.above + b.above,
        at_high: a.at_high + b.at_high,
        between: a.between + b.between,
        at_low: a.at_low + b.at_low,
        nan: a.nan.into_iter().chain(b.nan).min(),
        here: Vec::new(),
    })
}

impl Tally {
    /// The k-th largest key, if it is among what was counted.
    fn resolve(&self, bracket: Bracket, mut between: Vec<u32>, k: u64) -> Search {
        let found = |key, ties| Search::Found(Cut { key, ties });
        let Some(left) = k.checked_sub(self.above).filter(|left| *left > 0) else { return Search::Missed };
        if left <= self.at_high {
            return found(bracket.high, left);
        }
        let left = left - self.at_high;
        if left > self.between {
            let left = left - self.between;
            return if left <= self.at_low { found(bracket.low, left) } else { Search::Missed };
        }
        let (greater, key, _) = between.select_nth_unstable_by(left as usize - 1, |a, b| b.cmp(a));
        let key = *key;
        let above = greater.iter().filter(|other| **other > key).count() as u64;
        found(key, left - above)
    }
}

/// A number that looks random (Steele's splitmix64, one step).
fn jitter(spot: usize) -> usize {
    let mut x = (spot as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 1) as usize
}
