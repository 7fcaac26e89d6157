//! Inverted dropout: entries are set to zero by chance, and the others divided by the chance to stay.
//!
//! The mask is a function of a key and of the place of each entry. It is never stored: the backward, and a forward that
//! is computed again, draw the same one.

use candle_core::Tensor;

use super::slice::{read, tensor, uninit};
use super::{Exec, par};
use crate::Result;

/// A mask: the chance that an entry is dropped, in `[0, 1)`, and what it is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The chance that an entry is dropped.
    pub rate: f64,
    /// Another key draws another mask.
    pub key: u64,
}

impl Dropout {
    /// The same chance under a key of its own for `part`.
    #[must_use]
    pub fn part(self, part: u64) -> Self {
        Self { key: mixed(self.key ^ mixed(part)), ..self }
    }

    /// What the entry at `place` is multiplied with: 0, or 1 divided by the chance to stay.
    fn factor(self, place: u64) -> f32 {
        // The upper half of 64 mixed bits, as a number in [0, 1).
        let chance = (mixed(self.key.wrapping_add(place)) >> 32) as f64 / (1u64 << 32) as f64;
        if chance < self.rate { 0.0 } else { (1.0 / (1.0 - self.rate)) as f32 }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `x` under the mask, in its shape. It is its own backward: the gradient of `x` is the result's under the same mask.
pub fn apply(exec: &Exec, x: &Tensor, dropout: Dropout) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(1).max(1);
    if !exec.fast(x) {
        let mask: Vec<f32> = (0..x.elem_count() as u64).map(|place| dropout.factor(place)).collect();
        return Ok((x * Tensor::from_vec(mask, x.shape(), x.device())?)?);
    }
    let dims = x.dims();
    let x = read(x)?;
    let x = x.lock();
    let x = x.f32()?;
    // SAFETY: every value is written below.
    let mut out = unsafe { uninit(x.len()) };
    par::rows(exec, &mut out, width, |first, out| {
        let start = first * width;
        for ((at, out), x) in out.iter_mut().enumerate().zip(&x[start..]) {
            *out = x * dropout.factor((start + at) as u64);
        }
    });
    tensor(out, dims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{alone, fast, plain, random, same_bits};

    #[test]
    fn the_mask_is_the_same_on_every_path_and_another_under_another_key() -> Result<()> {
        let x = random(1, &[130, 257]);
        let dropout = Dropout { rate: 0.3, key: 5 };
        let y = apply(&fast(), &x, dropout)?;
        same_bits("threads", &y, &apply(&alone(), &x, dropout)?);
        same_bits("reference", &y, &apply(&plain(), &x, dropout)?);
        let dropped = |y: &Tensor| -> Result<Vec<bool>> {
            Ok(y.flatten_all()?.to_vec1::<f32>()?.iter().map(|v| *v == 0.0).collect())
        };
        let zeros = dropped(&y)?;
        let share = zeros.iter().filter(|z| **z).count() as f64 / zeros.len() as f64;
        // Four standard deviations of the mean of 33,410 draws.
        assert!((share - 0.3).abs() < 0.0101, "{share} of the entries are dropped");
        assert_ne!(zeros, dropped(&apply(&fast(), &x, dropout.part(1))?)?);
        let kept = (&y * 0.7)?.sub(&x)?.abs()?.flatten_all()?.to_vec1::<f32>()?;
        assert!(kept.iter().zip(&zeros).all(|(off, zero)| *zero || *off < 1e-6));
        Ok(())
    }
}
