//! Sums of activations: residual connections forward, branches joining backward.

use candle_core::Tensor;

use super::{Exec, check};
use crate::Result;

/// `a + b`, f32 of one shape.
pub fn add(exec: &Exec, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    add_scaled(exec, a, b, 1.0)
}

/// `a + scale · b`, f32 of one shape (Granite scales its residual branches).
pub fn add_scaled(exec: &Exec, a: &Tensor, b: &Tensor, scale: f32) -> Result<Tensor> {
    check::shape("add", "the first term", a, a.dims())?;
    check::shape("add", "the second term", b, a.dims())?;
    let _ = exec;
    if scale == 1.0 { Ok((a + b)?) } else { Ok((a + (b * f64::from(scale))?)?) }
}

/// `scale · a`.
pub fn scale(exec: &Exec, a: &Tensor, scale: f32) -> Result<Tensor> {
    check::shape("scale", "the input", a, a.dims())?;
    let _ = exec;
    if scale == 1.0 { Ok(a.clone()) } else { Ok((a * f64::from(scale))?) }
}
