//! Rotary position embedding in Hugging Face's half-split layout, whole heads or their first part.

use candle_core::Tensor;

use super::{Exec, check};
use crate::{Error, Result};

/// Cosines and sines for every token of a batch. Made once per batch (and per kind of layer).
#[derive(Debug, Clone)]
pub struct Rotation {
    cos: Tensor,
    sin: Tensor,
    tokens: usize,
    half: usize,
}

impl Rotation {
    /// For tokens at `positions`, with one inverse frequency per rotated pair (so `2 · inv_freq.len()` leading
    /// dimensions of each head are rotated) and a factor on cosines and sines (1 unless the scaling says otherwise).
    pub fn at(exec: &Exec, inv_freq: &[f32], positions: &[u32], factor: f32) -> Result<Self> {
        let (tokens, half) = (positions.len(), inv_freq.len());
        let angles = positions.iter().flat_map(|&p| inv_freq.iter().map(move |f| p as f32 * f));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|a| (a.cos() * factor, a.sin() * factor)).unzip();
        let cos = Tensor::from_vec(cos, (tokens, half), exec.device())?;
        let sin = Tensor::from_vec(sin, (tokens, half), exec.device())?;
        Ok(Self { cos, sin, tokens, half })
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

/// Rotates `x [T, heads · head_dim]` → the same shape.
pub fn forward(exec: &Exec, x: &Tensor, head_dim: usize, rotation: &Rotation) -> Result<Tensor> {
    rotate(exec, x, head_dim, rotation, 1.0)
}

/// The gradient of the input: the opposite rotation of `dy`.
pub fn backward(exec: &Exec, dy: &Tensor, head_dim: usize, rotation: &Rotation) -> Result<Tensor> {
    rotate(exec, dy, head_dim, rotation, -1.0)
}

fn rotate(exec: &Exec, x: &Tensor, head_dim: usize, rotation: &Rotation, sign: f32) -> Result<Tensor> {
    let (tokens, features) = check::activation("rope", "the input", x)?;
    check::same("rope", "the tokens of the input and of the rotation", tokens, rotation.tokens)?;
    let rotated = 2 * rotation.half;
    if head_dim == 0 || features % head_dim != 0 || rotated > head_dim {
        return Err(Error::argument(format!(
            "rope: rows of {features} values, heads of {head_dim} and {rotated} rotated dimensions do not fit"
        )));
    }
    let _ = exec;
    let half = rotation.half;
    let heads = x.reshape((tokens, features / head_dim, head_dim))?;
    let (a, b) = (heads.narrow(2, 0, half)?, heads.narrow(2, half, half)?);
    let cos = rotation.cos.reshape((tokens, 1, half))?;
    let sin = (rotation.sin.reshape((tokens, 1, half))? * f64::from(sign))?;
    let left = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let right = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    let mut parts = vec![left, right];
    if rotated < head_dim {
        parts.push(heads.narrow(2, rotated, head_dim - rotated)?);
    }
    Ok(Tensor::cat(&parts, 2)?.reshape((tokens, features))?)
}
