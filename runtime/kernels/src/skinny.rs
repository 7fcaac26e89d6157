//! `x Wᵀ` for a handful of tokens, as in generation: the weight is read once, in the dtype it is stored in, and
//! memory is the limit.

use half::bf16;
use rayon::prelude::*;

use super::Exec;
use super::simd::{dot, fold, multiversion};
use super::slice::Weight;

/// Up to this many tokens it is faster than the dense product.
pub(super) const MAX_TOKENS: usize = 12;

/// Rows of the weight in one piece of work.
const ROWS: usize = 64;

/// `x [tokens, inner]`, `w [out, inner]` → `y [tokens, out]`.
pub(super) fn product(exec: &Exec, x: &[f32], tokens: usize, w: Weight<'_>, inner: usize, y: &mut [f32]) {
    if tokens == 0 || y.is_empty() {
        return;
    }
    let out = y.len() / tokens;
    // Columns of y, one piece of rows of w each, are written as a block and then spread over the tokens.
    let block = |at: usize| -> Vec<f32> {
        let rows = ROWS.min(out - at);
        let mut part = vec![0.0; rows * tokens];
        for (r, part) in part.chunks_exact_mut(tokens).enumerate() {
            let row = (at + r) * inner..(at + r + 1) * inner;
            match w {
                Weight::F32(w) => dots32(&w[row], x, part),
                Weight::BF16(w) => dots16(&w[row], x, part),
            }
        }
        part
    };
    let starts: Vec<usize> = (0..out).step_by(ROWS).collect();
    let parts: Vec<Vec<f32>> = if exec.threads() == 1 || out * inner < 1 << 15 {
        starts.iter().map(|&at| block(at)).collect()
    } else {
        exec.run(|| starts.par_iter().map(|&at| block(at)).collect())
    };
    for (at, part) in starts.iter().zip(parts) {
        for (r, values) in part.chunks_exact(tokens).enumerate() {
            for (t, value) in values.iter().enumerate() {
                y[t * out + at + r] = *value;
            }
        }
    }
}

/// Lanes of partial sums.
const LANES: usize = 32;

/// The products of one row of an f32 weight with every token.
fn dots32(w: &[f32], x: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::simd::has_avx512() {
        return super::skinny_avx512::dots(w, x, out);
    }
    plain32(w, x, out);
}

/// The products of one row of a bf16 weight with every token.
fn dots16(w: &[bf16], x: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::simd::has_avx512() {
        return super::skinny_avx512::dots(w, x, out);
    }
    plain16(w, x, out);
}

multiversion! {
    fn plain32<I>(w: &[f32], x: &[f32], out: &mut [f32]) {
        for (x, out) in x.chunks_exact(w.len().max(1)).zip(out) {
            *out = dot::<I>(w, x);
        }
    }
}

multiversion! {
    fn plain16<I>(w: &[bf16], x: &[f32], out: &mut [f32]) {
        for (x, out) in x.chunks_exact(w.len().max(1)).zip(out) {
            let mut sums = [0.0f32; LANES];
            let (wc, xc) = (w.chunks_exact(LANES), x.chunks_exact(LANES));
            let tail: f32 = wc.remainder().iter().zip(xc.remainder()).map(|(w, x)| w.to_f32() * x).sum();
            for (w, x) in wc.zip(xc) {
                for i in 0..LANES {
                    let w = f32::from_bits(u32::from(w[i].to_bits()) << 16);
                    sums[i] = I::madd(w, x[i], sums[i]);
                }
            }
            *out = fold(sums) + tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, values};

    #[test]
    fn every_loop_agrees_with_f64_sums() {
        for (inner, tokens) in [(1, 1), (31, 3), (64, 4), (70, 5), (577, 9), (0, 2)] {
            let (w, x) = (values(&random(1, &[inner])), values(&random(2, &[tokens, inner])));
            let half: Vec<bf16> = w.iter().map(|w| bf16::from_f32(*w)).collect();
            let wide: Vec<f32> = half.iter().map(|w| w.to_f32()).collect();
            for (w, run) in [
                (&w, &(|out: &mut [f32]| dots32(&w, &x, out)) as &dyn Fn(&mut [f32])),
                (&w, &|out: &mut [f32]| plain32(&w, &x, out)),
                (&wide, &|out: &mut [f32]| dots16(&half, &x, out)),
                (&wide, &|out: &mut [f32]| plain16(&half, &x, out)),
            ] {
                let mut out = vec![0.0; tokens];
                run(&mut out);
                for (t, value) in out.iter().enumerate() {
                    let exact: f64 = (0..inner).map(|i| f64::from(w[i]) * f64::from(x[t * inner + i])).sum();
                    assert!((f64::from(*value) - exact).abs() < 1e-4, "{inner} values, token {t}");
                }
            }
        }
    }
}
