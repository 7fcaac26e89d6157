//! The k-th largest of many scores, exactly, whatever they are: three passes, each of which counts
//! the scores by the next few bits of their magnitude. And the pass that makes sets of the scores
//! above a cut.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::bits::{Piece, to_bitmap};
use super::bracket::Search;
use super::compare::compare;
use super::keys::{Cut, Keys, any_nan, magnitude, nan_error};
use crate::Result;

/// How many low bits remain below each of the three digits, and how many values each digit has.
const DIGITS: [(u32, usize); 3] = [(20, 1 << 11), (10, 1 << 10), (0, 1 << 10)];

/// What the first pass finds out about a group.
pub struct Census {
    counts: Vec<u64>,
    /// Candidates: scored entries that may be chosen.
    pub candidates: u64,
    /// Candidates whose score is zero.
    pub zeros: u64,
    nan: Option<usize>,
}

impl Keys<'_> {
    /// The cut that leaves exactly `k` of the `candidates` in; `None` for 0. There must be at least
    /// `k`. A score that is not a number is an error, wherever it lies.
    pub fn cut(&self, pieces: &[Piece], candidates: u64, k: u64) -> Result<Option<Cut>> {
        if k == 0 {
            self.check_numbers(pieces)?;
            return Ok(None);
        }
        match self.search(pieces, candidates, k)? {
            Search::Found(cut) => Ok(Some(cut)),
            Search::Missed => self.radix_cut(pieces, &self.census(pieces)?, k).map(Some),
        }
    }

    /// The first pass: how many candidates and zeros there are, and the counts of the first digit.
    /// A score that is not a number is an error, wherever it lies.
    pub fn census(&self, pieces: &[Piece]) -> Result<Census> {
        let none = || Census { counts: vec![0; DIGITS[0].1], candidates: 0, zeros: 0, nan: None };
        let (shift, flip) = (DIGITS[0].0, self.flip());
        let count = |mut census: Census, piece: &Piece| -> Result<Census> {
            self.host.cancel.check()?;
            let domain = self.domain.words(piece);
            self.source.read(piece.param, piece.start, piece.len, &mut |scores| {
                if any_nan(scores) {
                    census.nan = Some(census.nan.map_or(piece.param, |p| p.min(piece.param)));
                }
                // Four tables, because neighbours often fall on the same digit and each count
                // would wait for the one before it.
                let mut lanes = [[0u32; DIGITS[0].1]; 4];
                let mut zeros = 0;
                each_candidate(scores, domain.as_deref(), |i, score| {
                    let key = magnitude(score);
                    zeros += u64::from(key == 0);
                    lanes[i % 4][((key ^ flip) >> shift) as usize] += 1;
                });
                for (i, count) in census.counts.iter_mut().enumerate() {
                    let here: u64 = lanes.iter().map(|lane| u64::from(lane[i])).sum();
                    *count += here;
                    census.candidates += here;
                }
                census.zeros += zeros;
            })?;
            Ok(census)
        };
        let census = pieces.par_iter().try_fold(none, count).try_reduce(none, |mut a, b| {
            a.counts.iter_mut().zip(&b.counts).for_each(|(a, b)| *a += b);
            a.candidates += b.candidates;
            a.zeros += b.zeros;
            a.nan = a.nan.into_iter().chain(b.nan).min();
            Ok(a)
        })?;
        match census.nan {
            Some(param) => Err(nan_error(&self.source.universe().spec(param).name)),
            None => Ok(census),
        }
    }

    /// The cut that leaves exactly `k` candidates in, digit by digit. `k` is from 1 to their number.
    pub fn radix_cut(&self, pieces: &[Piece], census: &Census, k: u64) -> Result<Cut> {
        debug_assert!((1..=census.candidates).contains(&k));
        let (mut prefix, mut left) = descend(&census.counts, k);
        for (level, (_, size)) in DIGITS.iter().enumerate().skip(1) {
            let counts = self.digit_counts(pieces, level, prefix)?;
            let (digit, rest) = descend(&counts, left);
            prefix = prefix * *size as u32 + digit;
            left = rest;
        }
        Ok(Cut { key: prefix, ties: left })
    }

    /// Counts of the digit at `level` among candidates whose digits above it make up `prefix`.
    fn digit_counts(&self, pieces: &[Piece], level: usize, prefix: u32) -> Result<Vec<u64>> {
        let (shift, size) = DIGITS[level];
        let (above, flip) = (DIGITS[level - 1].0, self.flip());
        let none = || vec![0u64; size];
        let count = |mut counts: Vec<u64>, piece: &Piece| -> Result<Vec<u64>> {
            self.host.cancel.check()?;
            let domain = self.domain.words(piece);
            self.source.read(piece.param, piece.start, piece.len, &mut |scores| {
                let mut add = |score: f32| {
                    let key = magnitude(score) ^ flip;
                    if key >> above == prefix {
                        counts[(key >> shift) as usize & (size - 1)] += 1;
                    }
                };
                if domain.is_some() {
                    return each_candidate(scores, domain.as_deref(), |_, score| add(score));
                }
                for block in scores.chunks(16) {
                    let hit = |&s: &f32| u32::from((magnitude(s) ^ flip) >> above == prefix);
                    if block.iter().map(hit).fold(0, |a, b| a | b) != 0 {
                        block.iter().for_each(|&s| add(s));
                    }
                }
            })?;
            Ok(counts)
        };
        pieces.par_iter().try_fold(none, count).try_reduce(none, |mut a, b| {
            a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
            Ok(a)
        })
    }

    /// Adds the entries above the cut, and the first ties at it, to the sets of their parameters.
    pub fn collect(&self, pieces: &[Piece], cut: Cut, sets: &mut [RoaringBitmap]) -> Result<()> {
        let mut ties = cut.ties;
        // A batch at a time, so that what waits to be merged stays small.
        for batch in pieces.chunks(64) {
            let chosen =
                batch.par_iter().map(|piece| self.choose(piece, cut.key)).collect::<Result<Vec<_>>>()?;
            for (piece, (above, mut at)) in batch.iter().zip(chosen) {
                if at.len() > ties {
                    at.remove_biggest(at.len() - ties);
                }
                ties -= at.len();
                let set = &mut sets[piece.param];
                *set |= above;
                *set |= at;
            }
        }
        debug_assert_eq!(ties, 0);
        Ok(())
    }

    /// The entries of a piece above a key, and those just at it.
    fn choose(&self, piece: &Piece, key: u32) -> Result<(RoaringBitmap, RoaringBitmap)> {
        self.host.cancel.check()?;
        let domain = self.domain.words(piece);
        let bounds = [key as i32 - 1, key as i32];
        let (mut above, mut at) = (vec![0u64; piece.words()], vec![0u64; piece.words()]);
        self.source.read(piece.param, piece.start, piece.len, &mut |scores| {
            let mut words = [[0; 2]; 64];
            let parts = scores.chunks(64 * words.len()).zip(above.chunks_mut(64).zip(at.chunks_mut(64)));
            for (part, (above, at)) in parts {
                compare(part, self.flip(), &bounds, &mut words[..above.len()]);
                for ((above, at), [from, over]) in above.iter_mut().zip(at).zip(words) {
                    (*above, *at) = (over, from & !over);
                }
            }
        })?;
        if let Some(domain) = domain {
            for ((above, at), allowed) in above.iter_mut().zip(&mut at).zip(domain) {
                *above &= allowed;
                *at &= allowed;
            }
        }
        Ok((to_bitmap(piece.start, above), to_bitmap(piece.start, at)))
    }
}

/// Calls `f(position, score)` for each entry whose bit is set, or for all if there are no bits.
fn each_candidate(scores: &[f32], domain: Option<&[u64]>, mut f: impl FnMut(usize, f32)) {
    let Some(domain) = domain else {
        return scores.iter().enumerate().for_each(|(i, &score)| f(i, score));
    };
    for (block, &word) in scores.chunks(64).zip(domain) {
        let mut left = word;
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            f(i, block[i]);
            left &= left - 1;
        }
    }
}

/// Walks counts from the highest digit down: the digit in which the k-th key lies, and how many
/// keys with that digit are still to be taken.
fn descend(counts: &[u64], k: u64) -> (u32, u64) {
    let mut left = k;
    for (digit, &count) in counts.iter().enumerate().rev() {
        if count >= left {
            return (digit as u32, left);
        }
        left -= count;
    }
    unreachable!("there are at least k candidates")
}
