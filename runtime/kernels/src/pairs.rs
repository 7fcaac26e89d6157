//! Pairs of bf16 values in 32-bit words, as the processor's products of bf16 take them.
//!
//! Two ways to pair: neighbours of one line, or the values at one place of two lines. Values are rounded to the nearest
//! bf16 (ties to even, subnormal ones to zero). Everything here needs AVX-512 (F, BW, VL, BF16).

use std::arch::x86_64::{
    __m256bh, __m256i, __m512bh, __m512i, __mmask16, _mm256_maskz_loadu_epi16, _mm256_setzero_si256,
    _mm512_castsi256_si512, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_inserti64x4, _mm512_loadu_epi16,
    _mm512_mask_storeu_epi32, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16,
};

use super::slice::Weight;

/// A pair of bf16 values: plain bits, held as f32 because transposing moves f32.
pub(crate) type Word = f32;

/// Whether this processor can.
pub(crate) fn available() -> bool {
    super::simd::has_avx512() && is_x86_feature_detected!("avx512bf16")
}

/// The same bits as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn as_pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 512 plain bits.
    unsafe { std::mem::transmute(words) }
}

/// The words of a line of whole pairs as they lie in memory, if they lie where a word may.
pub(crate) fn whole_pairs(line: &[half::bf16]) -> Option<&[Word]> {
    // SAFETY: any 32 bits are a word.
    let (before, words, after) = unsafe { line.align_to::<Word>() };
    (before.is_empty() && after.is_empty()).then_some(words)
}

/// Neighbours of a line together: word `p` is values `2p` and `2p + 1`, the last alone with a zero if it has no
/// neighbour.
pub(crate) fn couple(line: Weight<'_>, words: &mut [Word]) {
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
pub(crate) fn interleave(low: Option<Weight<'_>>, high: Option<Weight<'_>>, words: &mut [Word]) {
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
    // From [low values, high values] to [low 0, high 0, low 1, high 1, …].
    const ORDER: [i16; 32] = {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 16 {
            (order[2 * i], order[2 * i + 1]) = (i as i16, 16 + i as i16);
            i += 1;
        }
        order
    };
    // SAFETY: the array is 512 bits long.
    let order = unsafe { _mm512_loadu_epi16(ORDER.as_ptr()) };
    for at in (0..words.len()).step_by(16) {
        let mask = ((1u32 << (words.len() - at).min(16)) - 1) as __mmask16;
        // SAFETY: masked lanes are not touched, and the others lie inside the lines and the words.
        unsafe {
            let both = match (low, high) {
                (Some(Weight::F32(low)), Some(Weight::F32(high))) => {
                    let low = _mm512_maskz_loadu_ps(mask, low.as_ptr().add(at));
                    let high = _mm512_maskz_loadu_ps(mask, high.as_ptr().add(at));
                    std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
                }
                _ => {
                    let low = _mm512_castsi256_si512(halves(low, at, mask));
                    _mm512_inserti64x4::<1>(low, halves(high, at, mask))
                }
            };
            let words = words.as_mut_ptr().add(at).cast();
            _mm512_mask_storeu_epi32(words, mask, _mm512_permutexvar_epi16(order, both));
        }
    }
}

/// Sixteen values of a line from `at`, as bf16.
///
/// # Safety
///
/// As for [`interleave_any`]; values chosen by `mask` lie at `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn halves(line: Option<Weight<'_>>, at: usize, mask: __mmask16) -> __m256i {
    // SAFETY: passed on to the caller.
    unsafe {
        match line {
            None => _mm256_setzero_si256(),
            Some(Weight::F32(line)) => {
                let values = _mm512_maskz_loadu_ps(mask, line.as_ptr().add(at));
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values))
            }
            Some(Weight::BF16(line)) => _mm256_maskz_loadu_epi16(mask, line.as_ptr().add(at).cast()),
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn halves(word: Word) -> [f32; 2] {
        let bits = word.to_bits();
        [bits as u16, (bits >> 16) as u16].map(|half| bf16::from_bits(half).to_f32())
    }

    #[test]
    fn whole_pairs_are_lines_where_words_may_lie() {
        let line: Vec<bf16> = (0..9).map(|i| bf16::from_f32(i as f32)).collect();
        let start = usize::from(!line.as_ptr().cast::<Word>().is_aligned());
        let words = whole_pairs(&line[start..start + 6]).expect("an even number of values at an even place");
        assert_eq!(
            words.iter().map(|w| halves(*w)).collect::<Vec<_>>().concat(),
            [0., 1., 2., 3., 4., 5.].map(|v| v + start as f32)
        );
        assert!(
            whole_pairs(&line[start + 1..start + 7]).is_none()
                && whole_pairs(&line[start..start + 5]).is_none()
        );
    }

    #[test]
    #[cfg_attr(not(cpu_avx512bf16), ignore = "this processor has no AVX-512 BF16")]
    fn both_pairings_agree_with_the_plain_rounding() {
        assert!(available(), "the tests were built on another processor: build them again");
        for len in [1, 2, 15, 16, 17, 31, 32, 33, 64, 95] {
            let number = |i: usize| (i as f32 * 0.37 - 3.0) * 1.001f32.powi(i as i32);
            let (a, b): (Vec<f32>, Vec<f32>) = (0..len).map(|i| (number(i), number(i + 100))).unzip();
            let round = |v: f32| bf16::from_f32(v).to_f32();
            let half: Vec<bf16> = a.iter().map(|&v| bf16::from_f32(v)).collect();
            for line in [Weight::F32(&a), Weight::BF16(&half)] {
                let mut words = vec![f32::MAX; len.div_ceil(2) + 1];
                couple(line, &mut words[..len.div_ceil(2)]);
                for (i, v) in a.iter().enumerate() {
                    assert_eq!(halves(words[i / 2])[i % 2], round(*v));
                }
                assert_eq!(words[len.div_ceil(2)], f32::MAX, "nothing is written beyond the words");
                let mut words = vec![f32::MAX; len];
                interleave(Some(line), Some(Weight::F32(&b)), &mut words);
                for (word, (a, b)) in words.iter().zip(a.iter().zip(&b)) {
                    assert_eq!(halves(*word), [round(*a), round(*b)]);
                }
                interleave(Some(line), None, &mut words);
                for (word, a) in words.iter().zip(&a) {
                    assert_eq!(halves(*word), [round(*a), 0.0]);
                }
            }
        }
    }
}
