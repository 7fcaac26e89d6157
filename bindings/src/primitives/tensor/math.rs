//! Arithmetic and comparison, element by element, with broadcasting.

use std::slice::from_ref;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use lota_script::{Args, Ctx, Op, Primitive, Registry, Result};

use super::operand::{Operand, float, for_number, pair, reserve, reserve_stretched};
use super::work::by_pieces;
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

type Binary = fn(&Operand, &Operand) -> candle_core::Result<Tensor>;

fn add(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(x), Operand::Number(n)) | (Operand::Number(n), Operand::Tensor(x)) => {
            for_number(x, *n)?.affine(1.0, *n)
        }
        _ => pair(a, b).and_then(|(a, b)| a.broadcast_add(&b)),
    }
}

fn sub(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(x), Operand::Number(n)) if x.dtype().is_float() => x.affine(1.0, -n),
        (Operand::Number(n), Operand::Tensor(x)) if x.dtype().is_float() => x.affine(-1.0, *n),
        _ => pair(a, b).and_then(|(a, b)| a.broadcast_sub(&b)),
    }
}

fn mul(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(x), Operand::Number(n)) | (Operand::Number(n), Operand::Tensor(x)) => {
            for_number(x, *n)?.affine(*n, 0.0)
        }
        _ => pair(a, b).and_then(|(a, b)| a.broadcast_mul(&b)),
    }
}

/// Always in floating point: a whole-number tensor divided is not cut off.
fn div(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    let (a, b) = pair(a, b)?;
    float(&a)?.broadcast_div(&float(&b)?)
}

fn pow(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(x), Operand::Number(n)) => match *n {
            2.0 => float(x)?.sqr(),
            0.5 => float(x)?.sqrt(),
            n => float(x)?.powf(n),
        },
        _ => pair(a, b).and_then(|(a, b)| float(&a)?.broadcast_pow(&float(&b)?)),
    }
}

fn maximum(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    pair(a, b).and_then(|(a, b)| a.broadcast_maximum(&b))
}

fn minimum(a: &Operand, b: &Operand) -> candle_core::Result<Tensor> {
    pair(a, b).and_then(|(a, b)| a.broadcast_minimum(&b))
}

fn binary(name: &'static str, doc: &'static str, sum: &'static str, f: Binary) -> Primitive {
    Primitive::new(format!("Tensor:{name}"), doc)
        .arg("self", "Tensor|number", "one side")
        .arg("other", "Tensor|number", "the other side; shapes are stretched to fit, as in PyTorch")
        .returns("Tensor", "a new tensor")
        .example(format!("assert(lota.tensor({{4, 2}}):{name}(2):sum():item() == {sum})"))
        .call(move |ctx, args| {
            let (a, b): (Operand, Operand) = (args.get("self")?, args.get("other")?);
            stretched(ctx, &a, &b, f)
        })
}

/// The same, in place: the tensor keeps its shape and type.
fn in_place(name: &'static str, sum: &'static str, f: Binary) -> Primitive {
    Primitive::method("Tensor", &format!("{name}_"), format!("As {name}, but changes this tensor."))
        .arg("other", "Tensor|number", "the other side")
        .returns("Tensor", "this tensor")
        .example(format!("local x = lota.tensor({{4, 2}})\nx:{name}_(2)\nassert(x:sum():item() == {sum})"))
        .call(move |ctx, args| {
            let this = args.this::<ScriptTensor>()?;
            let other: Operand = args.get("other")?;
            let old = this.get();
            let own = Operand::Tensor(old.clone());
            let new = stretched(ctx, &own, &other, f)?;
            if new.dims() != old.dims() {
                let what = format!("would change the shape from {:?} to {:?}", old.dims(), new.dims());
                return Err(args.wrong("other", what));
            }
            this.assign(&new.to_dtype(old.dtype()).told()?).told()?;
            Ok(this)
        })
}

/// An operation on two sides, stretched to one shape and taken piece by piece where they are large.
fn stretched(ctx: &Ctx, a: &Operand, b: &Operand, f: Binary) -> Result<Tensor> {
    match (a, b) {
        (Operand::Tensor(x), Operand::Number(_)) => {
            by_pieces(ctx, from_ref(x), &|x| f(&Operand::Tensor(x[0].clone()), b))
        }
        (Operand::Number(_), Operand::Tensor(x)) => {
            by_pieces(ctx, from_ref(x), &|x| f(a, &Operand::Tensor(x[0].clone())))
        }
        (Operand::Tensor(x), Operand::Tensor(y)) => {
            reserve_stretched(ctx, a, b)?;
            let sides = both(x, y);
            by_pieces(ctx, &sides, &|x| f(&Operand::Tensor(x[0].clone()), &Operand::Tensor(x[1].clone())))
        }
        (Operand::Number(_), Operand::Number(_)) => f(a, b).told(),
    }
}

/// Both sides stretched to one shape, where they can be and carry no gradients; else as they are.
fn both(x: &Tensor, y: &Tensor) -> [Tensor; 2] {
    let stretch = || {
        let shape = x.shape().broadcast_shape_binary_op(y.shape(), "stretch").ok()?;
        let plain = !x.track_op() && !y.track_op();
        let plain = plain && x.device().same_device(y.device());
        plain.then(|| Some([x.broadcast_as(&shape).ok()?, y.broadcast_as(&shape).ok()?]))?
    };
    stretch().unwrap_or_else(|| [x.clone(), y.clone()])
}

fn unary(name: &'static str, doc: &'static str, example: &'static str, f: Unary) -> Primitive {
    Primitive::method("Tensor", name, doc)
        .returns("Tensor", "a new tensor of the same shape")
        .example(example)
        .call(move |ctx, args| by_pieces(ctx, &[args.this::<ScriptTensor>()?.get()], &|x| f(&x[0])))
}

fn compare(
    name: &'static str,
    doc: &'static str,
    sum: &'static str,
    f: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Primitive {
    Primitive::method("Tensor", name, doc)
        .details(
            "In PyTorch the result is of type bool; here it is u8, so it can be summed, and counted with by where. The \
             operators == and < of the languages give one true or false, never one for each element.",
        )
        .arg("other", "Tensor|number", "the other side")
        .returns("Tensor", "u8: 1 where it holds, 0 where not")
        .example(format!("assert(lota.tensor({{1, 2, 3}}):{name}(2):sum():item() == {sum})"))
        .call(move |ctx, args| {
            let this = Operand::Tensor(args.this::<ScriptTensor>()?.get());
            let other = args.get::<Operand>("other")?;
            reserve_stretched(ctx, &this, &other)?;
            let (a, b) = match (this, other) {
                // A fraction must not be cut off to compare it with whole numbers.
                (Operand::Tensor(a), Operand::Number(n)) => {
                    pair(&Operand::Tensor(for_number(&a, n).told()?), &Operand::Number(n)).told()?
                }
                (a, b) => pair(&a, &b).told()?,
            };
            by_pieces(ctx, &both(&a, &b), &|x| f(&x[0], &x[1]))
        })
}

pub(super) fn register(r: &mut Registry) {
    for (name, doc, sum, op, f) in [
        ("add", "Sum.", "10", Op::Add, add as Binary),
        ("sub", "Difference.", "2", Op::Sub, sub),
        ("mul", "Product, element by element.", "12", Op::Mul, mul),
        ("div", "Quotient.", "3", Op::Div, div),
        ("pow", "Power.", "20", Op::Pow, pow),
    ] {
        r.add(binary(name, doc, sum, f).operator(op));
    }
    r.add(binary("maximum", "The larger of two, element by element.", "6", maximum));
    r.add(binary("minimum", "The smaller of two, element by element.", "4", minimum));
    for (name, sum, f) in
        [("add", "10", add as Binary), ("sub", "2", sub), ("mul", "12", mul), ("div", "3", div)]
    {
        r.add(in_place(name, sum, f));
    }
    comparisons(r);
    unaries(r);
}

fn comparisons(r: &mut Registry) {
    r.add(compare("eq", "Whether equal, element by element.", "1", |a, b| a.broadcast_eq(b)));
    r.add(compare("ne", "Whether different, element by element.", "2", |a, b| a.broadcast_ne(b)));
    r.add(compare("lt", "Whether less, element by element.", "1", |a, b| a.broadcast_lt(b)));
    r.add(compare("le", "Whether less or equal, element by element.", "2", |a, b| a.broadcast_le(b)));
    r.add(compare("gt", "Whether greater, element by element.", "1", |a, b| a.broadcast_gt(b)));
    r.add(compare("ge", "Whether greater or equal, element by element.", "2", |a, b| a.broadcast_ge(b)));
    r.add(
        Primitive::method("Tensor", "equals", "Whether two tensors have the same shape, type and numbers.")
            .arg("other", "Tensor", "the other")
            .returns("boolean", "true if they are the same")
            .operator(Op::Eq)
            .example("assert(lota.tensor({1, 2}) == lota.tensor({1, 2}))")
            .call(|_, args| {
                let a = args.this::<ScriptTensor>()?.get();
                let b = args.get::<Arc<ScriptTensor>>("other")?.get();
                if a.dims() != b.dims() || a.dtype() != b.dtype() {
                    return Ok(false);
                }
                let differ = a
                    .ne(&b.to_device(a.device()).told()?)
                    .told()?
                    .to_dtype(DType::U32)
                    .told()?
                    .sum_all()
                    .told()?;
                Ok(differ.to_scalar::<u32>().told()? == 0)
            }),
    );
    r.add(
        Primitive::method("Tensor", "where", "Numbers from one of two, by a condition.")
            .details(
                "In PyTorch: torch.where(condition, yes, no); here it is a method of the condition, which may hold any \
                 numbers: what is not 0 counts as true.",
            )
            .arg("yes", "Tensor|number", "taken where this tensor is not 0")
            .arg("no", "Tensor|number", "taken where it is 0")
            .returns("Tensor", "a new tensor")
            .example("local x = lota.tensor({-1, 2})\nassert(x:gt(0):where(x, 0):sum():item() == 2)")
            .call(|ctx, args| {
                let condition = args.this::<ScriptTensor>()?.get();
                let (yes, no): (Operand, Operand) = (args.get("yes")?, args.get("no")?);
                let (yes, no) = pair(&yes, &no).told()?;
                let shape = condition.shape().broadcast_shape_binary_op(yes.shape(), "where").told()?;
                let shape = shape.broadcast_shape_binary_op(no.shape(), "where").told()?;
                reserve(ctx, shape.dims(), yes.dtype().size_in_bytes())?;
                let condition =
                    condition.ne(&condition.zeros_like().told()?).told()?.broadcast_as(&shape).told()?;
                let device = condition.device().clone();
                let yes = yes.to_device(&device).told()?.broadcast_as(&shape).told()?;
                let no = no.to_device(&device).told()?.broadcast_as(&shape).told()?;
                by_pieces(ctx, &[condition, yes, no], &|x| {
                    x[0].contiguous()?.where_cond(&x[1].contiguous()?, &x[2].contiguous()?)
                })
            }),
    );
}

type Unary = fn(&Tensor) -> candle_core::Result<Tensor>;

#[rustfmt::skip] // a table: one operation a line
const UNARY: [(&str, &str, &str, Unary); 14] = [
    ("abs", "The absolute value.", "assert(lota.tensor({-1, 2}):abs():sum():item() == 3)", Tensor::abs),
    ("sqrt", "The square root.", "assert(lota.tensor({4}):sqrt():item() == 2)", |x| float(x)?.sqrt()),
    ("square", "The square.", "assert(lota.tensor({3}):square():item() == 9)",
        |x| if x.dtype().is_float() { x.sqr() } else { x.mul(x) }),
    ("exp", "e to the power of it.", "assert(lota.tensor({0}):exp():item() == 1)", |x| float(x)?.exp()),
    ("log", "The natural logarithm.", "assert(lota.tensor({1}):log():item() == 0)", |x| float(x)?.log()),
    ("sin", "The sine.", "assert(lota.tensor({0}):sin():item() == 0)", |x| float(x)?.sin()),
    ("cos", "The cosine.", "assert(lota.tensor({0}):cos():item() == 1)", |x| float(x)?.cos()),
    ("tanh", "The hyperbolic tangent.", "assert(lota.tensor({0}):tanh():item() == 0)", |x| float(x)?.tanh()),
    // By tanh, which has a backward and does not overflow.
    ("sigmoid", "1 / (1 + exp(-x)).", "assert(lota.tensor({0}):sigmoid():item() == 0.5)",
        |x| float(x)?.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)),
    ("relu", "The number, or 0 if it is negative.", "assert(lota.tensor({-1, 2}):relu():sum():item() == 2)", Tensor::relu),
    ("floor", "Rounded down.", "assert(lota.tensor({1.7}):floor():item() == 1)", |x| float(x)?.floor()),
    ("round", "Rounded to the nearest whole number.", "assert(lota.tensor({1.7}):round():item() == 2)", |x| float(x)?.round()),
    ("sign", "-1, 0 or 1.", "assert(lota.tensor({-3, 0, 5}):sign():sum():item() == 0)", |x| float(x)?.sign()),
    ("neg", "The negative.", "assert((-lota.tensor({1, 2})):sum():item() == -3)", |x| {
        if x.dtype().is_float() { return x.neg(); }
        let x = if matches!(x.dtype(), DType::U8 | DType::U32) { x.to_dtype(DType::I64)? } else { x.clone() };
        x.zeros_like()?.sub(&x)
    }),
];

fn unaries(r: &mut Registry) {
    for (name, doc, example, f) in UNARY {
        let record = unary(name, doc, example, f);
        r.add(if name == "neg" { record.operator(Op::Neg) } else { record });
    }
    r.add(
        Primitive::method("Tensor", "clamp", "Limited to a range.")
            .arg("low", "number", "the least")
            .arg("high", "number", "the most")
            .returns("Tensor", "a new tensor")
            .example("assert(lota.tensor({-5, 5}):clamp(-1, 2):sum():item() == 1)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let (low, high) = range(args)?;
                by_pieces(ctx, &[x], &|x| x[0].clamp(low, high))
            }),
    );
}

/// The arguments `low` and `high`.
pub(crate) fn range(args: &mut Args) -> Result<(f64, f64)> {
    let (low, high): (f64, f64) = (args.get("low")?, args.get("high")?);
    if low > high || low.is_nan() || high.is_nan() {
        return Err(args.wrong("low", format!("must be a number and at most high, got {low} and {high}")));
    }
    Ok((low, high))
}
