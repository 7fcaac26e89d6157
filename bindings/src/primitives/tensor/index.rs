//! Parts of tensors: by position, range, and lists of positions.

use candle_core::{DType, Device, Tensor};
use lota_script::{Args, Ctx, IntoValue, Op, Primitive, Registry, Result, Value};

use super::operand::{dim, position, reserve, shape_text};
use super::take::item;
use crate::error::Told as _;
use crate::primitives::tensor::{ScriptTensor, of_value};

fn one_or_many(value: Value) -> Vec<Value> {
    match value {
        Value::List(items) => items,
        other => vec![other],
    }
}

/// `x[i]`, `x[{i, j}]` and `x:index(i, j, ...)`.
fn index(_: &Ctx, args: &mut Args) -> Result<Value> {
    let mut x = args.this::<ScriptTensor>()?.get();
    let whole = x.clone();
    let mut places = one_or_many(args.get("i")?);
    places.extend(args.get::<Vec<Value>>("more")?);
    for place in places {
        let Value::Int(i) = place else {
            return Err(args.wrong("i", format!("must hold positions, got {}", place.describe())));
        };
        let Some(len) = x.dims().first().copied() else {
            let shape = shape_text(whole.dims());
            return Err(args.wrong("i", format!("has more positions than a tensor of shape {shape}")));
        };
        let Some(at) = position(i, len) else {
            let shape = shape_text(whole.dims());
            let given = args.counted(i);
            return Err(args.wrong("i", format!("is {given}, outside a tensor of shape {shape}")));
        };
        x = x.get(at).told()?;
    }
    if x.rank() == 0 { item(&x) } else { Ok(x.into_value()) }
}

/// Positions given as a list (counted as the script counts) or as a tensor (stored from 0).
pub(super) fn positions(args: &mut Args, name: &str, len: usize, like: &Tensor) -> Result<Tensor> {
    match args.get::<Value>(name)? {
        Value::List(items) => {
            let mut places = Vec::with_capacity(items.len());
            for place in items {
                let at = match &place {
                    Value::Int(i) => position(*i, len),
                    _ => None,
                };
                let Some(at) = at.and_then(|at| u32::try_from(at).ok()) else {
                    let what = match &place {
                        Value::Int(i) => format!(
                            "holds {}, which is no position in a length of {len}, counted from {}",
                            args.counted(*i),
                            args.counted(0)
                        ),
                        other => format!("must hold positions, got {}", other.describe()),
                    };
                    return Err(args.wrong(name, what));
                };
                places.push(at);
            }
            let count = places.len();
            Ok(Tensor::from_vec(places, count, like.device()).told()?)
        }
        Value::Int(i) => {
            let i = args.counted(i);
            Err(args
                .wrong(name, format!("must be a list of positions or a Tensor, got the number {i} alone")))
        }
        other => {
            let places: Tensor = of_value(other).map_err(|m| args.mismatched(name, &m))?;
            checked(&places, len).told()?.map_err(|what| args.wrong(name, what))?;
            Ok(places.to_dtype(DType::U32).told()?.to_device(like.device()).told()?)
        }
    }
}

/// What is wrong with the first number of a tensor that is no position within a length of `len`. The kernels check some
/// of them, take the largest number of the type for "none", and cut fractions off.
fn checked(places: &Tensor, len: usize) -> candle_core::Result<Result<(), String>> {
    let outside = |at: usize, given: String| {
        let (dims, mut rest) = (places.dims(), at);
        let mut place: Vec<usize> = dims.iter().rev().map(|&d| (rest % d, rest /= d).0).collect();
        place.reverse();
        Err(format!(
            "holds {given} at {}, counted from 0, which is no position in a length of {len}: positions in tensors are \
             stored from 0 up to {}",
            shape_text(&place),
            len.saturating_sub(1)
        ))
    };
    let flat = places.flatten_all()?;
    if places.dtype().is_float() {
        let numbers = flat.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let fits = |x: &f64| x.fract() == 0.0 && *x >= 0.0 && *x < len as f64;
        return Ok(match numbers.iter().position(|x| !fits(x)) {
            Some(at) => outside(at, numbers[at].to_string()),
            None => Ok(()),
        });
    }
    let numbers = flat.to_dtype(DType::I64)?.to_vec1::<i64>()?;
    Ok(match numbers.iter().position(|&i| usize::try_from(i).map_or(true, |i| i >= len)) {
        Some(at) => outside(at, numbers[at].to_string()),
        None => Ok(()),
    })
}

/// The positions, from 0, that a value inside an argument holds: a list of them counted as the language counts, or a tensor
/// that stores them from 0. Otherwise what is wrong with it.
pub(crate) fn stored_positions(ctx: &Ctx, value: Value, len: usize) -> Result<Vec<u32>, String> {
    let Value::List(items) = value else {
        let places = of_value(value)
            .map_err(|m| format!("must be a list of positions or a Tensor, got {}", m.given))?;
        let text = |e: candle_core::Error| e.to_string();
        checked(&places, len).map_err(text)??;
        let flat =
            places.to_device(&Device::Cpu).and_then(|t| t.flatten_all()).and_then(|t| t.to_dtype(DType::U32));
        return flat.and_then(|t| t.to_vec1()).map_err(text);
    };
    let base = ctx.index_base();
    let place = |item: &Value| {
        let given = match item {
            Value::Int(i) => *i,
            Value::Float(x) if x.fract() == 0.0 => *x as i64,
            _ => return None,
        };
        let at = if given < 0 {
            position(given, len)?
        } else {
            position(given.checked_sub(base).filter(|i| *i >= 0)?, len)?
        };
        u32::try_from(at).ok()
    };
    let no_place = |item: &Value| {
        format!("holds {}, which is no position in a length of {len}, counted from {base}", item.describe())
    };
    items.iter().map(|item| place(item).ok_or_else(|| no_place(item))).collect()
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "index", "The part at a position: a row of a matrix, or a number.")
            .details("x[i] is the same, and x[{i, j}] goes down two dimensions. Negative positions count from the end.")
            .arg("i", "index|list of index", "the position in the first dimension, or several dimensions' positions")
            .rest("more", "index", "positions in the further dimensions")
            .returns("Tensor|number", "a tensor, or a number once every dimension has its position")
            .operator(Op::Index)
            .example("local x = lota.tensor({{1, 2}, {3, 4}})\nassert(x[2][1] == 3 and x:index(-1, -1) == 4)")
            .call(index),
    );
    r.add(
        Primitive::method("Tensor", "narrow", "A range of one dimension.")
            .arg("dim", "dim", "the dimension")
            .arg("start", "index", "the first position")
            .opt("len", "integer", (), "how many; to the end if not given")
            .returns("Tensor", "the part; what is changed in it in place is not changed in the whole")
            .example("assert(lota.arange(1, 5):narrow(1, 2, {len = 3}):sum():item() == 9)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = dim(args, "dim", &x)?.unwrap_or(0);
                let len = x.dim(dim).told()?;
                let given: i64 = args.get("start")?;
                let Some(start) = position(given, len) else {
                    return Err(args.wrong("start", format!("is outside a length of {len}")));
                };
                let count = args.opt::<usize>("len")?.unwrap_or(len - start);
                if count > len - start {
                    return Err(args.wrong("len", format!("goes past the end: {} are left", len - start)));
                }
                x.narrow(dim, start, count).told()
            }),
    );
    r.add(
        Primitive::method("Tensor", "select", "The parts at several positions of a dimension.")
            .details(
                "In PyTorch: index_select. The dimension and the positions of a list are counted as the language counts, from 1 \
                 in Lua and from 0 in Rhai, with -1 for the last; positions in a tensor count from 0, as argmax gives them.",
            )
            .arg("dim", "dim", "the dimension")
            .arg(
                "positions",
                "list of index|Tensor",
                "a list of positions, or a tensor of them stored from 0",
            )
            .returns("Tensor", "the parts, in the order given")
            .example("assert(lota.tensor({5, 6, 7}):select(1, {3, 1}):totable()[1] == 7)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = dim(args, "dim", &x)?.unwrap_or(0);
                let places = positions(args, "positions", x.dim(dim).told()?, &x)?;
                let row = x.elem_count() / x.dim(dim).told()?.max(1);
                reserve(ctx, &[row, places.elem_count()], x.dtype().size_in_bytes())?;
                x.contiguous().told()?.index_select(&places.contiguous().told()?, dim).told()
            }),
    );
    r.add(
        Primitive::method("Tensor", "gather", "One element a place along a dimension, as PyTorch's gather.")
            .arg("dim", "dim", "the dimension")
            .arg("positions", "Tensor", "positions stored from 0, in the shape of the result")
            .returns("Tensor", "the elements")
            .example(
                "local x = lota.tensor({{1, 2}, {3, 4}})\nlocal best = x:argmax(2, {keep = true})\n\
                 assert(x:gather(2, best):sum():item() == 6)",
            )
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let dim = dim(args, "dim", &x)?.unwrap_or(0);
                let places = positions(args, "positions", x.dim(dim).told()?, &x)?;
                x.contiguous().told()?.gather(&places.contiguous().told()?, dim).told()
            }),
    );
}
