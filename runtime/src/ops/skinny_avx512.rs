//! Products of one row of a weight with a few tokens, with AVX-512.

use std::arch::x86_64::{
    __m256i, __m512, __mmask16, _mm256_maskz_loadu_epi16, _mm512_add_ps, _mm512_castsi512_ps,
    _mm512_cvtepu16_epi32, _mm512_fmadd_ps, _mm512_maskz_loadu_ps, _mm512_reduce_add_ps, _mm512_setzero_ps,
    _mm512_slli_epi32,
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
    for (out, sums) in out.iter_mut().zip(sums) {
        let half = P / 2;
        let low = sums[..half].iter().copied().reduce(|a, b| _mm512_add_ps(a, b));
        let high = sums[half..].iter().copied().reduce(|a, b| _mm512_add_ps(a, b));
        let zero = _mm512_setzero_ps();
        *out = _mm512_reduce_add_ps(_mm512_add_ps(low.unwrap_or(zero), high.unwrap_or(zero)));
    }
}
