//! Elements by a condition, and elements put in place: nonzero, masked_select, scatter.

use candle_core::{DType, Device, Tensor};
use lota_script::{Args, Ctx, Primitive, Registry, Result};
use std::sync::Arc;

use super::index::positions;
use super::operand::{Operand, dim, pair, reserve, shape_text};
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

/// The flat positions of what is not 0.
fn flat_nonzero(ctx: &Ctx, x: &Tensor) -> Result<Vec<u32>> {
    reserve(ctx, x.dims(), x.dtype().size_in_bytes() + 5)?;
    if u32::try_from(x.elem_count()).is_err() {
        return Err(lota_script::Error::argument("the tensor must have fewer than 2^32 elements"));
    }
    let ones = x.ne(&x.zeros_like().told()?).told()?.to_device(&Device::Cpu).told()?;
    let ones = ones.flatten_all().told()?.to_dtype(DType::U8).told()?.to_vec1::<u8>().told()?;
    Ok((0..).zip(ones).filter(|(_, one)| *one != 0).map(|(at, _)| at).collect())
}

fn nonzero(ctx: &Ctx, args: &mut Args) -> Result<Tensor> {
    let x = args.this::<ScriptTensor>()?.get();
    let found = flat_nonzero(ctx, &x)?;
    let (count, rank) = (found.len(), x.rank());
    reserve(ctx, &[count, rank], DType::U32.size_in_bytes())?;
    let mut places = vec![0u32; count * rank];
    for (place, at) in places.chunks_mut(rank.max(1)).zip(found) {
        let mut rest = at;
        for (place, len) in place.iter_mut().zip(x.dims()).rev() {
            *place = rest % *len as u32;
            rest /= *len as u32;
        }
    }
    Tensor::from_vec(places, (count, rank), x.device()).told()
}

fn masked_select(ctx: &Ctx, args: &mut Args) -> Result<Tensor> {
    let x = args.this::<ScriptTensor>()?.get();
    let mask = args.get::<Arc<ScriptTensor>>("mask")?.get();
    let shape = match x.shape().broadcast_shape_binary_op(mask.shape(), "masked_select") {
        Ok(shape) => shape,
        Err(_) => {
            let (x, mask) = (shape_text(x.dims()), shape_text(mask.dims()));
            return Err(
                args.wrong("mask", format!("of shape {mask} cannot be stretched to {x}, nor the other way"))
            );
        }
    };
    reserve(ctx, shape.dims(), x.dtype().size_in_bytes() + mask.dtype().size_in_bytes())?;
    let found = flat_nonzero(ctx, &mask.broadcast_as(&shape).told()?)?;
    let flat = x.broadcast_as(&shape).told()?.flatten_all().told()?;
    if found.is_empty() {
        return flat.narrow(0, 0, 0).told();
    }
    let count = found.len();
    reserve(ctx, &[count], x.dtype().size_in_bytes())?;
    let found = Tensor::from_vec(found, count, x.device()).told()?;
    flat.contiguous().told()?.index_select(&found, 0).told()
}

fn scatter(ctx: &Ctx, args: &mut Args) -> Result<Tensor> {
    let x = args.this::<ScriptTensor>()?.get();
    let values: Operand = args.get("values")?;
    let add: bool = args.get("add")?;
    let dim = match dim(args, "dim", &x)? {
        Some(dim) => dim,
        None => return Err(args.wrong("dim", "is missing: it says which dimension the positions are of")),
    };
    let places = positions(args, "positions", x.dim(dim).told()?, &x)?;
    let fits = places.rank() == x.rank()
        && (0..x.rank()).all(|d| d == dim || places.dims().get(d) == x.dims().get(d));
    if !fits {
        let (places, x) = (shape_text(places.dims()), shape_text(x.dims()));
        let what = format!("of shape {places} must have shape {x} but for the dimension that they are of");
        return Err(args.wrong("positions", what));
    }
    let (x, values) = pair(&Operand::Tensor(x), &values).told()?;
    let values = match values.rank() {
        0 => values.broadcast_as(places.dims()).told()?,
        _ => values,
    };
    if values.dims() != places.dims() {
        let (values, places) = (shape_text(values.dims()), shape_text(places.dims()));
        return Err(
            args.wrong("values", format!("of shape {values} must have the shape of the positions, {places}"))
        );
    }
    reserve(ctx, x.dims(), 2 * x.dtype().size_in_bytes() + 5)?;
    reserve(ctx, places.dims(), x.dtype().size_in_bytes() + 8)?;
    put(&x.contiguous().told()?, &places.contiguous().told()?, &values.contiguous().told()?, dim, add).told()
}

/// The values put into `x`. The operations are those whose gradients are right where positions meet: a number that is
/// replaced gets none, and of several values at one position only the last.
fn put(x: &Tensor, places: &Tensor, values: &Tensor, dim: usize, add: bool) -> candle_core::Result<Tensor> {
    if values.elem_count() == 0 {
        return Ok(x.clone());
    }
    if add {
        // Flat positions: the backward of scatter_add takes values of the tensor's own shape alone.
        let at = flat_positions(x, places, dim)?;
        return x.flatten_all()?.index_add(&at, &values.flatten_all()?, 0)?.reshape(x.dims());
    }
    let mut along = vec![1; x.rank()];
    along[dim] = places.dim(dim)?;
    let own = Tensor::arange(0, places.dim(dim)? as u32, x.device())?.reshape(along)?;
    let own = own.broadcast_as(places.dims())?.contiguous()?;
    let from = Tensor::zeros(x.dims(), DType::U32, x.device())?.scatter(places, &own, dim)?;
    let ones = own.ones_like()?;
    let taken = Tensor::zeros(x.dims(), DType::U32, x.device())?.scatter(places, &ones, dim)?;
    taken.where_cond(&values.gather(&from, dim)?, x)
}

/// Where in the flattened `x` positions along a dimension lie, in their order.
fn flat_positions(x: &Tensor, places: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let stride: usize = x.dims().iter().skip(dim + 1).product();
    let (len, here) = (x.dim(dim)?, places.dim(dim)?);
    let given = places.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<u32>()?;
    let flat = given.into_iter().enumerate().map(|(i, place)| {
        let (outer, inner) = (i / (here * stride), i % stride);
        ((outer * len + place as usize) * stride + inner) as i64
    });
    let flat: Vec<i64> = flat.collect();
    let count = flat.len();
    Tensor::from_vec(flat, count, x.device())
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "nonzero", "Where the tensor is not 0.")
            .details(
                "As in PyTorch: a row for each such element, in order, with its position in every dimension, counted from 0 in \
                 both languages, since they are numbers in a tensor. NaN is not 0.",
            )
            .returns("Tensor", "u32, {how many, number of dimensions}")
            .example("assert(lota.tensor({0, 5, 7}):nonzero():totable()[1][1] == 1)")
            .call(nonzero),
    );
    r.add(
        Primitive::method("Tensor", "masked_select", "The elements where another tensor is not 0.")
            .details(
                "As in PyTorch; shapes are stretched to fit. Gradients go to the elements that are taken.",
            )
            .arg(
                "mask",
                "Tensor",
                "what is not 0 in it is taken; comparisons (gt, eq, ...) give such tensors",
            )
            .returns("Tensor", "one dimension, in order")
            .example(
                "local x = lota.tensor({-1, 2, 3})\nassert(x:masked_select(x:gt(0)) == lota.tensor({2, 3}))",
            )
            .call(masked_select),
    );
    r.add(
        Primitive::method("Tensor", "scatter", "Values put in place along a dimension, as PyTorch's scatter.")
            .details(
                "The reverse of gather. Of several values at one position the last stays, or all are added with `add`. \
                 Gradients go into the values that stay and into what was not replaced.",
            )
            .arg("dim", "dim", "the dimension")
            .arg("positions", "Tensor", "positions stored from 0, in the shape of the values")
            .need("values", "Tensor|number", "what to put there; a number is put everywhere")
            .opt("add", "boolean", false, "adds to what is there, in place of replacing it (PyTorch's scatter_add)")
            .returns("Tensor", "a new tensor of the same shape")
            .example(
                "local x = lota.zeros({2, 3})\nlocal at = lota.tensor({{2}, {0}}, {dtype = 'u32'})\n\
                 assert(x:scatter(2, at, {values = 1}):totable()[1][3] == 1)",
            )
            .call(scatter),
    );
}
