//! Shape and dtype checks that every operation makes before it touches data.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The two dimensions of an f32 activation.
pub(super) fn activation(op: &str, name: &str, x: &Tensor) -> Result<(usize, usize)> {
    if x.dtype() != DType::F32 {
        return Err(Error::argument(format!("{op}: {name} must be f32, it is {:?}", x.dtype())));
    }
    dims2(op, name, x)
}

/// The two dimensions of a matrix of any dtype.
pub(super) fn dims2(op: &str, name: &str, x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        &[rows, cols] => Ok((rows, cols)),
        dims => Err(Error::argument(format!("{op}: {name} must have two dimensions, it has shape {dims:?}"))),
    }
}

/// The two dimensions of an f32 or bf16 weight.
pub(super) fn weight(op: &str, name: &str, w: &Tensor) -> Result<(usize, usize)> {
    match w.dtype() {
        DType::F32 | DType::BF16 => dims2(op, name, w),
        other => Err(Error::argument(format!("{op}: {name} must be f32 or bf16, it is {other:?}"))),
    }
}

/// An f32 tensor of exactly this shape.
pub(super) fn shape(op: &str, name: &str, x: &Tensor, dims: &[usize]) -> Result<()> {
    if x.dims() != dims || x.dtype() != DType::F32 {
        return Err(Error::argument(format!(
            "{op}: {name} must be f32 of shape {dims:?}, it is {:?} of shape {:?}",
            x.dtype(),
            x.dims()
        )));
    }
    Ok(())
}

/// Two numbers that must be equal.
pub(super) fn same(op: &str, what: &str, left: usize, right: usize) -> Result<()> {
    if left != right {
        return Err(Error::argument(format!("{op}: {what} differ: {left} and {right}")));
    }
    Ok(())
}

/// Cumulative segment bounds: they start at 0, never fall, and end at `tokens`.
pub(super) fn segments(op: &str, segments: &[u32], tokens: usize) -> Result<()> {
    let rising = segments.windows(2).all(|pair| pair[0] <= pair[1]);
    if segments.first() != Some(&0) || segments.last().map(|&end| end as usize) != Some(tokens) || !rising {
        return Err(Error::argument(format!(
            "{op}: segment bounds must rise from 0 to the {tokens} tokens of the batch"
        )));
    }
    Ok(())
}

/// Every id is below `limit`.
pub(super) fn ids(op: &str, what: &str, ids: &[u32], limit: usize) -> Result<()> {
    match ids.iter().position(|&id| id as usize >= limit) {
        Some(at) => {
            Err(Error::argument(format!("{op}: {what} {} at position {at} is not below {limit}", ids[at])))
        }
        None => Ok(()),
    }
}
