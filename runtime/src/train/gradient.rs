//! Gradients of one step: summed over micro-batches, measured and clipped.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::model::decoder::{Grad, GradSink};
use crate::ops::{Exec, slice};
use crate::{Error, Result};

/// Sums are taken over stretches of this length, so that they do not depend on the number of threads.
const STRETCH: usize = 1 << 14;

/// The sum of squares of a gradient.
pub(super) fn square_sum(exec: &Exec, grad: &Tensor) -> Result<f64> {
    if !exec.fast(grad) {
        return Ok(f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?));
    }
    let grad = slice::read(grad)?;
    let guard = grad.lock();
    let values = guard.f32()?;
    let stretch = |part: &[f32]| {
        // Eight sums side by side: the compiler may not reorder a single one into vectors.
        let mut sums = [0f64; 8];
        let chunks = part.chunks_exact(8);
        let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        sums.iter().sum::<f64>() + rest
    };
    let parts: Vec<f64> = exec.run(|| values.par_chunks(STRETCH).map(stretch).collect());
    Ok(parts.iter().sum())
}

/// `sum += grad`, in place where that can be done.
pub(super) fn add_to(exec: &Exec, sum: &mut Tensor, grad: &Tensor) -> Result<()> {
    if !exec.fast(grad) || sum.dtype() != DType::F32 {
        *sum = (&*sum + grad)?;
        return Ok(());
    }
    accumulate(exec, sum, grad, |sum, g| *sum += g)
}

/// Changes every entry of `sum` by the entry of `grad` at its place. Both lie on the CPU.
pub(super) fn accumulate(
    exec: &Exec,
    sum: &Tensor,
    grad: &Tensor,
    change: impl Fn(&mut f32, f32) + Sync + Send,
) -> Result<()> {
    if sum.dims() != grad.dims() {
        return Err(Error::mismatch(format!(
            "a gradient of shape {:?} cannot be added to one of shape {:?}",
            grad.dims(),
            sum.dims()
        )));
    }
    let grad = slice::read(grad)?;
    let guard = grad.lock();
    let values = guard.f32()?;
    slice::write_f32(sum, |sum| {
        exec.run(|| {
            sum.par_chunks_mut(STRETCH).zip(values.par_chunks(STRETCH)).for_each(|(sum, part)| {
                sum.iter_mut().zip(part).for_each(|(sum, &g)| change(sum, g));
            });
        });
    })
}

/// Collects the gradients of the micro-batches of a step.
pub(super) struct Collect<'a> {
    exec: &'a Exec,
    /// The sums so far, by parameter.
    pub sums: Vec<Option<Tensor>>,
}

impl<'a> Collect<'a> {
    pub fn new(exec: &'a Exec, params: usize) -> Self {
        Self { exec, sums: vec![None; params] }
    }
}

impl GradSink for Collect<'_> {
    fn grad(&mut self, param: usize, grad: Grad) -> Result<()> {
        let grad = grad.into_tensor();
        match &mut self.sums[param] {
            Some(sum) => add_to(self.exec, sum, &grad),
            empty => {
                *empty = Some(grad);
                Ok(())
            }
        }
    }
}

/// Gradient clipping.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// No clipping.
    #[default]
    None,
    /// All together, by the norm of all (`torch.nn.utils.clip_grad_norm_`).
    Global(f64),
    /// Each parameter's, by its own norm.
    PerParameter(f64),
}

impl Clip {
    /// An error if the limit makes no sense.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Global(max) | Self::PerParameter(max) if !(max > 0.0 && max.is_finite()) => {
                Err(Error::argument(format!("the norm gradients are clipped to must be above 0, not {max}")))
            }
            _ => Ok(()),
        }
    }

    /// What a gradient is multiplied by, given its own norm and that of all.
    pub(super) fn scale(self, own: f64, all: f64) -> f64 {
        // The small number is PyTorch's guard against a norm of 0.
        match self {
            Self::None => 1.0,
            Self::Global(max) => (max / (all + 1e-6)).min(1.0),
            Self::PerParameter(max) => (max / (own + 1e-6)).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Values of `torch.nn.utils.clip_grad_norm_`, printed by `tests/fixtures/make_clipping.py`.
    #[test]
    fn clipping_is_that_of_torch() {
        let grads: [&[f32]; 3] = [&[3.0, -4.0, 0.5], &[0.25, -0.125], &[1e-3]];
        for exec in [Exec::cpu(), Exec::cpu().with_reference(true)] {
            let square = |g: &[f32]| {
                square_sum(&exec, &Tensor::new(g, &Device::Cpu).expect("a tensor")).expect("sums")
            };
            let squares: Vec<f64> = grads.iter().map(|g| square(g)).collect();
            let norm = squares.iter().sum::<f64>().sqrt();
            assert!((norm - 5.032_705_634_149_488_5).abs() < 1e-6, "{norm}");
            let first = |clip: Clip, i: usize| f64::from(grads[i][0]) * clip.scale(squares[i].sqrt(), norm);
            for (clip, wanted) in [
                (Clip::None, [3.0, 0.25, 1e-3]),
                (
                    Clip::Global(1.0),
                    [0.596_100_710_429_546_2, 0.049_675_059_202_462_18, 0.000_198_700_236_809_848_73],
                ),
                (
                    Clip::Global(4.0),
                    [2.384_402_841_718_184_6, 0.198_700_236_809_848_72, 0.000_794_800_947_239_394_9],
                ),
                (Clip::Global(100.0), [3.0, 0.25, 1e-3]),
                (Clip::PerParameter(1.0), [0.597_022_195_314_135_9, 0.25, 1e-3]),
                (Clip::PerParameter(4.0), [2.388_088_781_256_543_7, 0.25, 1e-3]),
            ] {
                for (i, wanted) in wanted.into_iter().enumerate() {
                    let ours = first(clip, i);
                    assert!((ours - wanted).abs() < 1e-6 * wanted, "{clip:?}: {ours} is not {wanted}");
                }
            }
        }
    }
}
