//! Shape, rearrangement, matrix products and joining.

use std::sync::Arc;

use candle_core::{Tensor, shape::Dim};
use lota_script::{Error, Primitive, Registry};

use super::create::Dims;
use super::operand::{dim, float, position, reserve, shape_text, tensors};
use super::work::{joined_by_pieces, product_by_pieces};
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "shape", "The length of each dimension.")
            .returns("list of integer", "one number a dimension")
            .example("assert(lota.zeros({2, 3}):shape()[2] == 3)")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().dims().to_vec())),
    );
    r.add(
        Primitive::method("Tensor", "rank", "The number of dimensions.")
            .returns("integer", "0 for a single number")
            .example("assert(lota.zeros({2, 3}):rank() == 2)")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().rank())),
    );
    r.add(
        Primitive::method("Tensor", "len", "The length of the first dimension.")
            .returns("integer", "1 for a single number")
            .operator(lota_script::Op::Len)
            .example("assert(#lota.zeros({2, 3}) == 2)")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().dims().first().copied().unwrap_or(1))),
    );
    r.add(
        Primitive::method("Tensor", "count", "The number of elements.")
            .returns("integer", "the product of the shape")
            .example("assert(lota.zeros({2, 3}):count() == 6)")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().elem_count())),
    );
    r.add(
        Primitive::method("Tensor", "reshape", "The same numbers in another shape.")
            .arg("shape", "integer|list of integer", "the new shape; one length may be -1")
            .returns("Tensor", "the tensor in its new shape")
            .example("assert(lota.arange(1, 6):reshape({2, -1}):shape()[2] == 3)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let wanted: Vec<i64> = match args.get("shape")? {
                    lota_script::Value::List(items) => {
                        lota_script::FromValue::from_value(lota_script::Value::List(items))
                    }
                    one => lota_script::FromValue::from_value(one).map(|n| vec![n]),
                }
                .map_err(|m| args.mismatched("shape", &m))?;
                let known: i64 = wanted.iter().filter(|d| **d != -1).product();
                let free = wanted.iter().filter(|d| **d == -1).count();
                let count = x.elem_count() as i64;
                let fits = match free {
                    0 => known == count,
                    1 => known > 0 && count % known == 0,
                    _ => false,
                };
                if !fits || wanted.iter().any(|d| *d < -1) {
                    let text = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let old = shape_text(x.dims());
                    return Err(
                        args.wrong("shape", format!("{{{text}}} does not fit a tensor of shape {old}"))
                    );
                }
                let dims: Vec<usize> = wanted
                    .iter()
                    .map(|d| if *d == -1 { (count / known) as usize } else { *d as usize })
                    .collect();
                x.reshape(dims).told()
            }),
    );
    r.add(
        Primitive::method("Tensor", "flatten", "All elements in one dimension.")
            .returns("Tensor", "one dimension")
            .example("assert(lota.zeros({2, 3}):flatten():shape()[1] == 6)")
            .call(|_, args| args.this::<ScriptTensor>()?.get().flatten_all().told()),
    );
    r.add(
        Primitive::method("Tensor", "t", "Two dimensions swapped; the last two if none are named.")
            .arg_or("a", "dim", (), "one dimension")
            .arg_or("b", "dim", (), "the other")
            .returns("Tensor", "the transposed tensor")
            .example("assert(lota.zeros({2, 3}):t():shape()[1] == 3)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                match (dim(args, "a", &x)?, dim(args, "b", &x)?) {
                    (Some(a), Some(b)) => Ok(x.transpose(a, b).told()?),
                    (None, None) if x.rank() >= 2 => Ok(x.t().told()?),
                    (None, None) => Err(Error::argument("needs a tensor of two or more dimensions")),
                    _ => Err(args.wrong("b", "is missing: name two dimensions or none")),
                }
            }),
    );
    r.add(
        Primitive::method("Tensor", "permute", "The dimensions in another order.")
            .arg("dims", "list of dim", "the dimensions in their new order")
            .returns("Tensor", "the rearranged tensor")
            .example("assert(lota.zeros({2, 3, 4}):permute({3, 1, 2}):shape()[1] == 4)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let order: Vec<i64> = args.get("dims")?;
                let places: Option<Vec<usize>> = order.iter().map(|d| position(*d, x.rank())).collect();
                match places {
                    Some(places)
                        if places.len() == x.rank() && (0..x.rank()).all(|d| places.contains(&d)) =>
                    {
                        Ok(x.permute(places).told()?)
                    }
                    _ => Err(args.wrong("dims", format!("must name each of {} dimensions once", x.rank()))),
                }
            }),
    );
    r.add(
        Primitive::method("Tensor", "squeeze", "Without a dimension of length 1.")
            .arg("dim", "dim", "the dimension")
            .returns("Tensor", "one dimension less")
            .example("assert(lota.zeros({1, 3}):squeeze(1):rank() == 1)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = dim(args, "dim", &x)?.unwrap_or(0);
                x.squeeze(dim).told()
            }),
    );
    r.add(
        Primitive::method("Tensor", "unsqueeze", "With a new dimension of length 1.")
            .arg("dim", "dim", "where the new dimension stands")
            .returns("Tensor", "one dimension more")
            .example("assert(lota.zeros({3}):unsqueeze(1):shape()[2] == 3)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let given: i64 = args.get("dim")?;
                match position(given, x.rank() + 1) {
                    Some(dim) => Ok(x.unsqueeze(dim).told()?),
                    None => Err(args.wrong("dim", format!("does not fit shape {}", shape_text(x.dims())))),
                }
            }),
    );
    r.add(
        Primitive::method("Tensor", "expand", "Repeated along dimensions of length 1, without copying.")
            .arg("shape", "list of integer", "the new shape")
            .returns("Tensor", "the wider tensor")
            .example("assert(lota.ones({1, 3}):expand({4, 3}):sum():item() == 12)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let Dims(dims) = args.get("shape")?;
                // Nothing is copied here; what is done with it next may be as large.
                reserve(ctx, &dims, x.dtype().size_in_bytes())?;
                x.broadcast_as(dims).told()
            }),
    );
    r.add(
        Primitive::method("Tensor", "matmul", "The matrix product, in batches if there are more dimensions.")
            .arg("other", "Tensor", "the right side; a vector on either side is taken as a row or column")
            .returns("Tensor", "the product")
            .example("local x = lota.tensor({{1, 2}, {3, 4}})\nassert(x:matmul(lota.eye(2)) == x)")
            .call(|ctx, args| {
                let a = args.this::<ScriptTensor>()?.get();
                let b = args.get::<Arc<ScriptTensor>>("other")?.get();
                let (inner, of) = (a.dims().last().copied(), b.dims().len());
                let fits = of > 0 && inner == b.dims().get(of.saturating_sub(2)).copied();
                if !fits {
                    let (a, b) = (shape_text(a.dims()), shape_text(b.dims()));
                    return Err(args
                        .wrong("other", format!("of shape {b} does not fit {a}: the inner lengths differ")));
                }
                let (rows, columns) = (&a.dims()[..a.rank() - 1], b.dims().last().filter(|_| of > 1));
                let batches = b.dims()[..of.saturating_sub(2)].iter().product::<usize>().max(1);
                let dims: Vec<usize> = rows.iter().chain(columns).copied().chain([batches]).collect();
                reserve(ctx, &dims, a.dtype().size_in_bytes().max(b.dtype().size_in_bytes()))?;
                let columns = b.dims().last().copied().filter(|_| of > 1).unwrap_or(1);
                if a.rank() < 2 {
                    return product(&a, &b).told();
                }
                product_by_pieces(ctx, &a, &|a| product(a, &b), columns)
            }),
    );
    r.add(joining("cat", "Tensors joined along a dimension they have.", "4", Tensor::cat));
    r.add(joining("stack", "Tensors of one shape stacked along a new dimension.", "2", |t, d| {
        Tensor::stack(t, d)
    }));
}

fn product(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    let (a, b) = (float(a)?, float(b)?);
    let row = a.rank() == 1;
    let column = b.rank() == 1;
    let a = if row { a.unsqueeze(0)? } else { a };
    let b = if column { b.unsqueeze(1)? } else { b };
    let dtype = if a.dtype() == b.dtype() { a.dtype() } else { candle_core::DType::F32 };
    let mut out = a.to_dtype(dtype)?.contiguous()?.broadcast_matmul(&b.to_dtype(dtype)?.contiguous()?)?;
    if column {
        out = out.squeeze(candle_core::D::Minus1.to_index(out.shape(), "matmul")?)?;
    }
    if row {
        out = out.squeeze(out.rank().saturating_sub(if column { 1 } else { 2 }))?;
    }
    Ok(out)
}

fn joining(
    name: &'static str,
    doc: &'static str,
    length: &'static str,
    f: fn(&[Tensor], usize) -> candle_core::Result<Tensor>,
) -> Primitive {
    Primitive::new(name, doc)
        .details("The dimension is counted as the language counts: from 1 in Lua, from 0 in Rhai, and -1 is the last.")
        .arg("tensors", "list of Tensor", "what to join")
        .arg_or("dim", "dim", 0, "the dimension; the first if not given")
        .returns("Tensor", "the joined tensor")
        .example(format!("assert(#lota.{name}({{lota.zeros({{2}}), lota.ones({{2}})}}) == {length})"))
        .call(move |ctx, args| {
            let tensors = tensors(args, "tensors")?;
            let elements = tensors.iter().fold(0, |n: usize, t| n.saturating_add(t.elem_count()));
            reserve(ctx, &[elements], tensors.first().map_or(1, |t| t.dtype().size_in_bytes()))?;
            let given: i64 = args.get("dim")?;
            let Some(first) = tensors.first() else {
                return Err(args.wrong("tensors", "must not be empty"));
            };
            let rank = first.rank() + usize::from(name == "stack");
            match position(given, rank) {
                Some(dim) if name == "cat" => joined_by_pieces(ctx, &tensors, dim),
                Some(dim) => Ok(f(&tensors, dim).told()?),
                None => Err(args.wrong("dim", format!("does not fit shape {}", shape_text(first.dims())))),
            }
        })
}
