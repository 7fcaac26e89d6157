//! Masked entries out of a parameter, and back into it in place.

use candle_core::{DType, Tensor};

use super::{Exec, SparseIndex, check};
use crate::{Error, Result};

/// The masked entries of `w` (f32 or bf16, any shape `index` was made for) as f32 `[nnz]`.
pub fn gather(exec: &Exec, w: &Tensor, index: &SparseIndex) -> Result<Tensor> {
    index.check("gather", w.dims())?;
    let _ = exec;
    let flat = w.flatten_all()?.index_select(&index.flat(w.device())?, 0)?;
    Ok(flat.to_dtype(DType::F32)?)
}

/// Overwrites the masked entries of `w` with `values` (f32 `[nnz]`), rounded to the dtype of `w`.
/// All tensors that share the memory of `w` see the change.
pub fn scatter_in_place(exec: &Exec, w: &Tensor, index: &SparseIndex, values: &Tensor) -> Result<()> {
    index.check("scatter", w.dims())?;
    check::shape("scatter", "the values", values, &[index.nnz()])?;
    if !w.is_contiguous() {
        return Err(Error::argument("scatter: a parameter that is changed in place must be contiguous"));
    }
    if index.nnz() == 0 {
        return Ok(());
    }
    let _ = exec;
    let target = w.flatten_all()?;
    target.scatter_set(&index.flat(w.device())?, &values.to_dtype(w.dtype())?, 0)?;
    Ok(())
}
