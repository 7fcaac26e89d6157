//! What may stand beside a tensor: another tensor, or a number.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use lota_script::{Args, Ctx, FromValue, Mismatch, Result, Value};

use crate::primitives::tensor::ScriptTensor;
use crate::primitives::tensor::of_value;

/// The tensors of an argument that is a list of them.
pub(super) fn tensors(args: &mut Args, name: &str) -> Result<Vec<Tensor>> {
    Ok(args.get::<Vec<Arc<ScriptTensor>>>(name)?.iter().map(|held| held.get()).collect())
}

/// One side of an operation.
#[derive(Clone)]
pub enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// The same number for every element.
    Number(f64),
}

impl FromValue for Operand {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match &value {
            Value::Int(i) => Ok(Self::Number(*i as f64)),
            Value::Float(x) => Ok(Self::Number(*x)),
            Value::Object(o) if o.downcast_ref::<ScriptTensor>().is_some() => {
                of_value(value).map(Self::Tensor)
            }
            other => Err(Mismatch::new("Tensor|number", other)),
        }
    }
}

/// The type two tensors are brought to before an operation: the one that holds both best.
fn common(a: DType, b: DType) -> DType {
    let rank = |d: DType| match d {
        DType::U8 => 0,
        DType::I16 => 1,
        DType::I32 => 2,
        DType::U32 => 3,
        DType::I64 => 4,
        DType::F16 => 5,
        DType::BF16 => 6,
        DType::F32 => 7,
        DType::F64 => 8,
        _ => 9,
    };
    match (a, b) {
        // Neither holds the other's numbers.
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        (DType::U32, DType::I16 | DType::I32) | (DType::I16 | DType::I32, DType::U32) => DType::I64,
        _ if rank(a) >= rank(b) => a,
        _ => b,
    }
}

/// Both sides in one type. A number takes the tensor's type, unless the tensor holds whole
/// numbers and the number is not one.
pub(super) fn pair(a: &Operand, b: &Operand) -> candle_core::Result<(Tensor, Tensor)> {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => {
            let dtype = common(a.dtype(), b.dtype());
            Ok((a.to_dtype(dtype)?, b.to_dtype(dtype)?))
        }
        (Operand::Tensor(a), Operand::Number(x)) => {
            let a = for_number(a, *x)?;
            let b = scalar(*x, &a)?;
            Ok((a, b))
        }
        (Operand::Number(x), Operand::Tensor(b)) => {
            let b = for_number(b, *x)?;
            let a = scalar(*x, &b)?;
            Ok((a, b))
        }
        (Operand::Number(a), Operand::Number(b)) => {
            let a = Tensor::new(*a, &candle_core::Device::Cpu)?;
            let b = Tensor::new(*b, &candle_core::Device::Cpu)?;
            Ok((a, b))
        }
    }
}

/// Asks for the memory of what two tensors stretched to one shape give.
pub(super) fn reserve_stretched(ctx: &Ctx, a: &Operand, b: &Operand) -> Result<()> {
    let (Operand::Tensor(a), Operand::Tensor(b)) = (a, b) else { return Ok(()) };
    match a.shape().broadcast_shape_binary_op(b.shape(), "stretch") {
        Ok(shape) => reserve(ctx, shape.dims(), a.dtype().size_in_bytes().max(b.dtype().size_in_bytes())),
        // The operation itself says it better.
        Err(_) => Ok(()),
    }
}

/// Asks for the memory of a shape, of elements of `size` bytes.
pub(super) fn reserve(ctx: &Ctx, dims: &[usize], size: usize) -> Result<()> {
    ctx.reserve(dims.iter().fold(size, |n, d| n.saturating_mul(*d)))
}

/// `x` in the type an operation with the number `n` is done in.
pub(super) fn for_number(x: &Tensor, n: f64) -> candle_core::Result<Tensor> {
    if x.dtype().is_float() || n.fract() == 0.0 && !(n < 0.0 && is_unsigned(x.dtype())) {
        Ok(x.clone())
    } else {
        x.to_dtype(DType::F32)
    }
}

fn is_unsigned(dtype: DType) -> bool {
    matches!(dtype, DType::U8 | DType::U32)
}

fn scalar(n: f64, like: &Tensor) -> candle_core::Result<Tensor> {
    Tensor::new(n, like.device())?.to_dtype(like.dtype())
}

/// `x` as it is if it holds floating-point numbers, else as f32.
pub(super) fn float(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.dtype().is_float() { Ok(x.clone()) } else { x.to_dtype(DType::F32) }
}

/// The dimension an argument of type `dim` names, from 0; negative ones count from the end.
pub(super) fn dim(args: &mut Args, name: &str, x: &Tensor) -> Result<Option<usize>> {
    let Some(given) = args.opt::<i64>(name)? else { return Ok(None) };
    match position(given, x.rank()) {
        Some(dim) => Ok(Some(dim)),
        None => Err(args.wrong(name, format!("is outside a tensor of shape {}", shape_text(x.dims())))),
    }
}

/// The place from 0 of a position that may count from the end.
pub(super) fn position(given: i64, len: usize) -> Option<usize> {
    let at = if given < 0 { given + len as i64 } else { given };
    usize::try_from(at).ok().filter(|at| *at < len)
}

/// `{2, 3}`.
pub(super) fn shape_text(dims: &[usize]) -> String {
    format!("{{{}}}", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
