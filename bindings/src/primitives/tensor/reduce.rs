//! Reductions: over all elements, or along one dimension.

use candle_core::{D, DType, Tensor};
use lota_script::{Ctx, Primitive, Registry, Result};

use super::operand::{dim, float};
use super::work::along_pieces;
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

type Reduce = fn(&Tensor, usize) -> candle_core::Result<Tensor>;

/// A reduction that keeps the dimension with length 1, given to be dropped or kept.
pub(super) fn reduction(
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    f: Reduce,
) -> Primitive {
    Primitive::method("Tensor", name, doc)
        .arg_or("dim", "dim", (), "the dimension to reduce; all if not given")
        .opt("keep", "boolean", false, "keeps the dimension, with length 1")
        .returns("Tensor", "the reduced tensor; without a dimension it holds one number (see item)")
        .example(example)
        .call(move |ctx, args| {
            let x = args.this::<ScriptTensor>()?.get();
            let keep: bool = args.get("keep")?;
            match dim(args, "dim", &x)? {
                Some(dim) => {
                    let kept = along_pieces(ctx, &x, dim, &|x| f(x, dim))?;
                    Ok(if keep { kept } else { kept.squeeze(dim).told()? })
                }
                None => {
                    let one = f(&x.flatten_all().told()?, 0).told()?.squeeze(0).told()?;
                    Ok(if keep { one.reshape(vec![1; x.rank()]).told()? } else { one })
                }
            }
        })
}

/// `x` in f32 where it holds half-precision or whole numbers: exponentials lose too much in less.
pub(super) fn single(x: &Tensor) -> candle_core::Result<Tensor> {
    match x.dtype() {
        DType::BF16 | DType::F16 => x.to_dtype(DType::F32),
        _ => float(x),
    }
}

/// The type that sums are taken in: a million numbers added up in f32 lose digits. Metal has no f64.
fn wide(x: &Tensor) -> candle_core::Result<Tensor> {
    match x.dtype() {
        dtype if !dtype.is_float() => x.to_dtype(DType::I64),
        _ if x.device().is_metal() => x.to_dtype(DType::F32),
        _ => x.to_dtype(DType::F64),
    }
}

/// A floating-point figure that sums are taken for, in f32, or in f64 of f64.
fn summed(x: &Tensor, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> candle_core::Result<Tensor> {
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let x = if x.dtype().is_float() { wide(x)? } else { x.to_dtype(DType::F64)? };
    f(&x)?.to_dtype(dtype)
}

/// The variance over n - 1; NaN of fewer than two numbers.
fn variance(x: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    if x.dim(dim)? < 2 {
        return x.sum_keepdim(dim)?.affine(0.0, f64::NAN);
    }
    x.var_keepdim(dim)
}

/// The Euclidean length. Its derivative at 0, where there is none, is 0.
fn length(x: &Tensor) -> candle_core::Result<Tensor> {
    let squares = x.sqr()?.sum_all()?;
    let none = squares.eq(&squares.zeros_like()?)?;
    let root = none.where_cond(&squares.ones_like()?, &squares)?.sqrt()?;
    none.where_cond(&root.zeros_like()?, &root)
}

/// The running sum along the last dimension: each sum is added to the one 1, 2, 4, … places on. Nothing is multiplied, so an
/// infinity reaches only what comes after it, and memory is that of a few copies of `x`.
fn running(x: &Tensor) -> candle_core::Result<Tensor> {
    let length = x.dim(D::Minus1)?;
    let (mut sums, mut step) = (x.clone(), 1);
    while step < length {
        let before = sums.narrow(D::Minus1, 0, length - step)?.pad_with_zeros(D::Minus1, step, 0)?;
        sums = (sums + before)?;
        step *= 2;
    }
    Ok(sums)
}

/// Numbers along a dimension that are summed between two looks at the switch.
const SUMMED: usize = 1 << 18;

/// The running sum along a dimension by `sums`, as `given`: a long one in parts, to each of which that of the parts before it
/// is added.
fn along_parts(ctx: &Ctx, x: &Tensor, dim: usize, given: DType, sums: Reduce) -> Result<Tensor> {
    let len = x.dims().get(dim).copied().unwrap_or(1);
    if len <= SUMMED {
        return along_pieces(ctx, x, dim, &|x| sums(x, dim)?.to_dtype(given));
    }
    let (mut parts, mut before): (Vec<Tensor>, Option<Tensor>) = (Vec::new(), None);
    for start in (0..len).step_by(SUMMED) {
        let some = SUMMED.min(len - start);
        let part = along_pieces(ctx, &x.narrow(dim, start, some).told()?, dim, &|x| sums(x, dim))?;
        let part = match &before {
            Some(before) => part.broadcast_add(before).told()?,
            None => part,
        };
        before = Some(part.narrow(dim, some - 1, 1).told()?);
        parts.push(part.to_dtype(given).told()?);
    }
    Tensor::cat(&parts, dim).told()
}

/// The running sum along any dimension, in the type of the sum.
fn cumulated(x: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let last = x.rank().saturating_sub(1);
    if x.rank() == 0 {
        return Ok(x.clone());
    }
    running(&x.transpose(dim, last)?.contiguous()?)?.transpose(dim, last)?.contiguous()
}

/// The largest or smallest of each row along a dimension, whose derivative is shared by all that are equal to it, as that of
/// PyTorch's amax is. candle gives each of them the whole.
fn extreme(x: &Tensor, dim: usize, found: Tensor) -> candle_core::Result<Tensor> {
    if !x.track_op() || !x.dtype().is_float() {
        return with_nan(x, dim, found);
    }
    let found = with_nan(x, dim, found)?.detach();
    let ties = x.detach().broadcast_eq(&found)?;
    let share = ties.to_dtype(x.dtype())?;
    let count = share.sum_keepdim(dim)?;
    let picked = ties.where_cond(x, &x.zeros_like()?)?.sum_keepdim(dim)?.div(&count)?;
    // Its numbers are those found; the difference is 0, and carries the derivative.
    let change = (&picked - picked.detach())?;
    let change = change.eq(&change.zeros_like()?)?.where_cond(&change, &change.zeros_like()?)?;
    found + change
}

pub(super) fn softmax(x: &Tensor, dim: usize, log: bool) -> candle_core::Result<Tensor> {
    let x = float(x)?;
    let shifted = x.broadcast_sub(&x.max_keepdim(dim)?.detach())?;
    let total = shifted.exp()?.sum_keepdim(dim)?;
    if log { shifted.broadcast_sub(&total.log()?) } else { shifted.exp()?.broadcast_div(&total) }
}

/// The result of comparing numbers along a dimension, NaN where one of them is, wherever it stands.
fn with_nan(x: &Tensor, dim: usize, found: Tensor) -> candle_core::Result<Tensor> {
    if !x.dtype().is_float() {
        return Ok(found);
    }
    let odd = x.ne(x)?.max_keepdim(dim)?;
    odd.where_cond(&Tensor::full(f32::NAN, found.shape(), x.device())?.to_dtype(x.dtype())?, &found)
}

/// The same of places: that of the first NaN.
fn place_of_nan(x: &Tensor, dim: usize, found: Tensor) -> candle_core::Result<Tensor> {
    if !x.dtype().is_float() {
        return Ok(found);
    }
    let odd = x.ne(x)?;
    odd.max_keepdim(dim)?.where_cond(&odd.argmax_keepdim(dim)?, &found)
}

pub(super) fn register(r: &mut Registry) {
    r.add(reduction(
        "sum",
        "The sum, taken in f64 and given in f32 (of f64 in f64); of whole numbers in i64.",
        "local x = lota.tensor({{1, 2}, {3, 4}})\nassert(x:sum():item() == 10 and x:sum(1):totable()[2] == 6)",
        |x, d| if x.dtype().is_float() { summed(x, |x| x.sum_keepdim(d)) } else { wide(x)?.sum_keepdim(d) },
    ));
    r.add(reduction("mean", "The mean.", "assert(lota.tensor({1, 2, 3}):mean():item() == 2)", |x, d| {
        summed(x, |x| x.mean_keepdim(d))
    }));
    r.add(reduction(
        "var",
        "The variance over n - 1: PyTorch's var with its default, correction = 1. NaN of fewer than two.",
        "assert(lota.tensor({1, 2, 3}):var():item() == 1)",
        |x, d| summed(x, |x| variance(x, d)),
    ));
    r.add(reduction(
        "std",
        "The standard deviation over n - 1: PyTorch's std with its default, correction = 1. NaN of fewer than two.",
        "assert(lota.tensor({1, 3, 5}):std():item() == 2)",
        |x, d| summed(x, |x| variance(x, d)?.sqrt()),
    ));
    r.add(reduction(
        "max",
        "The largest; NaN where there is one.",
        "assert(lota.tensor({1, 3, 2}):max():item() == 3)",
        |x, d| extreme(x, d, x.max_keepdim(d)?),
    ));
    r.add(reduction(
        "min",
        "The smallest; NaN where there is one.",
        "assert(lota.tensor({1, 3, 2}):min():item() == 1)",
        |x, d| extreme(x, d, x.min_keepdim(d)?),
    ));
    r.add(place(reduction(
        "argmax",
        "The place of the largest, or of the first NaN, counted from 0 in both languages.",
        "assert(lota.tensor({1, 3, 2}):argmax():item() == 1)",
        |x, d| place_of_nan(x, d, x.argmax_keepdim(d)?),
    )));
    r.add(place(reduction(
        "argmin",
        "The place of the smallest, or of the first NaN, counted from 0 in both languages.",
        "assert(lota.tensor({3, 1, 2}):argmin():item() == 1)",
        |x, d| place_of_nan(x, d, x.argmin_keepdim(d)?),
    )));
    r.add(
        Primitive::method("Tensor", "norm", "The Euclidean length of all elements together.")
            .returns("Tensor", "one number")
            .example("assert(lota.tensor({3, 4}):norm():item() == 5)")
            .call(|_, args| summed(&args.this::<ScriptTensor>()?.get(), length).told()),
    );
    r.add(
        Primitive::method("Tensor", "cumsum", "The running sum along a dimension.")
            .arg_or("dim", "dim", (), "the dimension; the last if not given")
            .returns("Tensor", "a new tensor of the same shape: f32, of f64 f64, of whole numbers i64")
            .example("assert(lota.tensor({1, 2, 3}):cumsum():totable()[3] == 6)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = dim(args, "dim", &x)?.unwrap_or(x.rank().saturating_sub(1));
                let sums: Reduce = if x.dtype().is_float() {
                    |x, dim| cumulated(&wide(x)?, dim)
                } else {
                    |x, dim| cumulated(&x.to_dtype(DType::F64)?, dim)
                };
                let given = match x.dtype() {
                    DType::F64 => DType::F64,
                    dtype if dtype.is_float() => DType::F32,
                    _ => DType::I64,
                };
                along_parts(ctx, &x, dim, given, sums)
            }),
    );
    for (name, log) in [("softmax", false), ("log_softmax", true)] {
        let doc = if log { "The logarithm of softmax." } else { "Positive numbers that sum to 1." };
        r.add(
            Primitive::method("Tensor", name, doc)
                .arg_or("dim", "dim", (), "the dimension; the last if not given")
                .returns("Tensor", "a new tensor of the same shape")
                .example(if log {
                    "assert(math.abs(lota.tensor({1, 1}):log_softmax():exp():sum():item() - 1) < 1e-6)"
                } else {
                    "assert(math.abs(lota.tensor({1, 2, 3}):softmax():sum():item() - 1) < 1e-6)"
                })
                .call(move |ctx, args| {
                    let x = args.this::<ScriptTensor>()?.get();
                    let dim = match dim(args, "dim", &x)? {
                        Some(dim) => dim,
                        None => candle_core::shape::Dim::to_index(&D::Minus1, x.shape(), name).told()?,
                    };
                    along_pieces(ctx, &x, dim, &|x| softmax(x, dim, log))
                }),
        );
    }
}

/// A reduction to places, with the note on how they are counted.
fn place(record: Primitive) -> Primitive {
    record.details(
        "As in PyTorch, places count from 0, since they are numbers in a tensor: gather and select take them as they are. In \
         Lua add 1 to one of them before it is a position of x[i]. The dimension is counted as the language counts (from 1 in \
         Lua, from 0 in Rhai); without one the place is that in all elements together.",
    )
}
