//! Pieces of a parameter as words of bits: how selection sees the sets it may and may not touch,
//! and how it hands back what it chose.

use roaring::RoaringBitmap;

/// Entries in one piece of work. A multiple of 65,536, so that the containers of two pieces never
/// meet, and small enough for the second-level cache.
pub const PIECE: usize = 1 << 18;

/// A piece of one parameter.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The index of the parameter.
    pub param: usize,
    /// The first flat entry.
    pub start: usize,
    /// The number of entries.
    pub len: usize,
}

impl Piece {
    /// The pieces of a parameter with this many entries, in order.
    pub fn of(param: usize, entries: u64) -> impl Iterator<Item = Self> {
        let entries = entries as usize;
        (0..entries).step_by(PIECE).map(move |start| Self { param, start, len: PIECE.min(entries - start) })
    }

    /// The number of words that hold one bit for each entry.
    pub fn words(&self) -> usize {
        self.len.div_ceil(64)
    }
}

/// Which entries may be chosen: those of `within` (everything, if there is none) that are not in
/// `avoid`.
#[derive(Clone, Copy, Default)]
pub struct Domain<'a> {
    /// The sets to stay within, by parameter.
    pub within: Option<&'a [RoaringBitmap]>,
    /// The sets to stay out of, by parameter.
    pub avoid: Option<&'a [RoaringBitmap]>,
}

impl Domain<'_> {
    /// One bit for each entry of the piece that may be chosen; `None` when all may.
    pub fn words(&self, piece: &Piece) -> Option<Vec<u64>> {
        let avoid = self.avoid.map(|sets| &sets[piece.param]).filter(|set| !set.is_empty());
        let mut words = match self.within {
            Some(sets) => {
                let mut words = vec![0; piece.words()];
                each_run(&sets[piece.param], piece, |from, to| on_run(from, to, |i, bits| words[i] |= bits));
                words
            }
            None if avoid.is_none() => return None,
            None => {
                let mut words = vec![0; piece.words()];
                on_run(0, piece.len, |i, bits| words[i] |= bits);
                words
            }
        };
        if let Some(set) = avoid {
            each_run(set, piece, |from, to| on_run(from, to, |i, bits| words[i] &= !bits));
        }
        Some(words)
    }

    /// Whether an entry may be chosen.
    pub fn holds(&self, param: usize, entry: usize) -> bool {
        let entry = entry as u32;
        self.within.is_none_or(|sets| sets[param].contains(entry))
            && self.avoid.is_none_or(|sets| !sets[param].contains(entry))
    }

    /// The number of entries of the parameter that may be chosen.
    pub fn candidates(&self, param: usize, entries: u64) -> u64 {
        match (self.within, self.avoid) {
            (Some(within), Some(avoid)) => within[param].difference_len(&avoid[param]),
            (None, Some(avoid)) => entries - avoid[param].len(),
            _ => self.population(param, entries),
        }
    }

    /// The number of entries of the parameter that lie within, whether avoided or not: what a
    /// density is a fraction of.
    pub fn population(&self, param: usize, entries: u64) -> u64 {
        self.within.map_or(entries, |sets| sets[param].len())
    }
}

/// Calls `f(from, to)` for each run `from..to` of the set inside the piece, relative to its start.
fn each_run(set: &RoaringBitmap, piece: &Piece, mut f: impl FnMut(usize, usize)) {
    let last = (piece.start + piece.len - 1) as u32;
    let mut iter = set.range(piece.start as u32..=last);
    while let Some(run) = iter.next_range() {
        f(*run.start() as usize - piece.start, *run.end() as usize - piece.start + 1);
    }
}

/// Calls `f(word, bits)` for each word that the run `from..to` touches. The run is not empty.
fn on_run(from: usize, to: usize, mut f: impl FnMut(usize, u64)) {
    let (first, last) = (from / 64, (to - 1) / 64);
    let head = u64::MAX << (from % 64);
    let tail = u64::MAX >> (63 - (to - 1) % 64);
    if first == last {
        return f(first, head & tail);
    }
    f(first, head);
    (first + 1..last).for_each(|i| f(i, u64::MAX));
    f(last, tail);
}

/// The bitmap of words whose first bit is the entry `start`, a multiple of 65,536.
pub fn to_bitmap(start: usize, mut words: Vec<u64>) -> RoaringBitmap {
    debug_assert!(start.is_multiple_of(1 << 16));
    if words.iter().all(|&w| w == 0) {
        return RoaringBitmap::new();
    }
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|w| *w = w.to_le());
    }
    RoaringBitmap::from_lsb0_bytes(start as u32, bytemuck::cast_slice(&words))
}
