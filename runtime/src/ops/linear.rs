//! `y = x Wᵀ + b`, and its gradients: for the input, and for the weight whole or at masked entries.

use candle_core::{DType, Tensor};

use super::{Exec, SparseIndex, check};
use crate::Result;

/// `x [T, in]`, `w [out, in]` (f32 or bf16), `bias [out]` → `[T, out]`.
pub fn forward(exec: &Exec, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, inner) = check::activation("linear", "the input", x)?;
    let (out, cols) = check::weight("linear", "the weight", w)?;
    check::same("linear", "the features of the input and the columns of the weight", inner, cols)?;
    if let Some(bias) = bias {
        check::shape("linear", "the bias", bias, &[out])?;
    }
    let _ = exec;
    let y = x.matmul(&w.to_dtype(DType::F32)?.t()?)?;
    Ok(match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    })
}

/// The gradient of the input: `dy [T, out]`, `w [out, in]` → `[T, in]`.
pub fn backward_input(exec: &Exec, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (_, out) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, _) = check::weight("linear", "the weight", w)?;
    check::same("linear", "the features of the gradient and the rows of the weight", out, rows)?;
    let _ = exec;
    Ok(dy.matmul(&w.to_dtype(DType::F32)?)?)
}

/// The gradient of the whole weight: `dy [T, out]`, `x [T, in]` → f32 `[out, in]`.
pub fn weight_grad_dense(exec: &Exec, dy: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (tokens, _) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, _) = check::activation("linear", "the input", x)?;
    check::same("linear", "the tokens of the gradient and of the input", tokens, rows)?;
    let _ = exec;
    Ok(dy.t()?.matmul(x)?)
}

/// The gradient of the weight at masked entries: `dy [T, out]`, `x [T, in]` → f32 `[nnz]`, in the
/// order of `index`.
pub fn weight_grad_at(exec: &Exec, dy: &Tensor, x: &Tensor, index: &SparseIndex) -> Result<Tensor> {
    let (tokens, out) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, inner) = check::activation("linear", "the input", x)?;
    check::same("linear", "the tokens of the gradient and of the input", tokens, rows)?;
    index.check("linear", &[out, inner])?;
    let dense = weight_grad_dense(exec, dy, x)?;
    super::scatter::gather(exec, &dense, index)
}

/// The gradient of the bias: `dy [T, out]` → `[out]`.
pub fn bias_grad(exec: &Exec, dy: &Tensor) -> Result<Tensor> {
    check::activation("linear", "the output's gradient", dy)?;
    let _ = exec;
    Ok(dy.sum(0)?)
}
