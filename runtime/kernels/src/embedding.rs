//! Token embedding: rows of a table, and the table's gradient whole or at masked entries.

use candle_core::{DType, Tensor};

use super::simd::widen;
use super::slice::{Weight, read, tensor, uninit, write_f32};
use super::{Exec, SparseIndex, check, par};
use crate::Result;

/// Rows `ids` of `w [V, D]` (f32 or bf16) times `scale` → f32 `[T, D]`.
pub fn forward(exec: &Exec, w: &Tensor, ids: &[u32], scale: Option<f32>) -> Result<Tensor> {
    let (vocab, width) = check::weight("embedding", "the table", w)?;
    check::ids("embedding", "token", ids, vocab)?;
    if exec.fast(w) {
        let w = read(w)?;
        let w = w.lock();
        let w = w.weight()?;
        // SAFETY: every row is written below.
        let mut out = unsafe { uninit(ids.len() * width) };
        par::rows(exec, &mut out, width, |first, rows| {
            for (id, row) in ids[first..].iter().zip(rows.chunks_exact_mut(width)) {
                let from = *id as usize * width..(*id as usize + 1) * width;
                match w {
                    Weight::F32(w) => row.copy_from_slice(&w[from]),
                    Weight::BF16(w) => widen(&w[from], row),
                }
                if let Some(scale) = scale {
                    row.iter_mut().for_each(|x| *x *= scale);
                }
            }
        });
        return tensor(out, &[ids.len(), width]);
    }
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
    if exec.fast(dy) && dw.is_contiguous() {
        let dy = read(dy)?;
        let dy = dy.lock();
        let (dy, scale) = (dy.f32()?, scale.unwrap_or(1.0));
        write_f32(dw, |dw| {
            for (id, row) in ids.iter().zip(dy.chunks_exact(width)) {
                let start = *id as usize * width;
                dw[start..start + width].iter_mut().zip(row).for_each(|(dw, dy)| *dw += dy * scale);
            }
        })?;
        return Ok(dw.clone());
    }
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
    if !exec.fast(dy) {
        let dense = backward_dense(exec, dy, ids, index.rows(), scale)?;
        return super::scatter::gather(exec, &dense, index);
    }
    let (tokens, width) = check::activation("embedding", "the output's gradient", dy)?;
    index.check("embedding", &[index.rows(), width])?;
    check::same("embedding", "the numbers of tokens and of rows of the gradient", ids.len(), tokens)?;
    check::ids("embedding", "token", ids, index.rows())?;
    let dy = read(dy)?;
    let dy = dy.lock();
    let (dy, scale) = (dy.f32()?, scale.unwrap_or(1.0));
    let mut values = vec![0.0; index.nnz()];
    for (id, row) in ids.iter().zip(dy.chunks_exact(width.max(1))) {
        for k in index.row(*id as usize) {
            values[k] += row[index.col(k)] * scale;
        }
    }
    tensor(values, &[index.nnz()])
}

fn scaled(x: Tensor, scale: Option<f32>) -> Result<Tensor> {
    match scale {
        Some(scale) => Ok((x * f64::from(scale))?),
        None => Ok(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, fast, plain, random, random_bf16};

    #[test]
    fn both_paths_agree() -> Result<()> {
        let (vocab, width) = (23, 9);
        let ids = [3u32, 3, 0, 22, 7, 3, 0];
        let dy = random(4, &[ids.len(), width]);
        let kept = (0..(vocab * width) as u32).filter(|i| i % 4 == 1);
        let index = SparseIndex::from_sorted(vocab, width, kept)?;
        let (f, p) = (fast(), plain());
        for scale in [None, Some(3.5)] {
            for w in [random(1, &[vocab, width]), random_bf16(1, &[vocab, width])] {
                close("value", &forward(&f, &w, &ids, scale)?, &forward(&p, &w, &ids, scale)?, 0.0);
            }
            let dense = backward_dense(&p, &dy, &ids, vocab, scale)?;
            close("gradient", &backward_dense(&f, &dy, &ids, vocab, scale)?, &dense, 1e-6);
            let at = super::super::scatter::gather(&p, &dense, &index)?;
            close("masked", &backward_at(&f, &dy, &ids, &index, scale)?, &at, 1e-6);
            close("masked", &backward_at(&p, &dy, &ids, &index, scale)?, &at, 1e-6);
            let sum = accumulate(&f, &random(5, &[vocab, width]), &dy, &ids, scale)?;
            close("sum", &sum, &(random(5, &[vocab, width]) + dense)?, 1e-6);
        }
        assert!(forward(&f, &random(1, &[4, 2]), &[4], None).is_err());
        Ok(())
    }
}
