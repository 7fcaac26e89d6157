//! Dense products of bf16 operands, summed in f32, with AVX-512 BF16.
//!
//! The instruction multiplies pairs of neighbours of the inner dimension, so a word is such a pair: the value at `k` in
//! its low half, the one at `k + 1` in its high half. Values are rounded to the nearest bf16 (ties to even, subnormal
//! ones to zero) as they are packed.

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_ps,
};
use std::cell::RefCell;

use super::tiles::{
    BLOCK, COLS, Left, Micro, Place, Rows, Stretch, Words, by_rows, kernel, with_rows_of_words,
};
use super::{Factor, Mat};
use crate::pairs::{Word, as_pairs, couple, interleave, whole_pairs};
use crate::slice::Weight;
use crate::transpose::{Strip, turn};

thread_local! {
    /// Kept between calls: fresh memory costs more than the packing.
    static LINES: RefCell<Vec<Word>> = const { RefCell::new(Vec::new()) };
}

/// How many pairs of lines ahead are asked for while a factor is packed.
const AHEAD: usize = 8;

/// bf16 operands. The processor must have AVX-512 (F, BW, VL, BF16).
pub(super) struct Pairs;

impl Micro for Pairs {
    const PER_WORD: usize = 2;
    const STEP: usize = 2;
    const ROWS: usize = 8;
    const DEPTH: usize = 1536;

    fn pack(b: Factor<'_>, at: usize, width: usize, stretch: Stretch, panels: &mut [Word]) {
        pack(b, (at, width), stretch, Self::words(stretch.len), panels);
    }

    fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>)) {
        with_rows_of_words::<Self>(a, first, count, stretch, work);
    }

    unsafe fn tile(a: Rows, b: *const Word, words: usize, place: Place, rows: usize) {
        // SAFETY: passed on to the caller.
        unsafe { by_rows!(rows, kernel(a, b, words, place)) }
    }
}

impl Words for Pairs {
    fn along(values: &[f32], words: &mut [Word]) {
        couple(Weight::F32(values), words);
    }

    fn across<'a>(
        word: usize,
        line: impl Fn(usize) -> Option<&'a [f32]>,
        words: &mut [Word; BLOCK],
        mut put: impl FnMut(&[Word]),
    ) {
        let line = |k: usize| line(k).map(Weight::F32);
        ahead(word, line);
        let (low, high) = (line(2 * word), line(2 * word + 1));
        let count = low.map_or(0, Weight::len);
        interleave(low, high, &mut words[..count]);
        // Whole tiles: rows beyond `count` are never looked at, and a length that is known is one move.
        put(&words[..count.next_multiple_of(8)]);
    }
}

/// Packs `width` columns from `at` as [`Micro::pack`] says, each into `words` words, at least as many as there are pairs:
/// the others are zeros.
pub(super) fn pack(
    b: Factor<'_>,
    (at, width): (usize, usize),
    stretch: Stretch,
    words: usize,
    panels: &mut [Word],
) {
    let pairs = stretch.len.div_ceil(2);
    let parts = (at..at + width).step_by(COLS).map(|from| (from, COLS.min(at + width - from)));
    panels.chunks_exact_mut(COLS * words).for_each(|panel| panel[COLS * pairs..].fill(0.0));
    if b.col_stride == 1 {
        let line = |k: usize| {
            let start = (stretch.from + k) * b.row_stride + at;
            (k < stretch.len).then(|| b.data.part(start, width))
        };
        for p in 0..pairs {
            ahead(p, line);
            for ((from, width), panel) in parts.clone().zip(panels.chunks_exact_mut(COLS * words)) {
                let row = |k: usize| {
                    let start = (stretch.from + k) * b.row_stride + from;
                    (k < stretch.len).then(|| b.data.part(start, width))
                };
                interleave(row(2 * p), row(2 * p + 1), &mut panel[p * COLS..p * COLS + width]);
            }
        }
        return;
    }
    if let (Weight::BF16(data), true) = (b.data, stretch.len.is_multiple_of(2)) {
        let column = |c: usize| &data[c * b.col_stride + stretch.from..][..stretch.len];
        let first = whole_pairs(column(at)).filter(|_| b.col_stride.is_multiple_of(2));
        if first.is_some() {
            for ((from, width), panel) in parts.zip(panels.chunks_exact_mut(COLS * words)) {
                let last = (from + width - 1) * b.col_stride + stretch.from + stretch.len;
                let lines = whole_pairs(&data[from * b.col_stride + stretch.from..last]);
                let lines = lines.expect("even distances from a place where a word may lie");
                let strip = Strip { stride: b.col_stride / 2, first: 0, width: pairs, tokens: width };
                turn(lines, strip, panel, COLS);
            }
            return;
        }
    }
    let mut lines = LINES.take();
    if lines.len() < COLS * pairs {
        lines.resize(COLS * Pairs::DEPTH / 2, 0.0);
    }
    for ((from, width), panel) in parts.zip(panels.chunks_exact_mut(COLS * words)) {
        for (c, line) in lines.chunks_exact_mut(pairs).take(width).enumerate() {
            couple(b.data.part((from + c) * b.col_stride + stretch.from, stretch.len), line);
        }
        turn(&lines, Strip { stride: pairs, first: 0, width: pairs, tokens: width }, panel, COLS);
    }
    LINES.replace(lines);
}

/// Asks for the lines of a later pair than `p`: they lie far apart, so the processor does not see them coming.
fn ahead<'a>(p: usize, line: impl Fn(usize) -> Option<Weight<'a>>) {
    [2 * (p + AHEAD), 2 * (p + AHEAD) + 1].into_iter().filter_map(line).for_each(prefetch);
}

/// Asks for a line that will be read soon.
#[inline]
fn prefetch(line: Weight<'_>) {
    let (start, bytes): (*const i8, usize) = match line {
        Weight::F32(line) => (line.as_ptr().cast(), size_of_val(line)),
        Weight::BF16(line) => (line.as_ptr().cast(), size_of_val(line)),
    };
    for at in (0..bytes).step_by(64) {
        // SAFETY: the place lies inside the line, and nothing is read from it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(at)) };
    }
}

kernel!(
    "avx512f,avx512bf16",
    load: |at| as_pairs(_mm512_loadu_si512(at.cast())),
    spread: |word| as_pairs(_mm512_set1_epi32(*word.cast::<i32>())),
    add: |sum, factor, pairs| _mm512_dpbf16_ps(sum, factor, pairs),
);
