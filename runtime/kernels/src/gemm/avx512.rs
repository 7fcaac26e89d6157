//! Dense f32 products with AVX-512: a word is a value.

use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps};
use std::cell::RefCell;

use super::tiles::{
    BLOCK, COLS, Left, Micro, Place, Rows, Stretch, Words, by_rows, kernel, with_rows_of_words,
};
use super::{Factor, Mat};
use crate::simd::widen;
use crate::slice::Weight;
use crate::transpose::{Strip, turn};

thread_local! {
    /// Kept between calls: fresh memory costs more than the packing.
    static LINES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// f32 operands. The processor must have AVX-512 F.
pub(super) struct Single;

impl Micro for Single {
    const PER_WORD: usize = 1;
    const STEP: usize = 1;
    const ROWS: usize = 8;
    const DEPTH: usize = 640;

    fn pack(b: Factor<'_>, at: usize, width: usize, stretch: Stretch, panels: &mut [f32]) {
        let len = stretch.len;
        let parts = (at..at + width).step_by(COLS).map(|from| (from, COLS.min(at + width - from)));
        if b.col_stride == 1 {
            for k in 0..len {
                let line = (stretch.from + k) * b.row_stride;
                for ((from, width), panel) in parts.clone().zip(panels.chunks_exact_mut(COLS * len)) {
                    let (start, to) = (line + from, &mut panel[k * COLS..k * COLS + width]);
                    match b.data {
                        Weight::F32(data) => to.copy_from_slice(&data[start..start + width]),
                        Weight::BF16(data) => widen(&data[start..start + width], to),
                    }
                }
            }
            return;
        }
        let (stride, first) = (b.col_stride, stretch.from);
        for ((from, width), panel) in parts.zip(panels.chunks_exact_mut(COLS * len)) {
            match b.data {
                Weight::F32(data) => {
                    let strip = Strip { stride, first, width: len, tokens: width };
                    turn(&data[from * stride..], strip, panel, COLS);
                }
                Weight::BF16(data) => {
                    let mut lines = LINES.take();
                    if lines.len() < width * len {
                        lines.resize(COLS * Self::DEPTH, 0.0);
                    }
                    for (c, line) in lines.chunks_exact_mut(len).take(width).enumerate() {
                        widen(&data[(from + c) * stride + first..][..len], line);
                    }
                    turn(&lines, Strip { stride: len, first: 0, width: len, tokens: width }, panel, COLS);
                    LINES.replace(lines);
                }
            }
        }
    }

    fn with_rows(a: Mat<'_>, first: usize, count: usize, stretch: Stretch, work: impl FnOnce(Left<'_>)) {
        with_rows_of_words::<Self>(a, first, count, stretch, work);
    }

    unsafe fn tile(a: Rows, b: *const f32, words: usize, place: Place, rows: usize) {
        // SAFETY: passed on to the caller.
        unsafe { by_rows!(rows, kernel(a, b, words, place)) }
    }
}

impl Words for Single {
    fn along(values: &[f32], words: &mut [f32]) {
        words.copy_from_slice(values);
    }

    fn across<'a>(
        word: usize,
        line: impl Fn(usize) -> Option<&'a [f32]>,
        _: &mut [f32; BLOCK],
        mut put: impl FnMut(&[f32]),
    ) {
        line(word).into_iter().for_each(&mut put);
    }
}

kernel!(
    "avx512f",
    load: |at| _mm512_loadu_ps(at),
    spread: |word| _mm512_set1_ps(*word),
    add: |sum, factor, values| _mm512_fmadd_ps(factor, values, sum),
);
