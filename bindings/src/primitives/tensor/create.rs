//! Making tensors: from numbers, constant, ranges, random.

use candle_core::{DType, Device, Shape, Tensor};
use lota_script::{Args, Ctx, Error, FromValue, Mismatch, Primitive, Registry, Result, Value, nearest};

use super::operand::shape_text;
use super::work::by_pieces;
use crate::error::Told as _;
use crate::machine::OnMachine as _;
use crate::primitives::rng::ScriptRng;
use crate::primitives::tensor::of_value;

const DTYPES: [&str; 9] = ["f32", "f64", "bf16", "f16", "u8", "u32", "i16", "i32", "i64"];

/// A type of numbers that a script names.
pub(super) struct Dtype(pub(super) DType);

impl FromValue for Dtype {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        let Value::Str(name) = &value else { return Err(Mismatch::new("string", &value)) };
        let known = DTYPES.contains(&name.as_str());
        name.parse().ok().filter(|_| known).map(Self).ok_or_else(|| {
            let near = nearest(name, DTYPES).map_or(String::new(), |n| format!("; did you mean '{n}'?"));
            Mismatch::new(format!("dtype, one of {}{near}", DTYPES.join(" ")), &value)
        })
    }
}

/// A shape given as a whole number or a list of them.
pub(super) struct Dims(pub(super) Vec<usize>);

impl FromValue for Dims {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::List(_) => Vec::<usize>::from_value(value).map(Self),
            other => usize::from_value(other).map(|n| Self(vec![n])),
        }
    }
}

/// Numbers made between two looks at the switch.
const SOME: usize = 1 << 16;
/// More than this is a mistake, not a wish.
const MOST: usize = 1 << 40;

fn shape(ctx: &Ctx, args: &mut Args, dtype: DType) -> Result<Vec<usize>> {
    let Dims(dims) = args.get("shape")?;
    let size = dims.iter().try_fold(dtype.size_in_bytes(), |n, d| n.checked_mul(*d));
    match size {
        Some(bytes) if bytes <= MOST => ctx.reserve(bytes).map(|()| dims),
        _ => Err(args.wrong("shape", format!("{} is too large", shape_text(&dims)))),
    }
}

fn place(ctx: &Ctx, args: &mut Args) -> Result<(DType, Device)> {
    let Dtype(dtype) = args.get("dtype")?;
    let device: Option<String> = args.opt("device")?;
    Ok((dtype, ctx.device_or_default(device.as_deref())?))
}

fn placed(p: Primitive) -> Primitive {
    p.opt("dtype", "string", "f32", "type of the numbers: f32, f64, bf16, f16, u8, u32, i16, i32 or i64").opt(
        "device",
        "string",
        (),
        "where it lies: cpu, cuda:N or metal; this run's device if not given",
    )
}

/// The numbers of nested lists and their shape.
fn flatten(value: &Value, depth: usize, dims: &mut Vec<usize>, out: &mut Vec<f64>) -> Result<(), String> {
    match value {
        Value::List(items) => {
            match dims.get(depth) {
                None if out.is_empty() => dims.push(items.len()),
                Some(len) if *len == items.len() => {}
                Some(len) => {
                    return Err(format!(
                        "has a list of {} beside one of {len}; all must be as long",
                        items.len()
                    ));
                }
                None => return Err("has a list beside a number".into()),
            }
            items.iter().try_for_each(|item| flatten(item, depth + 1, dims, out))
        }
        _ if depth != dims.len() => Err("has a number beside a list".into()),
        Value::Int(i) => {
            out.push(*i as f64);
            Ok(())
        }
        Value::Float(x) => {
            out.push(*x);
            Ok(())
        }
        Value::Bool(b) => {
            out.push(f64::from(u8::from(*b)));
            Ok(())
        }
        other => Err(format!("holds {}; it must hold numbers", other.describe())),
    }
}

/// What is wrong unless a type of whole numbers can hold these.
fn fit(dtype: DType, numbers: &[f64]) -> Result<(), String> {
    let (least, most) = match dtype {
        DType::U8 => (0.0, f64::from(u8::MAX)),
        DType::U32 => (0.0, f64::from(u32::MAX)),
        DType::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
        DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // Numbers of a script pass through 64-bit floats, which hold whole numbers exactly up to here.
        DType::I64 => (-9_007_199_254_740_991.0, 9_007_199_254_740_991.0),
        _ => return Ok(()),
    };
    match numbers.iter().find(|x| !(x.fract() == 0.0 && (least..=most).contains(*x))) {
        Some(x) => Err(format!(
            "holds {x}, which {} cannot: it holds whole numbers from {least} to {most}",
            dtype.as_str()
        )),
        None => Ok(()),
    }
}

fn random(
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    draw: fn(&mut lota_runtime::host::Rng) -> f64,
) -> Primitive {
    placed(
        Primitive::new(name, doc)
            .details("The numbers are the same on every device and machine.")
            .arg("shape", "integer|list of integer", "the shape")
            .need("rng", "Rng", "the generator they are drawn from"),
    )
    .returns("Tensor", "the numbers")
    .example(example)
    .call(move |ctx, args| {
        let (dtype, device) = place(ctx, args)?;
        let dims = shape(ctx, args, dtype)?;
        let rng: std::sync::Arc<ScriptRng> = args.get("rng")?;
        let count: usize = dims.iter().product();
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            ctx.host.cancel.check()?;
            let more = (count - numbers.len()).min(SOME);
            rng.with(|rng| numbers.extend((0..more).map(|_| draw(rng) as f32)));
        }
        Tensor::from_vec(numbers, dims, &Device::Cpu)
            .told()?
            .to_dtype(dtype)
            .told()?
            .to_device(&device)
            .told()
    })
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        placed(Primitive::new("tensor", "A tensor of given numbers."))
            .arg("data", "number|list|Tensor", "a number, a list, lists of lists, or a tensor to copy")
            .returns("Tensor", "the tensor")
            .example("local x = lota.tensor({{1, 2}, {3, 4}})\nassert(x:sum():item() == 10)")
            .call(|ctx, args| {
                let given = args.is_given("dtype");
                let (dtype, device) = place(ctx, args)?;
                let data: Value = args.get("data")?;
                if let Value::Object(_) = data {
                    let tensor = of_value(data).map_err(|m| args.mismatched("data", &m))?;
                    let dtype = if given { dtype } else { tensor.dtype() };
                    return tensor.detach().copy().told()?.to_dtype(dtype).told()?.to_device(&device).told();
                }
                let (mut dims, mut numbers) = (Vec::new(), Vec::new());
                flatten(&data, 0, &mut dims, &mut numbers).map_err(|what| args.wrong("data", what))?;
                fit(dtype, &numbers).map_err(|what| args.wrong("data", what))?;
                Tensor::from_vec(numbers, Shape::from(dims), &Device::Cpu)
                    .told()?
                    .to_dtype(dtype)
                    .told()?
                    .to_device(&device)
                    .told()
            }),
    );
    for (name, doc, number) in [("zeros", "A tensor of zeros.", 0.0), ("ones", "A tensor of ones.", 1.0)] {
        r.add(
            placed(Primitive::new(name, doc).arg("shape", "integer|list of integer", "the shape"))
                .returns("Tensor", "the tensor")
                .example(format!("assert(lota.{name}({{2, 3}}):sum():item() == {})", number * 6.0))
                .call(move |ctx, args| full(ctx, args, number)),
        );
    }
    r.add(
        placed(
            Primitive::new("full", "A tensor of one number.")
                .arg("shape", "integer|list of integer", "the shape")
                .arg("value", "number", "the number"),
        )
        .returns("Tensor", "the tensor")
        .example("assert(lota.full({4}, 2.5):sum():item() == 10)")
        .call(|ctx, args| {
            let value = args.get("value")?;
            full(ctx, args, value)
        }),
    );
    r.add(
        placed(
            Primitive::new("arange", "The numbers from start to stop, both included, as Lua's `for` counts.")
                .arg("start", "number", "the first")
                .arg("stop", "number", "the last, if a step falls on it")
                .opt("step", "number", 1, "the distance between two"),
        )
        .returns("Tensor", "one dimension")
        .example(
            "assert(#lota.arange(0, 4) == 5)\nassert(lota.arange(1, 0, {step = -0.5}):sum():item() == 1.5)",
        )
        .call(|ctx, args| {
            let (dtype, device) = place(ctx, args)?;
            let (start, stop): (f64, f64) = (args.get("start")?, args.get("stop")?);
            let step: f64 = args.get("step")?;
            if step == 0.0 || !(stop - start).is_finite() {
                return Err(args.wrong("step", "must not be 0, and both ends must be finite"));
            }
            // A last step that misses `stop` by rounding alone still counts.
            let count = ((stop - start) / step * (1.0 + f64::EPSILON) + 1.0).floor().max(0.0);
            if count > MOST as f64 / 8.0 {
                return Err(args.wrong("stop", "is too far away for this step"));
            }
            ctx.reserve((count as usize).saturating_mul(8 + dtype.size_in_bytes()))?;
            let count = count as usize;
            let mut numbers = Vec::with_capacity(count);
            while numbers.len() < count {
                ctx.host.cancel.check()?;
                let from = numbers.len();
                numbers.extend((from..count.min(from + SOME)).map(|i| start + i as f64 * step));
            }
            Tensor::from_vec(numbers, count, &Device::Cpu)
                .told()?
                .to_dtype(dtype)
                .told()?
                .to_device(&device)
                .told()
        }),
    );
    r.add(
        placed(
            Primitive::new("eye", "A square matrix with ones on its diagonal.").arg("n", "integer", "rows"),
        )
        .returns("Tensor", "n by n")
        .example("assert(lota.eye(3):sum():item() == 3)")
        .call(|ctx, args| {
            let (dtype, device) = place(ctx, args)?;
            let n: usize = args.get("n")?;
            if n.checked_mul(n).is_none_or(|n| n > MOST / 8) {
                return Err(args.wrong("n", "is too large"));
            }
            ctx.reserve(n * n * dtype.size_in_bytes())?;
            Tensor::eye(n, dtype, &device).told()
        }),
    );
    r.add(random(
        "rand",
        "Random numbers, uniform in [0, 1).",
        "local x = lota.rand({100}, {rng = lota.rng(7)})\nassert(x:min():item() >= 0 and x:max():item() < 1)",
        |rng| f64::from(rng.next_u32() >> 8) / f64::from(1u32 << 24),
    ));
    r.add(random(
        "randn",
        "Random numbers with mean 0 and deviation 1.",
        "local x = lota.randn({1000}, {rng = lota.rng(7)})\nassert(math.abs(x:mean():item()) < 0.2)",
        lota_runtime::host::Rng::normal,
    ));
}

fn full(ctx: &Ctx, args: &mut Args, value: f64) -> Result<Tensor, Error> {
    let (dtype, device) = place(ctx, args)?;
    fit(dtype, &[value]).map_err(|what| args.wrong("value", what))?;
    let dims = shape(ctx, args, dtype)?;
    if value == 0.0 {
        return Tensor::zeros(dims, dtype, &device).told();
    }
    let one = match dtype {
        DType::F64 => Tensor::new(value, &device),
        DType::I64 => Tensor::new(value as i64, &device),
        DType::U32 => Tensor::new(value as u32, &device),
        _ => Tensor::new(value, &Device::Cpu).and_then(|one| one.to_dtype(dtype)?.to_device(&device)),
    };
    let wide = one.and_then(|one| one.broadcast_as(dims)).told()?;
    by_pieces(ctx, &[wide], &|x| x[0].contiguous()?.copy())
}
