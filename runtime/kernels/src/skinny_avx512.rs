//! Products of one row of a weight with a few tokens, with AVX-512.

use std::arch::x86_64::{
    __m256i, __m512, __mmask16, _mm256_maskz_loadu_epi16, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_fmadd_ps, _mm512_maskz_loadu_ps, _mm512_permute_ps,
    _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_storeu_ps,
    _mm512_unpackhi_pd, _mm512_unpacklo_pd,
};

use half::bf16;

/// Values of a register.
const LANES: usize = 16;

/// What a weight is stored as.
pub(super) trait Stored: Copy {
    /// Sixteen values as f32, zero where `mask` is.
    ///
    /// # Safety
    ///
    /// The processor has AVX-512 F, BW and VL; values chosen by `mask` lie at `from`.
    unsafe fn load(mask: __mmask16, from: *const Self) -> __m512;
}

impl Stored for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load(mask: __mmask16, from: *const Self) -> __m512 {
        // SAFETY: passed on to the caller.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }
}

impl Stored for bf16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load(mask: __mmask16, from: *const Self) -> __m512 {
        // SAFETY: passed on to the caller; a bf16 is the upper half of an f32.
        let bits: __m256i = unsafe { _mm256_maskz_loadu_epi16(mask, from.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
    }
}

/// `out[t] = Σ w · x[t]`, with rows of `w.len()` values in `x`. The processor must have AVX-512 (F, BW, VL).
pub(super) fn dots<T: Stored>(w: &[T], x: &[f32], out: &mut [f32]) {
    assert!(x.len() >= w.len() * out.len(), "a row of x for every value of the result");
    for (i, out) in out.chunks_mut(8).enumerate() {
        let x = x[i * 8 * w.len()..].as_ptr();
        // Few tokens leave registers for several sums of each; many share the work of reading the weight.
        // SAFETY: the caller has AVX-512, and `x` has as many rows as `out` has values.
        unsafe {
            match out.len() {
                1 => kernel::<T, 1, 4>(w, x, out),
                2 => kernel::<T, 2, 4>(w, x, out),
                3 => kernel::<T, 3, 4>(w, x, out),
                4 => kernel::<T, 4, 4>(w, x, out),
                5 => kernel::<T, 5, 2>(w, x, out),
                6 => kernel::<T, 6, 2>(w, x, out),
                7 => kernel::<T, 7, 2>(w, x, out),
                _ => kernel::<T, 8, 2>(w, x, out),
            }
        }
    }
}

/// # Safety
///
/// The processor has AVX-512 F, BW and VL; `x` has `N` rows of `w.len()` values.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn kernel<T: Stored, const N: usize, const P: usize>(w: &[T], x: *const f32, out: &mut [f32]) {
    const FULL: __mmask16 = __mmask16::MAX;
    let mut sums = [[_mm512_setzero_ps(); P]; N];
    let mut at = 0;
    while at + P * LANES <= w.len() {
        // SAFETY: `P` registers of values lie at `at` in `w` and in every row of `x`.
        unsafe {
            for part in 0..P {
                let here = at + part * LANES;
                let weight = T::load(FULL, w.as_ptr().add(here));
                for (t, sums) in sums.iter_mut().enumerate() {
                    let value = _mm512_maskz_loadu_ps(FULL, x.add(t * w.len() + here));
                    sums[part] = _mm512_fmadd_ps(weight, value, sums[part]);
                }
            }
        }
        at += P * LANES;
    }
    while at < w.len() {
        let left = (w.len() - at).min(LANES);
        let mask = ((1u32 << left) - 1) as __mmask16;
        // SAFETY: `left` values lie at `at` in `w` and in every row of `x`.
        unsafe {
            let weight = T::load(mask, w.as_ptr().add(at));
            for (t, sums) in sums.iter_mut().enumerate() {
                let value = _mm512_maskz_loadu_ps(mask, x.add(t * w.len() + at));
                sums[0] = _mm512_fmadd_ps(weight, value, sums[0]);
            }
        }
        at += LANES;
    }
    // Plain loops: a closure handed to a function of arrays would be compiled for the baseline, and called.
    let mut totals = [_mm512_setzero_ps(); N];
    for (total, sums) in totals.iter_mut().zip(&sums) {
        let (mut low, mut high) = (sums[0], sums[P / 2]);
        for part in 1..P / 2 {
            low = _mm512_add_ps(low, sums[part]);
            high = _mm512_add_ps(high, sums[P / 2 + part]);
        }
        *total = _mm512_add_ps(low, high);
    }
    if N == 8 {
        let mut eight = [_mm512_setzero_ps(); 8];
        eight.copy_from_slice(&totals);
        out.copy_from_slice(&eight_sums(&eight));
    } else {
        for (out, total) in out.iter_mut().zip(totals) {
            *out = _mm512_reduce_add_ps(total);
        }
    }
}

/// The sums over the lanes of eight registers, in the order of `_mm512_reduce_add_ps` and so with its bits: halves are
/// added, then quarters, with two registers in one as soon as there is room.
#[inline]
#[target_feature(enable = "avx512f")]
fn eight_sums(x: &[__m512; 8]) -> [f32; 8] {
    // Which quarters of two registers come together: the lower halves and the upper ones; then, of two registers of two
    // halves each, the lower quarters of the halves and the upper ones.
    const LOWER: i32 = 0b01_00_01_00;
    const UPPER: i32 = 0b11_10_11_10;
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let mut halves = [x[0]; 4];
    for (i, half) in halves.iter_mut().enumerate() {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        *half = _mm512_add_ps(_mm512_shuffle_f32x4::<LOWER>(a, b), _mm512_shuffle_f32x4::<UPPER>(a, b));
    }
    let mut quarters = [x[0]; 2];
    for (i, quarter) in quarters.iter_mut().enumerate() {
        let (a, b) = (halves[2 * i], halves[2 * i + 1]);
        *quarter = _mm512_add_ps(_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<ODD>(a, b));
    }
    let [first, second] = quarters;
    let (a, b) = (_mm512_castps_pd(first), _mm512_castps_pd(second));
    let pairs =
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    let sums = _mm512_add_ps(pairs, _mm512_permute_ps::<0b10_11_00_01>(pairs));
    let mut lanes = [0.0; 16];
    // SAFETY: sixteen values lie there.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sums) };
    // Quarter `q` holds register `q` and then register `4 + q`.
    let mut out = [0.0; 8];
    for (i, out) in out.iter_mut().enumerate() {
        *out = lanes[i % 4 * 4 + i / 4 * 2];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, values};

    #[test]
    #[cfg_attr(not(cpu_avx512), ignore = "this processor has no AVX-512")]
    fn eight_sums_have_the_bits_of_single_ones() {
        assert!(crate::simd::has_avx512(), "the tests were built on another processor: build them again");
        for seed in 0..20 {
            let numbers = values(&random(seed, &[8, LANES]));
            // SAFETY: the processor was just asked; sixteen values lie at every place.
            unsafe {
                let x = std::array::from_fn(|i| {
                    _mm512_maskz_loadu_ps(__mmask16::MAX, numbers[i * LANES..].as_ptr())
                });
                let single = x.map(|x| _mm512_reduce_add_ps(x).to_bits());
                assert_eq!(eight_sums(&x).map(f32::to_bits), single);
            }
        }
    }
}
