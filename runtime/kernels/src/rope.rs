//! Rotary position embedding in Hugging Face's half-split layout, whole heads or their first part.

use candle_core::Tensor;

use super::simd::multiversion;
use super::slice::{read, tensor, uninit};
use super::{Exec, check, par};
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

    /// The rotations of batches laid end to end.
    pub fn cat(parts: &[Self]) -> Result<Self> {
        let cos: Vec<&Tensor> = parts.iter().map(|p| &p.cos).collect();
        let sin: Vec<&Tensor> = parts.iter().map(|p| &p.sin).collect();
        let (cos, sin) = (Tensor::cat(&cos, 0)?, Tensor::cat(&sin, 0)?);
        let (tokens, half) = cos.dims2()?;
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
    let half = rotation.half;
    if exec.fast(x) {
        let (x, cos, sin) = (read(x)?, read(&rotation.cos)?, read(&rotation.sin)?);
        let (x, cos, sin) = (x.lock(), cos.lock(), sin.lock());
        let (x, cos, sin) = (x.f32()?, cos.f32()?, sin.f32()?);
        // SAFETY: every row is written below.
        let mut out = unsafe { uninit(x.len()) };
        par::rows(exec, &mut out, features, |first, rows| {
            for (t, row) in (first..).zip(rows.chunks_exact_mut(features)) {
                let (cos, sin) = (&cos[t * half..(t + 1) * half], &sin[t * half..(t + 1) * half]);
                turn(&x[t * features..(t + 1) * features], cos, sin, sign, head_dim, row);
            }
        });
        return tensor(out, &[tokens, features]);
    }
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

multiversion! {
    /// One token: every head of `x` rotated into `out`.
    fn turn<I>(x: &[f32], cos: &[f32], sin: &[f32], sign: f32, head_dim: usize, out: &mut [f32]) {
        let half = cos.len();
        for (x, out) in x.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
            let (a, rest) = x.split_at(half);
            let (b, rest) = rest.split_at(half);
            let (left, out) = out.split_at_mut(half);
            let (right, out) = out.split_at_mut(half);
            for i in 0..half {
                let sin = sin[i] * sign;
                left[i] = I::madd(a[i], cos[i], -(b[i] * sin));
                right[i] = I::madd(b[i], cos[i], a[i] * sin);
            }
            out.copy_from_slice(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, close, fast, plain, random};

    #[test]
    fn both_paths_and_finite_differences_agree() -> Result<()> {
        let positions = [0, 1, 2, 0, 1, 700, 3];
        for (heads, head_dim, half) in [(3, 8, 4), (2, 10, 3), (1, 64, 32)] {
            let inv_freq: Vec<f32> = (0..half).map(|i| 10_000f32.powf(-(i as f32) / half as f32)).collect();
            let (f, p) = (fast(), plain());
            let rotation = Rotation::at(&f, &inv_freq, &positions, 1.1)?;
            let shape = [positions.len(), heads * head_dim];
            let (x, dy) = (random(1, &shape), random(2, &shape));
            let y = forward(&f, &x, head_dim, &rotation)?;
            close("value", &y, &forward(&p, &x, head_dim, &rotation)?, 1e-6);
            let dx = backward(&f, &dy, head_dim, &rotation)?;
            close("gradient", &dx, &backward(&p, &dy, head_dim, &rotation)?, 1e-6);
            check_gradient("input", &x, &dy, &dx, |x| forward(&f, x, head_dim, &rotation));
        }
        Ok(())
    }

    #[test]
    fn the_first_half_turns_against_the_second() -> Result<()> {
        let rotation = Rotation::at(&fast(), &[1.0], &[0, 1], 1.0)?;
        let x = Tensor::new(&[[1f32, 0.0], [1.0, 0.0]], &candle_core::Device::Cpu)?;
        let y = forward(&fast(), &x, 2, &rotation)?.to_vec2::<f32>()?;
        assert_eq!(y, [[1.0, 0.0], [1f32.cos(), 1f32.sin()]]);
        Ok(())
    }
}
