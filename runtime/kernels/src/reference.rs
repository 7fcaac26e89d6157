//! Gradients of plain candle compositions, by candle's own autograd.

use candle_core::{DType, Tensor, Var};

use super::{Compute, Exec};
use crate::{Error, Result};

/// An operand of a dense product as the numeric mode of `exec` sees it, in f32.
pub(super) fn operand(exec: &Exec, x: &Tensor) -> Result<Tensor> {
    let x = match exec.compute() {
        Compute::F32 => x.clone(),
        Compute::BF16 => x.to_dtype(DType::BF16)?,
    };
    Ok(x.to_dtype(DType::F32)?)
}

/// `a · b` in the numeric mode of `exec`, f32.
pub(super) fn product(exec: &Exec, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    // Where the device has bf16 products of its own they are the point of the mode; candle's of the CPU are slow.
    if exec.compute() == Compute::BF16 && !a.device().is_cpu() {
        return Ok(a.to_dtype(DType::BF16)?.matmul(&b.to_dtype(DType::BF16)?)?.to_dtype(DType::F32)?);
    }
    Ok(operand(exec, a)?.matmul(&operand(exec, b)?)?)
}

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
