//! Dense products of bf16 operands, summed in f32, with AVX-512 BF16.
//!
//! The instruction multiplies pairs of neighbours of the inner dimension, so a word is such a pair: the value at `k` in
//! its low half, the one at `k + 1` in its high half. Values are rounded to the nearest bf16 (ties to even, subnormal
//! ones to zero) as they are packed.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, __mmask16, _mm256_maskz_loadu_epi16, _mm512_cvtepu16_epi32,
    _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_epi32,
    _mm512_maskz_loadu_ps, _mm512_or_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_slli_epi32,
};
use std::cell::RefCell;

use super::tiles::{BLOCK, COLS, Left, Micro, Place, ROWS, Rows, Stretch};
use super::{Factor, Mat};
use crate::ops::slice::Weight;
use crate::ops::transpose::{Strip, turn};

/// A pair of bf16 values: plain bits, held as f32 because transposing moves f32.
type Word = f32;

thread_local! {
    /// Kept between calls: fresh memory costs more than the packing.
    static OWN: RefCell<Vec<Word>> = const { RefCell::new(Vec::new()) };
    static LINES: RefCell<Vec<Word>> = const { RefCell::new(Vec::new()) };
}

/// bf16 operands. The processor must have AVX-512 (F, BW, VL, BF16).
pub(super) struct Pairs;

impl Micro for Pairs {
    const PER_WORD: usize = 2;
    const DEPTH: usize = 1536;

    fn pack(b: Factor<'_>, at: usize, width: usize, stretch: Stretch, panel: &mut [Word]) {
        if b.col_stride == 1 {
            for (p, line) in panel.chunks_exact_mut(COLS).enumerate() {
                let row = |k: usize| {
                    let start = (stretch.from + k) * b.row_stride + at;
                    (k < stretch.len).then(|| b.data.part(start, width))
                };
                interleave(row(2 * p), row(2 * p + 1), &mut line[..width]);
            }
        } else {
            let pairs = stretch.len.div_ceil(2);
            let mut lines = LINES.take();
            if lines.len() < COLS * pairs {
                lines.resize(COLS * Self::DEPTH / 2, 0.0);
            }
            for (c, line) in lines.chunks_exact_mut(pairs).take(width).enumerate() {
                couple(b.data.part((at + c) * b.col_stride + stretch.from, stretch.len), line);
            }
            turn(&lines, Strip { stride: pairs, first: 0, width: pairs, tokens: width }, panel, COLS);
            LINES.replace(lines);
        }
    }

    fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>)) {
        let pairs = stretch.len.div_ceil(2);
        let mut own = OWN.take();
        if own.is_empty() {
            own.resize(BLOCK * Self::DEPTH / 2, 0.0);
        }
        let data = Weight::F32(a.data);
        if a.col_stride == 1 {
            for (r, line) in own.chunks_exact_mut(pairs).take(count).enumerate() {
                couple(data.part((first + r) * a.row_stride + stretch.from, stretch.len), line);
            }
            work(Left::rows(&own, pairs));
        } else {
            let mut line = [0.0; BLOCK];
            for p in 0..pairs {
                let row = |k: usize| {
                    let start = (stretch.from + k) * a.col_stride + first;
                    (k < stretch.len).then(|| data.part(start, count))
                };
                interleave(row(2 * p), row(2 * p + 1), &mut line[..count]);
                for (i, part) in line[..count].chunks(ROWS).enumerate() {
                    own[i * ROWS * pairs + p * ROWS..][..part.len()].copy_from_slice(part);
                }
            }
            work(Left::packed(&own, pairs));
        }
        OWN.replace(own);
    }

    unsafe fn tile<const R: usize>(a: Rows, b: *const Word, words: usize, place: Place) {
        // SAFETY: passed on to the caller.
        unsafe { kernel::<R>(a, b, words, place) }
    }
}

/// # Safety
///
/// As for [`Micro::tile`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn kernel<const R: usize>(a: Rows, b: *const Word, words: usize, place: Place) {
    let mut sums: [[__m512; 3]; R] = [[_mm512_setzero_ps(); 3]; R];
    let (mut column, mut line) = (a.start.cast::<i32>(), b);
    for _ in 0..words {
        // SAFETY: step `p` reads row `p` of the panel and column `p` of the rows of `a`.
        unsafe {
            let pairs = [0, 16, 32].map(|i| as_pairs(_mm512_loadu_si512(line.add(i).cast())));
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = as_pairs(_mm512_set1_epi32(*column.add(r * a.row_stride)));
                for (sum, pairs) in sums.iter_mut().zip(pairs) {
                    *sum = _mm512_dpbf16_ps(*sum, factor, pairs);
                }
            }
        }
        column = column.wrapping_add(a.step);
        line = line.wrapping_add(COLS);
    }
    // SAFETY: passed on to the caller.
    unsafe { place.write(sums) }
}

/// The same bits as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f")]
fn as_pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 512 plain bits.
    unsafe { std::mem::transmute(words) }
}

/// Neighbours of a line together: word `p` is values `2p` and `2p + 1`, the last alone with a zero if it has no
/// neighbour.
fn couple(line: Weight<'_>, words: &mut [Word]) {
    match line {
        Weight::F32(line) => {
            assert!(line.len().div_ceil(2) <= words.len(), "a word for every pair");
            // SAFETY: the words were counted, and the caller has AVX-512 BF16.
            unsafe { couple_f32(line, words) }
        }
        Weight::BF16(line) => {
            for (word, pair) in words.iter_mut().zip(line.chunks(2)) {
                let high = pair.get(1).map_or(0, |v| u32::from(v.to_bits()));
                *word = f32::from_bits(high << 16 | u32::from(pair[0].to_bits()));
            }
        }
    }
}

/// # Safety
///
/// The processor has AVX-512 F, BW and BF16; `words` has room for every pair.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn couple_f32(line: &[f32], words: &mut [Word]) {
    for at in (0..line.len()).step_by(32) {
        let left = line.len() - at;
        let mask =
            |from: usize| -> __mmask16 { ((1u32 << left.saturating_sub(from).min(16)) - 1) as __mmask16 };
        let pairs = left.div_ceil(2).min(16);
        // SAFETY: masked lanes are not touched, and the others lie inside the line and the words.
        unsafe {
            let low = _mm512_maskz_loadu_ps(mask(0), line.as_ptr().add(at));
            let high = _mm512_maskz_loadu_ps(mask(16), line.as_ptr().wrapping_add(at + 16));
            let both: __m512i = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            let to = words.as_mut_ptr().add(at / 2).cast();
            _mm512_mask_storeu_epi32(to, ((1u32 << pairs) - 1) as __mmask16, both);
        }
    }
}

/// Two lines as one line of pairs; a line that is not there counts as zeros.
fn interleave(low: Option<Weight<'_>>, high: Option<Weight<'_>>, words: &mut [Word]) {
    for line in [low, high].into_iter().flatten() {
        assert_eq!(line.len(), words.len(), "lines as long as their words");
    }
    // SAFETY: the lines have as many values as there are words, and the caller has AVX-512 BF16.
    unsafe { interleave_any(low, high, words) }
}

/// # Safety
///
/// The processor has AVX-512 F, BW, VL and BF16; each line has as many values as there are words.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn interleave_any(low: Option<Weight<'_>>, high: Option<Weight<'_>>, words: &mut [Word]) {
    for at in (0..words.len()).step_by(16) {
        let mask = ((1u32 << (words.len() - at).min(16)) - 1) as __mmask16;
        // SAFETY: masked lanes are not touched, and the others lie inside the lines and the words.
        unsafe {
            let low = halves(low, at, mask);
            let high = _mm512_slli_epi32::<16>(halves(high, at, mask));
            _mm512_mask_storeu_epi32(words.as_mut_ptr().add(at).cast(), mask, _mm512_or_si512(low, high));
        }
    }
}

/// Sixteen values of a line from `at`, as bf16 in the low halves of words.
///
/// # Safety
///
/// As for [`interleave_any`]; values chosen by `mask` lie at `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn halves(line: Option<Weight<'_>>, at: usize, mask: __mmask16) -> __m512i {
    // SAFETY: passed on to the caller.
    unsafe {
        let narrow = match line {
            None => return _mm512_set1_epi32(0),
            Some(Weight::F32(line)) => {
                let values = _mm512_maskz_loadu_ps(mask, line.as_ptr().add(at));
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values))
            }
            Some(Weight::BF16(line)) => _mm256_maskz_loadu_epi16(mask, line.as_ptr().add(at).cast()),
        };
        _mm512_cvtepu16_epi32(narrow)
    }
}
