//! Turning rows of tokens into rows of features, a strip of features at a time.

/// Where a strip lies: `tokens` rows `stride` values apart, of which columns `first..first + width` are wanted.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// Values from one token to the next.
    pub(super) stride: usize,
    /// The first column.
    pub(super) first: usize,
    /// The number of columns.
    pub(super) width: usize,
    /// The number of tokens.
    pub(super) tokens: usize,
}

/// `to[c · padded + t] = from[t · stride + first + c]`. What lies in `to` beyond `tokens` is left alone.
pub(super) fn turn(from: &[f32], strip: Strip, to: &mut [f32], padded: usize) {
    let Strip { stride, first, width, tokens } = strip;
    if width == 0 || tokens == 0 {
        return;
    }
    assert!(tokens <= padded && first + width <= stride, "a strip lies inside its rows");
    assert!((tokens - 1) * stride + first + width <= from.len(), "a strip lies inside its matrix");
    assert!((width - 1) * padded + tokens <= to.len(), "a strip fits where it is written");
    let (mut tokens_done, mut width_done) = (0, 0);
    #[cfg(target_arch = "x86_64")]
    if super::simd::has_avx512() {
        (tokens_done, width_done) = (tokens / 16 * 16, width / 16 * 16);
        for t in (0..tokens_done).step_by(16) {
            for c in (0..width_done).step_by(16) {
                // SAFETY: the processor has AVX-512, and the 16×16 square lies inside both slices by the checks above.
                unsafe {
                    let from = from.as_ptr().add(t * stride + first + c);
                    square(from, stride, to.as_mut_ptr().add(c * padded + t), padded);
                }
            }
        }
    }
    for t in 0..tokens {
        let start = if t < tokens_done { width_done } else { 0 };
        let line = &from[t * stride + first..][start..width];
        for (c, value) in (start..).zip(line) {
            to[c * padded + t] = *value;
        }
    }
}

/// One 16×16 square: quarters of four rows are gathered into the lanes of a register, so that only the turn inside the
/// lanes is left.
///
/// # Safety
///
/// The processor has AVX-512 F; sixteen rows of sixteen values lie at `from`, `stride` apart, and at `to`, `padded` apart.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn square(from: *const f32, stride: usize, to: *mut f32, padded: usize) {
    use std::arch::x86_64::{
        __m512, _mm_loadu_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps128_ps512, _mm512_insertf32x4,
        _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };
    for c in (0..16).step_by(4) {
        let rows: [__m512; 4] = std::array::from_fn(|m| {
            // Lane L holds four values of row 4L + m.
            // SAFETY: the square has four values at column c of every row.
            let quarter = |row: usize| unsafe { _mm_loadu_ps(from.add(row * stride + c)) };
            let row = _mm512_castps128_ps512(quarter(m));
            let row = _mm512_insertf32x4::<1>(row, quarter(m + 4));
            let row = _mm512_insertf32x4::<2>(row, quarter(m + 8));
            _mm512_insertf32x4::<3>(row, quarter(m + 12))
        });
        let low = [_mm512_unpacklo_ps(rows[0], rows[1]), _mm512_unpacklo_ps(rows[2], rows[3])]
            .map(|x| _mm512_castps_pd(x));
        let high = [_mm512_unpackhi_ps(rows[0], rows[1]), _mm512_unpackhi_ps(rows[2], rows[3])]
            .map(|x| _mm512_castps_pd(x));
        let lines = [
            _mm512_unpacklo_pd(low[0], low[1]),
            _mm512_unpackhi_pd(low[0], low[1]),
            _mm512_unpacklo_pd(high[0], high[1]),
            _mm512_unpackhi_pd(high[0], high[1]),
        ];
        for (i, line) in lines.into_iter().enumerate() {
            // SAFETY: sixteen values lie at line c + i of the target.
            unsafe { _mm512_storeu_ps(to.add((c + i) * padded), _mm512_castpd_ps(line)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lands_in_its_place() {
        for (tokens, stride, first, width) in
            [(1, 1, 0, 1), (16, 16, 0, 16), (35, 50, 3, 40), (17, 33, 16, 17), (70, 20, 1, 9)]
        {
            let from: Vec<f32> = (0..tokens * stride).map(|i| i as f32).collect();
            let padded = tokens + 3;
            let mut to = vec![-1.0; width * padded];
            turn(&from, Strip { stride, first, width, tokens }, &mut to, padded);
            for c in 0..width {
                for t in 0..padded {
                    let expected = if t < tokens { from[t * stride + first + c] } else { -1.0 };
                    assert_eq!(to[c * padded + t], expected, "column {c}, token {t}");
                }
            }
        }
    }
}
