//! Sums of activations: residual connections forward, branches joining backward.

use candle_core::Tensor;

use super::simd::multiversion;
use super::slice::{read, tensor, uninit};
use super::{Exec, check, par};
use crate::Result;

/// `a + b`, f32 of one shape.
pub fn add(exec: &Exec, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    add_scaled(exec, a, b, 1.0)
}

/// `a + scale · b`, f32 of one shape (Granite scales its residual branches).
pub fn add_scaled(exec: &Exec, a: &Tensor, b: &Tensor, scale: f32) -> Result<Tensor> {
    check::shape("add", "the first term", a, a.dims())?;
    check::shape("add", "the second term", b, a.dims())?;
    if !exec.fast(a) {
        return if scale == 1.0 { Ok((a + b)?) } else { Ok((a + (b * f64::from(scale))?)?) };
    }
    let dims = a.dims();
    let (a, b) = (read(a)?, read(b)?);
    let (a, b) = (a.lock(), b.lock());
    let (a, b) = (a.f32()?, b.f32()?);
    // SAFETY: every value is written below.
    let mut out = unsafe { uninit(a.len()) };
    par::rows(exec, &mut out, 1, |first, out| {
        let range = first..first + out.len();
        sum(&a[range.clone()], &b[range], scale, out);
    });
    tensor(out, dims)
}

/// `scale · a`.
pub fn scale(exec: &Exec, a: &Tensor, scale: f32) -> Result<Tensor> {
    check::shape("scale", "the input", a, a.dims())?;
    if scale == 1.0 {
        return Ok(a.clone());
    }
    if !exec.fast(a) {
        return Ok((a * f64::from(scale))?);
    }
    let dims = a.dims();
    let a = read(a)?;
    let a = a.lock();
    let a = a.f32()?;
    // SAFETY: every value is written below.
    let mut out = unsafe { uninit(a.len()) };
    par::rows(exec, &mut out, 1, |first, out| {
        out.iter_mut().zip(&a[first..]).for_each(|(out, a)| *out = a * scale);
    });
    tensor(out, dims)
}

multiversion! {
    fn sum<I>(a: &[f32], b: &[f32], scale: f32, out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = I::madd(*b, scale, *a);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, fast, plain, random};

    #[test]
    fn both_paths_agree() -> Result<()> {
        for shape in [[3, 7], [130, 257]] {
            let (a, b) = (random(1, &shape), random(2, &shape));
            close("add", &add(&fast(), &a, &b)?, &add(&plain(), &a, &b)?, 1e-7);
            let (x, y) = (add_scaled(&fast(), &a, &b, 0.3)?, add_scaled(&plain(), &a, &b, 0.3)?);
            close("add scaled", &x, &y, 1e-6);
            close("scale", &scale(&fast(), &a, -2.5)?, &scale(&plain(), &a, -2.5)?, 1e-7);
        }
        Ok(())
    }
}
