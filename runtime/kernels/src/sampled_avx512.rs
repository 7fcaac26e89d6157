//! The inner loop of the sampled product with AVX-512: a row chunk of `dy` in registers, four entries at a time.

use std::arch::x86_64::{
    __m512, _mm_add_ps, _mm_loadu_ps, _mm_storeu_ps, _mm256_add_ps, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm256_hadd_ps, _mm512_castps_si512, _mm512_castps512_ps256, _mm512_dpbf16_ps,
    _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_reduce_add_ps, _mm512_setzero_ps,
};

use super::pairs::as_pairs;

/// Words of a register.
const LANES: usize = 16;

/// Adds to `values` the products of `line` (at most 256 words, a multiple of 16) with columns of `panel`, which lie
/// `line.len()` values apart. The processor must have AVX-512 (F, DQ).
/// Words are values, or pairs of bf16 where the processor has AVX-512 BF16 too.
pub(super) fn dots(pairs: bool, line: &[f32], panel: &[f32], cols: &[u32], values: &mut [f32]) {
    assert!(
        line.len().is_multiple_of(LANES) && cols.len() == values.len(),
        "a line of whole registers, a value per column"
    );
    let columns = if line.is_empty() { 0 } else { panel.len() / line.len() };
    assert!(cols.iter().all(|&col| (col as usize) < columns), "every column lies in the panel");
    macro_rules! by_length {
        ($($n:literal)*) => {
            match line.len() / LANES {
                // SAFETY: the length was matched, the columns were checked above, and the caller has AVX-512.
                $($n if pairs => unsafe { of_pairs::<$n>(line, panel, cols, values) },)*
                // SAFETY: as above.
                $($n => unsafe { of_values::<$n>(line, panel, cols, values) },)*
                _ => unreachable!("a panel has at most 256 tokens"),
            }
        };
    }
    if !line.is_empty() {
        by_length!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    }
}

/// The loop over columns, for one way to multiply a register of words and add.
macro_rules! kernel {
    ($name:ident, $features:literal, $add:expr) => {
        /// # Safety
        ///
        /// The processor has these features; `line` has `N · 16` words; `panel` has as many at `col · N · 16` for every
        /// column.
        #[target_feature(enable = $features)]
        #[allow(clippy::needless_range_loop)] // counted loops over registers unroll
        unsafe fn $name<const N: usize>(line: &[f32], panel: &[f32], cols: &[u32], values: &mut [f32]) {
            let add = $add;
            let held: [__m512; N] = std::array::from_fn(|i| {
                // SAFETY: `line` has N registers of words.
                unsafe { _mm512_loadu_ps(line.as_ptr().add(i * LANES)) }
            });
            let column = |col: u32| {
                // SAFETY: the column lies inside the panel.
                unsafe { panel.as_ptr().add(col as usize * N * LANES) }
            };
            let mut fours = cols.chunks_exact(4);
            let mut outs = values.chunks_exact_mut(4);
            for (four, out) in fours.by_ref().zip(outs.by_ref()) {
                let at = [column(four[0]), column(four[1]), column(four[2]), column(four[3])];
                let mut sums = [_mm512_setzero_ps(); 4];
                for i in 0..N {
                    for (sum, at) in sums.iter_mut().zip(at) {
                        // SAFETY: N registers of words lie at each column.
                        *sum = add(*sum, held[i], unsafe { _mm512_loadu_ps(at.add(i * LANES)) });
                    }
                }
                let halves =
                    sums.map(|s| _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps::<1>(s)));
                let pairs = _mm256_hadd_ps(
                    _mm256_hadd_ps(halves[0], halves[1]),
                    _mm256_hadd_ps(halves[2], halves[3]),
                );
                let total = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
                // SAFETY: `out` has four values.
                unsafe { _mm_storeu_ps(out.as_mut_ptr(), _mm_add_ps(_mm_loadu_ps(out.as_ptr()), total)) };
            }
            for (&col, out) in fours.remainder().iter().zip(outs.into_remainder()) {
                let at = column(col);
                let mut sum = _mm512_setzero_ps();
                for i in 0..N {
                    // SAFETY: N registers of words lie at the column.
                    sum = add(sum, held[i], unsafe { _mm512_loadu_ps(at.add(i * LANES)) });
                }
                *out += _mm512_reduce_add_ps(sum);
            }
        }
    };
}

kernel!(of_values, "avx512f,avx512dq,avx512vl,avx2,fma", |sum: __m512, a: __m512, b: __m512| {
    _mm512_fmadd_ps(a, b, sum)
});

kernel!(of_pairs, "avx512f,avx512dq,avx512vl,avx512bf16,avx2,fma", |sum: __m512, a: __m512, b: __m512| {
    _mm512_dpbf16_ps(sum, as_pairs(_mm512_castps_si512(a)), as_pairs(_mm512_castps_si512(b)))
});
