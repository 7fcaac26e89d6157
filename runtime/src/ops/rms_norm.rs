//! Root-mean-square norm, over whole rows or over each head's part of a row.

use candle_core::Tensor;

use super::{Exec, check, reference};
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
    groups(x, w)?;
    let _ = exec;
    compose(norm, x, w)
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
    let _ = exec;
    let [dx, dw] = reference::gradients([x, w], dy, |[x, w]| Ok(compose(norm, x, w)?.0))?;
    Ok((dx, want_weight.then_some(dw)))
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
