//! Arithmetic on values, entry by entry, by operators and by names.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::vectors::Values;
use lota_script::{Args, Ctx, FromValue, Mismatch, Op, Primitive, Registry, Result, Value};

use super::{example, method};
use crate::primitives::shared::ScriptValues;
use crate::primitives::tensor::range;

/// One side of an operation.
enum Side {
    Values(Arc<Values>),
    Number(f64),
}

impl FromValue for Side {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match &value {
            Value::Int(i) => Ok(Self::Number(*i as f64)),
            Value::Float(x) => Ok(Self::Number(*x)),
            Value::Object(object) => match object.downcast_ref::<ScriptValues>() {
                Some(values) => Ok(Self::Values(values.get())),
                None => Err(Mismatch::new("Values|number", &value)),
            },
            other => Err(Mismatch::new("Values|number", other)),
        }
    }
}

type Both = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

/// An operation on two sides: `both` on two tensors of one shape, the others where one side is a number.
struct Binary {
    name: &'static str,
    doc: &'static str,
    holds: &'static str,
    op: Option<Op>,
    both: Both,
    right: fn(&Tensor, f64) -> candle_core::Result<Tensor>,
    left: fn(f64, &Tensor) -> candle_core::Result<Tensor>,
}

fn filled(x: f64, like: &Tensor) -> candle_core::Result<Tensor> {
    Tensor::full(x as f32, like.shape(), like.device())
}

#[rustfmt::skip] // a table: one operation each
const BINARY: [Binary; 7] = [
    Binary { name: "add", doc: "The sum, entry by entry.", holds: "(s + s):sum() == (2 * s):sum()", op: Some(Op::Add),
        both: |a, b| a + b, right: |a, x| a.affine(1.0, x), left: |x, a| a.affine(1.0, x) },
    Binary { name: "sub", doc: "The difference, entry by entry.", holds: "(s - s):norm() == 0", op: Some(Op::Sub),
        both: |a, b| a - b, right: |a, x| a.affine(1.0, -x), left: |x, a| a.affine(-1.0, x) },
    Binary { name: "mul", doc: "The product, entry by entry.", holds: "(s * 0):norm() == 0", op: Some(Op::Mul),
        both: |a, b| a * b, right: |a, x| a.affine(x, 0.0), left: |x, a| a.affine(x, 0.0) },
    Binary { name: "div", doc: "The quotient, entry by entry.", holds: "(s / 2):norm() * 2 == s:norm()", op: Some(Op::Div),
        both: |a, b| a / b, right: |a, x| a / x, left: |x, a| filled(x, a)? / a },
    Binary { name: "pow", doc: "The first to the power of the second, entry by entry.", holds: "(s:abs() ^ 0):sum() == s:count()",
        op: Some(Op::Pow), both: Tensor::pow, right: power, left: |x, a| filled(x, a)?.pow(a) },
    Binary { name: "maximum", doc: "The larger, entry by entry.", holds: "s:maximum(0):min() >= 0", op: None,
        both: |a, b| a.maximum(b), right: |a, x| a.maximum(x), left: |x, a| a.maximum(x) },
    Binary { name: "minimum", doc: "The smaller, entry by entry.", holds: "s:minimum(0):max() <= 0", op: None,
        both: |a, b| a.minimum(b), right: |a, x| a.minimum(x), left: |x, a| a.minimum(x) },
];

fn power(a: &Tensor, x: f64) -> candle_core::Result<Tensor> {
    match x {
        0.5 => a.sqrt(),
        1.0 => Ok(a.clone()),
        2.0 => a.sqr(),
        x => a.powf(x),
    }
}

type One = fn(&Tensor) -> candle_core::Result<Tensor>;

#[rustfmt::skip] // a table: one operation a line
const UNARY: [(&str, &str, &str, One); 7] = [
    ("abs", "The magnitude of every number.", "s:abs():min() >= 0", Tensor::abs),
    ("sqrt", "The square root of every number.", "s:square():sqrt():sum() >= 0", Tensor::sqrt),
    ("square", "The square of every number.", "s:square():min() >= 0", Tensor::sqr),
    ("sign", "-1, 0 or 1 for every number.", "s:sign():abs():max() == 1", Tensor::sign),
    ("neg", "The negative of every number.", "(-s):sum() == -s:sum()", Tensor::neg),
    ("exp", "e to the power of every number.", "(s * 0):exp():sum() == s:count()", Tensor::exp),
    ("log", "The natural logarithm of every number.", "(s * 0 + 1):log():norm() == 0", Tensor::log),
];

pub(super) fn register(r: &mut Registry) {
    for binary in BINARY {
        let Binary { name, doc, holds, op, .. } = binary;
        let record = Primitive::new(format!("Values:{name}"), doc)
            .details(
                "Two values must be of the same entries: bring them to the same with Values:within. The result is f32.",
            )
            .arg("self", "Values|number", "one side")
            .arg("other", "Values|number", "the other side")
            .returns("Values", "the new values")
            .example(example(&format!("assert({holds})\nlocal named = s:{name}(2)")));
        let record = match op {
            Some(op) => record.operator(op),
            None => record,
        };
        r.add(record.call(move |ctx, args| combined(ctx, args, &binary)));
    }
    for (name, doc, holds, f) in UNARY {
        let record = method(name, doc)
            .returns("Values", "the new values")
            .example(example(&format!("assert({holds})")));
        let record = if name == "neg" { record.operator(Op::Neg) } else { record };
        r.add(record.call(move |ctx, args| {
            let values = reserved(ctx, args.this::<ScriptValues>()?.get())?;
            Ok(values.map(|_, t| Ok(f(t)?))?)
        }));
    }
    r.add(
        method("clamp", "Every number limited to a range.")
            .arg("low", "number", "the least")
            .arg("high", "number", "the most")
            .returns("Values", "the new values")
            .example(example("assert(s:clamp(-0.01, 0.02):max() <= 0.0201)"))
            .call(|ctx, args| {
                let values = reserved(ctx, args.this::<ScriptValues>()?.get())?;
                let (low, high) = range(args)?;
                Ok(values.map(|_, t| Ok(t.clamp(low, high)?))?)
            }),
    );
}

/// Asks for the memory of a result of the same entries.
fn reserved(ctx: &Ctx, values: Arc<Values>) -> Result<Arc<Values>> {
    ctx.reserve(4 * values.count() as usize)?;
    Ok(values)
}

fn combined(ctx: &Ctx, args: &mut Args, binary: &Binary) -> Result<Values> {
    let (a, b): (Side, Side) = (args.get("self")?, args.get("other")?);
    let (both, right, left) = (binary.both, binary.right, binary.left);
    Ok(match (a, b) {
        (Side::Values(a), Side::Values(b)) => reserved(ctx, a)?.zip(&b, |_, a, b| Ok(both(a, b)?))?,
        (Side::Values(a), Side::Number(x)) => reserved(ctx, a)?.map(|_, a| Ok(right(a, x)?))?,
        (Side::Number(x), Side::Values(b)) => reserved(ctx, b)?.map(|_, b| Ok(left(x, b)?))?,
        (Side::Number(_), Side::Number(_)) => {
            return Err(args.wrong("self", "and 'other' are both numbers: one must be Values"));
        }
    })
}
