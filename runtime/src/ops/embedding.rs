//! Token embedding: rows of a table, and the table's gradient whole or at masked entries.

use candle_core::{DType, Tensor};

use super::{Exec, SparseIndex, check};
use crate::Result;

/// Rows `ids` of `w [V, D]` (f32 or bf16) times `scale` → f32 `[T, D]`.
pub fn forward(exec: &Exec, w: &Tensor, ids: &[u32], scale: Option<f32>) -> Result<Tensor> {
    let (vocab, _) = check::weight("embedding", "the table", w)?;
    check::ids("embedding", "token", ids, vocab)?;
    let _ = exec;
    let ids = Tensor::new(ids, w.device())?;
    scaled(w.index_select(&ids, 0)?.to_dtype(DType::F32)?, scale)
}

/// The gradient of the whole table: `dy [T, D]` → f32 `[vocab, D]`.
pub fn backward_dense(
    exec: &Exec,
    dy: &Tensor,
    ids: &[u32],
    vocab: usize,
    scale: Option<f32>,
) -> Result<Tensor> {
    let (_, width) = check::activation("embedding", "the output's gradient", dy)?;
    accumulate(exec, &Tensor::zeros((vocab, width), DType::F32, dy.device())?, dy, ids, scale)
}

/// Adds the gradient of the table to `dw` (f32 `[vocab, D]`, the other use of a tied table), in place where the
/// path can. Use what it returns: `dw` itself may or may not have changed.
pub fn accumulate(exec: &Exec, dw: &Tensor, dy: &Tensor, ids: &[u32], scale: Option<f32>) -> Result<Tensor> {
    let (tokens, width) = check::activation("embedding", "the output's gradient", dy)?;
    let (vocab, cols) = check::activation("embedding", "the table's gradient", dw)?;
    check::same("embedding", "the widths of the table and of the gradient", cols, width)?;
    check::same("embedding", "the numbers of tokens and of rows of the gradient", ids.len(), tokens)?;
    check::ids("embedding", "token", ids, vocab)?;
    let _ = exec;
    let ids = Tensor::new(ids, dy.device())?;
    Ok(dw.index_add(&ids, &scaled(dy.clone(), scale)?, 0)?)
}

/// The gradient of the table at masked entries: `dy [T, D]` → f32 `[nnz]`.
pub fn backward_at(
    exec: &Exec,
    dy: &Tensor,
    ids: &[u32],
    index: &SparseIndex,
    scale: Option<f32>,
) -> Result<Tensor> {
    let dense = backward_dense(exec, dy, ids, index.rows(), scale)?;
    super::scatter::gather(exec, &dense, index)
}

fn scaled(x: Tensor, scale: Option<f32>) -> Result<Tensor> {
    match scale {
        Some(scale) => Ok((x * f64::from(scale))?),
        None => Ok(x),
    }
}
