//! One fused pass over entries, gradients and state, in place and in parallel.

use half::bf16;

use super::step::{Now, Target};
use crate::ops::SparseIndex;
use crate::ops::simd::dither_bf16;
#[cfg(target_arch = "x86_64")]
use crate::ops::simd::has_avx512;
use crate::ops::slice::WeightMut;

/// Entries worked on together, so that the compiler turns a formula into vectors.
const LANES: usize = 16;

/// An optimizer's formula with the constants of a step, over `N` numbers of state.
pub(super) trait Rule<const N: usize>: Sync {
    /// The next value of an entry and its state.
    fn entry(&self, w: f32, g: f32, state: [f32; N]) -> (f32, [f32; N]);
}

/// Pieces are halved until they have no more entries than this.
const PIECE: usize = 1 << 15;

/// Updates the entries of `target` by a rule with their gradients `g`, in the order of its index.
pub(super) fn run<R: Rule<N>, const N: usize>(
    rule: &R,
    now: Now,
    target: Target<'_>,
    g: &[f32],
    states: &mut [Vec<f32>],
) {
    let mut states = states.iter_mut();
    let states: [&mut [f32]; N] =
        std::array::from_fn(|_| states.next().map_or(&mut [][..], |s| s.as_mut_slice()));
    let rows = target.index.map_or(0..0, |i| 0..i.rows());
    let piece = Piece {
        weight: target.weight,
        masters: target.masters,
        start: 0,
        rows,
        index: target.index,
        g,
        states,
    };
    piece.run(rule, now.scale as f32);
}

/// A part of a target that one thread works on: rows of an indexed weight, or a stretch of a whole
/// one. `weight` begins at the first of the rows.
struct Piece<'a, const N: usize> {
    weight: WeightMut<'a>,
    masters: Option<&'a mut [f32]>,
    /// The place in the parameter where `weight` begins.
    start: usize,
    rows: std::ops::Range<usize>,
    index: Option<&'a SparseIndex>,
    g: &'a [f32],
    states: [&'a mut [f32]; N],
}

impl<'a, const N: usize> Piece<'a, N> {
    fn run<R: Rule<N>>(self, rule: &R, scale: f32) {
        let whole = self.index.is_none();
        if self.g.len() > PIECE && (whole || self.rows.len() > 1) {
            let (left, right) = self.halve();
            rayon::join(|| left.run(rule, scale), || right.run(rule, scale));
        } else {
            self.work(rule, scale);
        }
    }

    /// Two pieces of about the same number of entries.
    fn halve(self) -> (Self, Self) {
        let Piece { weight, masters, start, rows, index, g, states } = self;
        // Entries and weights in the left half, and the row where the right one begins.
        let (entries, weights, row) = match index {
            None => {
                let half = g.len() / 2;
                (half, half, 0)
            }
            Some(index) => {
                let ptr = index.row_ptr();
                let first = ptr[rows.start];
                let half = first + (g.len() / 2) as u32;
                let row = ptr[rows.clone()].partition_point(|&p| p < half) + rows.start;
                let row = row.clamp(rows.start + 1, rows.end - 1);
                ((ptr[row] - first) as usize, (row - rows.start) * index.cols(), row)
            }
        };
        let (wl, wr) = match weight {
            WeightMut::F32(w) => {
                let (l, r) = w.split_at_mut(weights);
                (WeightMut::F32(l), WeightMut::F32(r))
            }
            WeightMut::BF16(w) => {
                let (l, r) = w.split_at_mut(weights);
                (WeightMut::BF16(l), WeightMut::BF16(r))
            }
        };
        let (ml, mr) = masters.map(|m| m.split_at_mut(entries)).unzip();
        let (gl, gr) = g.split_at(entries);
        let mut sl: [&mut [f32]; N] = std::array::from_fn(|_| &mut [][..]);
        let mut sr: [&mut [f32]; N] = std::array::from_fn(|_| &mut [][..]);
        for ((s, l), r) in states.into_iter().zip(&mut sl).zip(&mut sr) {
            (*l, *r) = s.split_at_mut(entries);
        }
        (
            Piece { weight: wl, masters: ml, start, rows: rows.start..row, index, g: gl, states: sl },
            Piece {
                weight: wr,
                masters: mr,
                start: start + weights,
                rows: row..rows.end,
                index,
                g: gr,
                states: sr,
            },
        )
    }

    fn work<R: Rule<N>>(self, rule: &R, scale: f32) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() {
            // SAFETY: the processor was just asked for these features.
            return unsafe { self.work_wide(rule, scale) };
        }
        self.entries(rule, scale);
    }

    /// The same code for wider registers; without fused operations, so that every bit is the same.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
    fn work_wide<R: Rule<N>>(self, rule: &R, scale: f32) {
        self.entries(rule, scale);
    }

    #[inline(always)]
    fn entries<R: Rule<N>>(mut self, rule: &R, scale: f32) {
        let Some(index) = self.index else {
            let entries = self.g.len();
            let mut at = 0;
            while at + LANES <= entries {
                self.group(rule, scale, at, std::array::from_fn(|i| at + i), LANES);
                at += LANES;
            }
            if at < entries {
                self.group(rule, scale, at, std::array::from_fn(|i| (at + i).min(entries - 1)), entries - at);
            }
            return;
        };
        let (first, origin) = (index.row_ptr()[self.rows.start] as usize, self.rows.start);
        for row in self.rows.clone() {
            let (range, base) = (index.row(row), (row - origin) * index.cols());
            let mut k = range.start;
            while k < range.end {
                let n = LANES.min(range.end - k);
                // Lanes past the end repeat the last entry and are not stored.
                let at = std::array::from_fn(|i| base + index.col(k + i.min(n - 1)));
                self.group(rule, scale, k - first, at, n);
                k += n;
            }
        }
    }

    /// Updates `n` entries from `k` on, whose weights lie at `at`. Plain loops: a closure handed to a function of arrays
    /// would be compiled for the baseline, and called for each entry.
    #[inline(always)]
    fn group<R: Rule<N>>(&mut self, rule: &R, scale: f32, k: usize, at: [usize; LANES], n: usize) {
        // Without an index the entries are the weights themselves, one after the other.
        let whole = self.index.is_none();
        let place = |i: usize| (self.start + if whole { k + i } else { at[i] }) as u32;
        let g = load(self.g, k, n);
        let mut s = [[0.0; LANES]; N];
        for (s, from) in s.iter_mut().zip(&self.states) {
            *s = load(from, k, n);
        }
        let mut w: [f32; LANES] = match (&self.weight, &self.masters) {
            (WeightMut::F32(w), _) if whole => load(w, k, n),
            (WeightMut::F32(w), _) => at.map(|i| w[i]),
            (WeightMut::BF16(w), masters) => {
                let stored = if whole { load(w, k, n) } else { at.map(|i| w[i]) };
                match masters {
                    // If the weight was changed from outside since the last step, it replaces its master copy.
                    Some(masters) => {
                        let mut current = load(masters, k, n);
                        for (i, (master, stored)) in current.iter_mut().zip(stored).enumerate() {
                            let same = dither_bf16(*master, place(i)).to_bits() == stored.to_bits();
                            *master = if same { *master } else { wide(stored) };
                        }
                        current
                    }
                    None => stored.map(wide),
                }
            }
        };
        for i in 0..LANES {
            let (next, state) = rule.entry(w[i], g[i] * scale, std::array::from_fn(|j| s[j][i]));
            w[i] = next;
            for j in 0..N {
                s[j][i] = state[j];
            }
        }
        for (s, to) in s.iter().zip(&mut self.states) {
            to[k..k + n].copy_from_slice(&s[..n]);
        }
        if let Some(masters) = &mut self.masters {
            masters[k..k + n].copy_from_slice(&w[..n]);
        }
        let start = self.start;
        match &mut self.weight {
            WeightMut::F32(to) if whole => to[k..k + n].copy_from_slice(&w[..n]),
            WeightMut::F32(to) => (0..n).for_each(|i| to[at[i]] = w[i]),
            WeightMut::BF16(to) if whole => {
                let mut rounded = [bf16::ZERO; LANES];
                for (i, (rounded, w)) in rounded.iter_mut().zip(w).enumerate() {
                    *rounded = dither_bf16(w, (start + k + i) as u32);
                }
                to[k..k + n].copy_from_slice(&rounded[..n]);
            }
            WeightMut::BF16(to) => {
                (0..n).for_each(|i| to[at[i]] = dither_bf16(w[i], (start + at[i]) as u32));
            }
        }
    }
}

#[inline(always)]
fn wide(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// `n` values from place `k` on, padded with zeros.
#[inline(always)]
fn load<T: Copy + Default>(from: &[T], k: usize, n: usize) -> [T; LANES] {
    let mut out = [T::default(); LANES];
    match <&[T; LANES]>::try_from(&from[k..(k + LANES).min(from.len())]) {
        Ok(full) if n == LANES => out = *full,
        _ => out[..n].copy_from_slice(&from[k..k + n]),
    }
    out
}
