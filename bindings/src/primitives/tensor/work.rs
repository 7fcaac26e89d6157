//! Tensor operations in bounds: their memory is asked for before it is taken, and those over many numbers go piece by piece,
//! with a look at the switch between two.

use candle_core::{Shape, Tensor};
use lota_script::{Args, Ctx, Inner, Limits, Registry, Result, Value};

use super::graph::tensors;
use crate::error::Told as _;

/// Numbers of a piece: some milliseconds of an operation.
const PIECE: usize = 1 << 21;
/// Multiplications of a piece of a matrix product: some tens of milliseconds.
const PRODUCTS: usize = 1 << 28;

/// What an operation needs for each number of its stretched arguments: copies of the numbers (of 4 bytes at least) and further
/// bytes. Those that are not named give a view, or ask for themselves.
const NEEDS: &[(&[&str], usize, usize)] = &[
    (
        &[
            "abs",
            "sqrt",
            "square",
            "exp",
            "log",
            "sin",
            "cos",
            "tanh",
            "relu",
            "floor",
            "round",
            "sign",
            "neg",
            "clamp",
            "add",
            "sub",
            "mul",
            "div",
            "pow",
            "maximum",
            "minimum",
            "add_",
            "sub_",
            "mul_",
            "div_",
            "to",
            "clone",
            "set_",
            "requires_grad",
            "reshape",
            "flatten",
        ],
        1,
        0,
    ),
    (&["sigmoid", "softmax", "log_softmax", "logsumexp", "where"], 3, 1),
    (&["eq", "ne", "lt", "le", "gt", "ge", "equals", "max", "min", "argmax", "argmin"], 1, 1),
    (&["sum", "mean"], 0, 8),
    (&["norm"], 0, 16),
    (&["var", "std"], 0, 24),
    (&["cumsum"], 0, 40),
    (&["gather", "select"], 1, 16),
];

/// Makes the methods of tensors ask for their memory.
pub(crate) fn ask_first(r: &mut Registry) {
    r.wrap(|p| p.owner() == Some("Tensor") && needs(p.name()).is_some(), asked);
}

fn needs(name: &str) -> Option<(usize, usize)> {
    let short = name.strip_prefix("Tensor:")?;
    NEEDS.iter().find(|(names, ..)| names.contains(&short)).map(|(_, copies, bytes)| (*copies, *bytes))
}

fn asked(ctx: &Ctx, args: &mut Args, inner: &Inner<'_>) -> Result<Value> {
    if *ctx.meter.limits() != Limits::none() {
        let (copies, bytes) = needs(args.primitive()).unwrap_or((1, 0));
        let mut shape: Option<Shape> = None;
        let (mut most, mut size) = (0, 4);
        args.given().for_each(|value| {
            tensors(value, &mut |held| {
                let tensor = held.get();
                most = most.max(tensor.elem_count());
                size = size.max(tensor.dtype().size_in_bytes());
                // Where shapes do not fit the operation itself says it better.
                shape = match shape.take() {
                    None => Some(tensor.shape().clone()),
                    Some(before) => before.broadcast_shape_binary_op(tensor.shape(), "stretch").ok(),
                };
            });
        });
        let count = shape.map_or(most, |shape| shape.elem_count());
        ctx.reserve(count.saturating_mul(copies * size + bytes))?;
    }
    inner(ctx, args)
}

/// `f`, which makes each number of its result of those at the same place in `inputs`, all of one shape, piece by piece.
pub(super) fn by_pieces(
    ctx: &Ctx,
    inputs: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    ctx.host.cancel.check()?;
    let Some(first) = inputs.first() else { return f(inputs).told() };
    let whole = first.elem_count() <= PIECE
        || inputs.iter().any(|x| x.track_op() || !x.device().is_cpu() || x.dims() != first.dims());
    if whole {
        return f(inputs).told();
    }
    let mut result = None;
    pieces(ctx, inputs, 0, f, &mut result, first.elem_count())?;
    match result {
        Some(flat) => flat.reshape(first.shape()).told(),
        None => f(inputs).told(),
    }
}

/// Writes `f` of the inputs into the flat result from `at` on.
fn pieces(
    ctx: &Ctx,
    inputs: &[Tensor],
    at: usize,
    f: &dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>,
    result: &mut Option<Tensor>,
    count: usize,
) -> Result<()> {
    let shape = inputs[0].shape().clone();
    let dim = shape.dims().iter().position(|d| *d > 1);
    let (Some(dim), true) = (dim, shape.elem_count() > PIECE) else {
        ctx.host.cancel.check()?;
        let made = f(inputs).and_then(|made| made.flatten_all()?.contiguous()).told()?;
        let flat = match result {
            Some(flat) => flat,
            None => result.insert(Tensor::zeros(count, made.dtype(), made.device()).told()?),
        };
        return flat.slice_set(&made, 0, at).told();
    };
    let len = shape.dims()[dim];
    let row = shape.elem_count() / len;
    let some = (PIECE / row).clamp(1, len);
    for start in (0..len).step_by(some) {
        let part = |x: &Tensor| x.narrow(dim, start, some.min(len - start));
        let parts = inputs.iter().map(part).collect::<candle_core::Result<Vec<_>>>().told()?;
        pieces(ctx, &parts, at + start * row, f, result, count)?;
    }
    Ok(())
}

/// `f` of the numbers along a dimension, for whatever stands beside it, piece by piece.
pub(super) fn along_pieces(
    ctx: &Ctx,
    x: &Tensor,
    dim: usize,
    f: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    ctx.host.cancel.check()?;
    let beside = (0..x.rank()).filter(|d| *d != dim).max_by_key(|d| x.dims()[*d]);
    let Some(beside) = beside.filter(|d| x.elem_count() > PIECE && x.dims()[*d] > 1) else {
        return f(x).told();
    };
    let len = x.dims()[beside];
    let some = (PIECE / (x.elem_count() / len)).clamp(1, len);
    let mut parts = Vec::new();
    for start in (0..len).step_by(some) {
        ctx.host.cancel.check()?;
        parts.push(x.narrow(beside, start, some.min(len - start)).and_then(|part| f(&part)).told()?);
    }
    Tensor::cat(&parts, beside).told()
}

/// The product of batches of matrices `[.., m, k]` and `[.., k, n]`, some rows at a time.
pub(super) fn product_by_pieces(
    ctx: &Ctx,
    a: &Tensor,
    product: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    columns: usize,
) -> Result<Tensor> {
    ctx.host.cancel.check()?;
    let &[.., rows, inner] = a.dims() else { return product(a).told() };
    let batches: usize = a.dims()[..a.rank() - 2].iter().product();
    let some = (PRODUCTS / batches.saturating_mul(inner).saturating_mul(columns).max(1)).max(1);
    if some >= rows {
        return product(a).told();
    }
    let mut parts = Vec::new();
    for start in (0..rows).step_by(some) {
        ctx.host.cancel.check()?;
        parts.push(
            a.narrow(a.rank() - 2, start, some.min(rows - start)).and_then(|part| product(&part)).told()?,
        );
    }
    Tensor::cat(&parts, a.rank() - 2).told()
}

/// Tensors joined along a dimension they have, part by part.
pub(super) fn joined_by_pieces(ctx: &Ctx, tensors: &[Tensor], dim: usize) -> Result<Tensor> {
    let whole = || Tensor::cat(tensors, dim).told();
    let count: usize = tensors.iter().map(Tensor::elem_count).sum();
    let Some(first) = tensors.first().filter(|_| count > PIECE) else { return whole() };
    let fits = |x: &Tensor| {
        let beside = |x: &Tensor| {
            x.dims().iter().enumerate().filter(|(d, _)| *d != dim).map(|(_, n)| *n).collect::<Vec<_>>()
        };
        !x.track_op() && x.device().is_cpu() && x.dtype() == first.dtype() && beside(x) == beside(first)
    };
    if !tensors.iter().all(fits) {
        return whole();
    }
    let mut dims = first.dims().to_vec();
    dims[dim] = tensors.iter().map(|x| x.dims()[dim]).sum();
    let result = Tensor::zeros(dims, first.dtype(), first.device()).told()?;
    let mut at = 0;
    for x in tensors {
        let len = x.dims()[dim];
        let some = (PIECE / (x.elem_count() / len.max(1)).max(1)).max(1);
        for start in (0..len).step_by(some) {
            ctx.host.cancel.check()?;
            let part =
                x.narrow(dim, start, some.min(len - start)).and_then(|part| part.contiguous()).told()?;
            result.slice_set(&part, dim, at + start).told()?;
        }
        at += len;
    }
    Ok(result)
}
