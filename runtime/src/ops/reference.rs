//! Gradients of plain candle compositions, by candle's own autograd.

use candle_core::{DType, Tensor, Var};

use crate::{Error, Result};

/// The gradients of `Σ out · dout` with respect to each input of `compose`, in f32.
pub(super) fn gradients<const N: usize>(
    inputs: [&Tensor; N],
    dout: &Tensor,
    compose: impl FnOnce([&Tensor; N]) -> Result<Tensor>,
) -> Result<[Tensor; N]> {
    let mut vars = Vec::with_capacity(N);
    for input in inputs {
        vars.push(Var::from_tensor(&input.detach().to_dtype(DType::F32)?)?);
    }
    let out = compose(std::array::from_fn(|i| vars[i].as_tensor()))?;
    let grads = (out * dout)?.sum_all()?.backward()?;
    let mut found = Vec::with_capacity(N);
    for var in &vars {
        found.push(match grads.get(var) {
            Some(grad) => grad.clone(),
            None => var.zeros_like()?,
        });
    }
    <[Tensor; N]>::try_from(found).map_err(|_| Error::argument("a gradient went missing"))
}

/// Softmax over the last dimension as a composition with a gradient, and its log-sum-exp.
/// A row that is masked everywhere is not allowed.
pub(super) fn softmax_lse(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let last = x.rank() - 1;
    let max = x.detach().max_keepdim(last)?;
    let num = x.broadcast_sub(&max)?.exp()?;
    let den = num.sum_keepdim(last)?;
    let lse = (den.log()? + max)?.squeeze(last)?;
    Ok((num.broadcast_div(&den)?, lse))
}

/// `cap · tanh(x / cap)`, or `x`.
pub(super) fn soft_cap(x: Tensor, cap: Option<f32>) -> Result<Tensor> {
    match cap {
        Some(cap) => Ok(((x / f64::from(cap))?.tanh()? * f64::from(cap))?),
        None => Ok(x),
    }
}
