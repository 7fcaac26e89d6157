//! Tensors in order: sorted, their largest, and quantiles. Values carry gradients to where they came from.

use std::cmp::Ordering;

use candle_core::{DType, Device, Tensor};
use lota_script::{Args, Ctx, Primitive, Registry, Result};
use rayon::prelude::*;

use super::operand::{dim, reserve};
use super::reduce::single;
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

/// Numbers sorted between two looks at the switch.
const SOME: usize = 1 << 18;

/// For each place along `dim`, where in `x` the number comes from that stands there once sorted: u32, in the shape of `x`.
/// Equal numbers keep their order; what is not a number is larger than all others.
fn order(ctx: &Ctx, x: &Tensor, dim: usize, descending: bool) -> Result<Tensor> {
    let (last, len) = (x.rank() - 1, x.dim(dim).told()?);
    let turned =
        x.detach().to_device(&Device::Cpu).told()?.transpose(dim, last).told()?.contiguous().told()?;
    let shape = turned.dims().to_vec();
    let places = if x.dtype().is_float() {
        let numbers = turned.flatten_all().told()?.to_dtype(DType::F64).told()?.to_vec1::<f64>().told()?;
        // 0 and -0 are equal, and the sign of what is not a number says nothing.
        let compare = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        sorted(ctx, &numbers, len, descending, compare)?
    } else {
        let numbers = turned.flatten_all().told()?.to_dtype(DType::I64).told()?.to_vec1::<i64>().told()?;
        sorted(ctx, &numbers, len, descending, i64::cmp)?
    };
    let places = Tensor::from_vec(places, shape, &Device::Cpu).told()?;
    places.transpose(dim, last).told()?.contiguous().told()?.to_device(x.device()).told()
}

fn sorted<T: Sync>(
    ctx: &Ctx,
    numbers: &[T],
    len: usize,
    descending: bool,
    compare: impl Fn(&T, &T) -> Ordering + Sync,
) -> Result<Vec<u32>> {
    let mut places: Vec<u32> = (0..numbers.len()).map(|at| (at % len.max(1)) as u32).collect();
    let by = |row: &[T], a: u32, b: u32| {
        let order = compare(&row[a as usize], &row[b as usize]);
        if descending { order.reverse() } else { order }
    };
    if len > SOME {
        for (places, row) in places.chunks_mut(len).zip(numbers.chunks(len)) {
            long_sort(ctx, places, &|a, b| by(row, a, b))?;
        }
        return Ok(places);
    }
    let some = SOME.div_ceil(len.max(1)) * len.max(1);
    for (places, numbers) in places.chunks_mut(some).zip(numbers.chunks(some)) {
        ctx.host.cancel.check()?;
        places.par_chunks_mut(len.max(1)).zip(numbers.par_chunks(len.max(1))).for_each(|(places, row)| {
            places.sort_by(|&a, &b| by(row, a, b));
        });
    }
    Ok(places)
}

/// Sorts a long row, equal ones in their order: runs of it, which are then merged, with looks at the switch.
fn long_sort(ctx: &Ctx, places: &mut [u32], by: &(dyn Fn(u32, u32) -> Ordering + Sync)) -> Result<()> {
    for run in places.chunks_mut(SOME) {
        ctx.host.cancel.check()?;
        run.sort_by(|&a, &b| by(a, b));
    }
    let (mut from, mut width) = (places.to_vec(), SOME);
    while width < places.len() {
        for (from, to) in from.chunks(2 * width).zip(places.chunks_mut(2 * width)) {
            let (mut left, mut right) = from.split_at(width.min(from.len()));
            for some in to.chunks_mut(SOME) {
                ctx.host.cancel.check()?;
                for place in some {
                    let of = match (left.first(), right.first()) {
                        (Some(&a), Some(&b)) if by(b, a).is_lt() => &mut right,
                        (Some(_), _) => &mut left,
                        (None, _) => &mut right,
                    };
                    if let Some((&first, rest)) = of.split_first() {
                        (*place, *of) = (first, rest);
                    }
                }
            }
        }
        from.copy_from_slice(places);
        width *= 2;
    }
    Ok(())
}

/// The dimension of an argument, the last if none is given, of a tensor that has one of a length that can be stored.
fn along(ctx: &Ctx, args: &mut Args, x: &Tensor) -> Result<usize> {
    if x.rank() == 0 {
        return Err(args.wrong("self", "must have a dimension, and holds a single number"));
    }
    let dim = dim(args, "dim", x)?.unwrap_or(x.rank() - 1);
    if u32::try_from(x.dim(dim).told()?).is_err() {
        return Err(args.wrong("self", "must have fewer than 2^32 numbers along the dimension"));
    }
    // The numbers in 8 bytes, the places and their copy, and the result.
    reserve(ctx, x.dims(), 24 + x.dtype().size_in_bytes())?;
    Ok(dim)
}

fn at(x: &Tensor, places: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    x.contiguous()?.gather(&places.contiguous()?, dim)
}

const DIM: &str = "the dimension; the last if not given";
const BOTH: &str = "two tensors: the values, and where each was along the dimension, counted from 0 (u32)";
const TIES: &str = "Equal numbers keep their order; NaN counts as larger than every number. Gradients go to where the values came \
                    from. The places count from 0 in both languages, as those of argmax: gather takes them as they are.";

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "sort", "The numbers in order along a dimension, and where they were.")
            .details(TIES)
            .arg_or("dim", "dim", (), DIM)
            .opt("descending", "boolean", false, "the largest first")
            .returns("list of Tensor", BOTH)
            .example(
                "local sorted = lota.tensor({2, 3, 1}):sort()\n\
                 assert(sorted[1] == lota.tensor({1, 2, 3}) and sorted[2]:totable()[1] == 2)",
            )
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = along(ctx, args, &x)?;
                let places = order(ctx, &x, dim, args.get("descending")?)?;
                Ok(vec![at(&x, &places, dim).told()?, places])
            }),
    );
    r.add(
        Primitive::method(
            "Tensor",
            "topk",
            "The k largest numbers along a dimension, in order, and where they were.",
        )
        .details(TIES)
        .arg("k", "integer", "how many; at most the length of the dimension")
        .arg_or("dim", "dim", (), DIM)
        .opt("largest", "boolean", true, "false takes the smallest")
        .returns("list of Tensor", BOTH)
        .example(
            "local best = lota.tensor({2, 3, 1}):topk(2)\n\
                 assert(best[1] == lota.tensor({3, 2}) and best[2]:totable()[1] == 1)",
        )
        .call(|ctx, args| {
            let x = args.this::<ScriptTensor>()?.get();
            let dim = along(ctx, args, &x)?;
            let (k, len): (usize, usize) = (args.get("k")?, x.dim(dim).told()?);
            if k > len {
                return Err(args.wrong("k", format!("is {k}, and the dimension holds {len} numbers")));
            }
            let places = order(ctx, &x, dim, args.get("largest")?)?;
            let places = places.narrow(dim, 0, k).told()?.contiguous().told()?;
            Ok(vec![at(&x, &places, dim).told()?, places])
        }),
    );
    r.add(
        Primitive::method("Tensor", "quantile", "The number below which a fraction of the others lies.")
            .details(
                "PyTorch's quantile with linear interpolation: of n sorted numbers that at q * (n - 1), between two of them in \
                 proportion. NaN among the numbers gives NaN. Gradients go to the numbers between which it lies.",
            )
            .arg("q", "number", "the fraction, from 0 (the smallest) to 1 (the largest); 0.5 is the median")
            .arg_or("dim", "dim", (), "the dimension to reduce; all if not given")
            .opt("keep", "boolean", false, "keeps the dimension, with length 1")
            .returns("Tensor", "the reduced tensor; without a dimension it holds one number (see item)")
            .example("assert(lota.tensor({4, 1, 3, 2}):quantile(0.5):item() == 2.5)")
            .call(quantile),
    );
}

fn quantile(ctx: &Ctx, args: &mut Args) -> Result<Tensor> {
    let whole = args.this::<ScriptTensor>()?.get();
    let (q, keep): (f64, bool) = (args.get("q")?, args.get("keep")?);
    if !(0.0..=1.0).contains(&q) {
        return Err(args.wrong("q", format!("must be from 0 to 1, got {q}")));
    }
    let given = dim(args, "dim", &whole)?;
    let x = match given {
        Some(_) => whole.clone(),
        None => whole.flatten_all().told()?,
    };
    let (dim, x) = (given.unwrap_or(0), single(&x).told()?);
    let len = x.dim(dim).told()?;
    if len == 0 {
        return Err(args.wrong("self", "must hold a number along the dimension"));
    }
    reserve(ctx, x.dims(), 24 + x.dtype().size_in_bytes())?;
    let places = order(ctx, &x, dim, false)?;
    let kept = between(&x, &places, dim, q * (len - 1) as f64).told()?;
    match (given, keep) {
        (Some(_), true) => Ok(kept),
        (None, true) => kept.reshape(vec![1; whole.rank()]).told(),
        (_, false) => kept.squeeze(dim).told(),
    }
}

/// The number at a place between two of the sorted ones.
fn between(x: &Tensor, places: &Tensor, dim: usize, rank: f64) -> candle_core::Result<Tensor> {
    let take = |i: usize| at(x, &places.narrow(dim, i, 1)?, dim);
    let (below, part) = (rank.floor() as usize, rank.fract());
    let mut number = take(below)?;
    if part > 0.0 {
        let above = take(below + 1)?;
        let step = (&above - &number)?;
        // From the nearer end, as torch.lerp goes.
        number = if part < 0.5 { (number + (step * part)?)? } else { (above - (step * (1.0 - part))?)? };
    }
    // What is not a number was sorted to the end.
    let last = take(x.dim(dim)? - 1)?;
    last.ne(&last)?.where_cond(&last, &number)
}
