//! Root-mean-square norm, over whole rows or over each head's part of a row.

use candle_core::Tensor;

use super::simd::{dot, multiversion};
use super::slice::{read, tensor, uninit};
use super::{Exec, check, par, reference};
use crate::{Error, Result};

/// The constants of a norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
    /// Multiply by `1 + weight` (Gemma) instead of `weight`.
    pub offset: bool,
}

/// `x [T, F]`, `w [D]` (f32) where `D` divides `F`: every run of `D` values of a row is normalised on its own.
/// Returns `y [T, F]` and what the backward needs: the inverse root-mean-squares `[T, F / D]`.
pub fn forward(exec: &Exec, norm: RmsNorm, x: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    let (tokens, runs) = groups(x, w)?;
    if !exec.fast(x) {
        return compose(norm, x, w);
    }
    let (width, scale) = (w.elem_count(), scale(norm, w)?);
    let x = read(x)?;
    let x = x.lock();
    let x = x.f32()?;
    // SAFETY: every row of both is written below.
    let (mut y, mut inv) = unsafe { (uninit(x.len()), uninit(tokens * runs)) };
    par::rows2(exec, (&mut y, width), (&mut inv, 1), |first, y, inv| {
        let part = &x[first * width..first * width + y.len()];
        for ((x, y), inv) in part.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inv) {
            *inv = normalise(x, &scale, norm.eps, y);
        }
    });
    Ok((tensor(y, &[tokens, runs * width])?, tensor(inv, &[tokens, runs])?))
}

/// The gradients of the input `[T, F]` and, if wanted, of the weight `[D]`; `inv` is what the forward returned.
pub fn backward(
    exec: &Exec,
    norm: RmsNorm,
    x: &Tensor,
    w: &Tensor,
    inv: &Tensor,
    dy: &Tensor,
    want_weight: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (tokens, groups) = groups(x, w)?;
    check::shape("rms norm", "the output's gradient", dy, x.dims())?;
    check::shape("rms norm", "the saved inverse", inv, &[tokens, groups])?;
    if !exec.fast(x) {
        let [dx, dw] = reference::gradients([x, w], dy, |[x, w]| Ok(compose(norm, x, w)?.0))?;
        return Ok((dx, want_weight.then_some(dw)));
    }
    let (width, scale, dims) = (w.elem_count(), scale(norm, w)?, x.dims());
    let (x, dy, inv) = (read(x)?, read(dy)?, read(inv)?);
    let (x, dy, inv) = (x.lock(), dy.lock(), inv.lock());
    let (x, dy, inv) = (x.f32()?, dy.f32()?, inv.f32()?);
    // SAFETY: every row is written below.
    let mut dx = unsafe { uninit(x.len()) };
    par::rows(exec, &mut dx, width, |first, rows| {
        for (r, row) in (first..).zip(rows.chunks_exact_mut(width)) {
            let range = r * width..(r + 1) * width;
            pull(&x[range.clone()], &dy[range], &scale, inv[r], row);
        }
    });
    let dw = want_weight.then(|| {
        par::column_sums(exec, tokens * groups, width, |r, sums| {
            let range = r * width..(r + 1) * width;
            weigh(&x[range.clone()], &dy[range], inv[r], sums);
        })
    });
    Ok((tensor(dx, dims)?, dw.map(|dw| tensor(dw, &[width])).transpose()?))
}

/// What normalised values are multiplied by.
fn scale(norm: RmsNorm, w: &Tensor) -> Result<Vec<f32>> {
    let w = read(w)?;
    let w = w.lock();
    let offset = if norm.offset { 1.0 } else { 0.0 };
    Ok(w.f32()?.iter().map(|w| w + offset).collect())
}

multiversion! {
    /// One run: `y = x · inv · scale`; returns `inv`.
    fn normalise<I>(x: &[f32], scale: &[f32], eps: f32, y: &mut [f32]) -> f32 {
        let inv = 1.0 / (dot::<I>(x, x) / x.len() as f32 + eps).sqrt();
        for ((y, x), scale) in y.iter_mut().zip(x).zip(scale) {
            *y = x * inv * scale;
        }
        inv
    }
}

multiversion! {
    /// One run of the gradient: `dx = inv · (g - x · inv² · mean(g · x))` with `g = dy · scale`.
    fn pull<I>(x: &[f32], dy: &[f32], scale: &[f32], inv: f32, dx: &mut [f32]) {
        for ((dx, dy), scale) in dx.iter_mut().zip(dy).zip(scale) {
            *dx = dy * scale;
        }
        let share = dot::<I>(dx, x) / x.len() as f32 * inv * inv;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = inv * I::madd(-share, *x, *dx);
        }
    }
}

multiversion! {
    /// Adds one run's part of the weight's gradient.
    fn weigh<I>(x: &[f32], dy: &[f32], inv: f32, sums: &mut [f32]) {
        for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
            *sum = I::madd(dy * inv, *x, *sum);
        }
    }
}

/// Tokens, and runs per row.
fn groups(x: &Tensor, w: &Tensor) -> Result<(usize, usize)> {
    let (tokens, features) = check::activation("rms norm", "the input", x)?;
    let width = w.elem_count();
    check::shape("rms norm", "the weight", w, &[width])?;
    if width == 0 || features % width != 0 {
        return Err(Error::argument(format!(
            "rms norm: a weight of {width} values does not divide rows of {features}"
        )));
    }
    Ok((tokens, features / width))
}

fn compose(norm: RmsNorm, x: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    let (tokens, features) = x.dims2()?;
    let width = w.elem_count();
    let runs = x.reshape((tokens, features / width, width))?;
    let inv = (runs.sqr()?.mean_keepdim(2)? + f64::from(norm.eps))?.sqrt()?.recip()?;
    let scale = if norm.offset { (w + 1.0)? } else { w.clone() };
    let y = runs.broadcast_mul(&inv)?.broadcast_mul(&scale)?;
    Ok((y.reshape((tokens, features))?, inv.squeeze(2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{alone, check_gradient, close, fast, plain, random, same_bits};

    #[test]
    fn both_paths_and_finite_differences_agree() -> Result<()> {
        for (tokens, features, width, offset) in
            [(1, 7, 7, false), (150, 70, 70, true), (33, 96, 24, false), (200, 576, 576, false)]
        {
            let norm = RmsNorm { eps: 1e-5, offset };
            let (x, dy) = (random(1, &[tokens, features]), random(2, &[tokens, features]));
            let w = random(3, &[width]);
            let (f, p) = (fast(), plain());
            let ((y, inv), (expected, expected_inv)) =
                (forward(&f, norm, &x, &w)?, forward(&p, norm, &x, &w)?);
            close("value", &y, &expected, 2e-6);
            close("inverse", &inv, &expected_inv, 2e-6);
            let (dx, dw) = backward(&f, norm, &x, &w, &inv, &dy, true)?;
            let (px, pw) = backward(&p, norm, &x, &w, &inv, &dy, true)?;
            let (dw, pw) = (dw.expect("asked for"), pw.expect("asked for"));
            close("input", &dx, &px, 1e-5);
            close("weight", &dw, &pw, 1e-5);
            check_gradient("input", &x, &dy, &dx, |x| Ok(forward(&f, norm, x, &w)?.0));
            check_gradient("weight", &w, &dy, &dw, |w| Ok(forward(&f, norm, &x, w)?.0));
            let (one, one_w) = backward(&alone(), norm, &x, &w, &inv, &dy, true)?;
            same_bits("input", &dx, &one);
            same_bits("weight", &dw, &one_w.expect("asked for"));
            assert!(backward(&f, norm, &x, &w, &inv, &dy, false)?.1.is_none());
        }
        Ok(())
    }

    #[test]
    fn a_weight_that_does_not_divide_the_rows_is_refused() {
        let norm = RmsNorm { eps: 1e-5, offset: false };
        assert!(forward(&fast(), norm, &random(1, &[2, 9]), &random(1, &[4])).is_err());
    }
}
