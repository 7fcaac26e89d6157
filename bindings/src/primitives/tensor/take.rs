//! Tensors out of and into other forms: numbers, tables, types, devices.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_script::{Error, FromValue, Primitive, Registry, Result, Value};

use super::create::Dtype;
use super::work::by_pieces;
use crate::error::Told as _;
use crate::machine::OnMachine as _;
use crate::primitives::tensor::ScriptTensor;

/// The elements in order, whole numbers as integers.
fn elements(x: &Tensor) -> Result<Vec<Value>> {
    let flat = x.to_device(&Device::Cpu).told()?.flatten_all().told()?;
    Ok(match x.dtype() {
        d if d.is_int() => {
            flat.to_dtype(DType::I64).told()?.to_vec1::<i64>().told()?.into_iter().map(Value::Int).collect()
        }
        _ => {
            flat.to_dtype(DType::F64).told()?.to_vec1::<f64>().told()?.into_iter().map(Value::Float).collect()
        }
    })
}

fn nested(dims: &[usize], elements: &mut std::vec::IntoIter<Value>) -> Value {
    match dims.split_first() {
        None => elements.next().unwrap_or_default(),
        Some((len, rest)) => Value::List((0..*len).map(|_| nested(rest, elements)).collect()),
    }
}

/// The number of a tensor with one element.
pub(super) fn item(x: &Tensor) -> Result<Value> {
    if x.elem_count() != 1 {
        let shape = super::operand::shape_text(x.dims());
        return Err(Error::argument(format!("needs a tensor with one element; this one has shape {shape}")));
    }
    Ok(elements(x)?.pop().unwrap_or_default())
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "item", "The number of a tensor with one element.")
            .returns("number", "the number")
            .example("assert(lota.tensor(2.5):item() == 2.5)")
            .call(|_, args| item(&args.this::<ScriptTensor>()?.get())),
    );
    r.add(
        Primitive::method("Tensor", "totable", "The numbers as nested tables.")
            .returns("number|list", "one level of lists a dimension")
            .example("assert(lota.tensor({{1, 2}, {3, 4}}):totable()[2][1] == 3)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                ctx.meter.value((x.elem_count() * size_of::<Value>()) as u64)?;
                Ok(nested(x.dims(), &mut elements(&x)?.into_iter()))
            }),
    );
    r.add(
        Primitive::method("Tensor", "dtype", "The type of the numbers.")
            .returns("string", "f32, bf16, ...")
            .example("assert(lota.zeros({1}):dtype() == 'f32')")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().dtype().as_str())),
    );
    r.add(
        Primitive::method("Tensor", "device", "Where the tensor lies.")
            .returns("string", "cpu, cuda:N or metal")
            .example("assert(lota.zeros({1}, {device = 'cpu'}):device() == 'cpu')")
            .call(|_, args| {
                Ok(match args.this::<ScriptTensor>()?.get().device().location() {
                    candle_core::DeviceLocation::Cpu => "cpu".to_string(),
                    candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                    candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
                })
            }),
    );
    r.add(
        Primitive::method("Tensor", "to", "The tensor in another type, or on another device.")
            .arg("what", "string", "a dtype (f32, bf16, ...) or a device (cpu, cuda:N, metal)")
            .returns("Tensor", "the converted tensor")
            .example("assert(lota.tensor({1.5}):to('bf16'):dtype() == 'bf16')")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let what: String = args.get("what")?;
                match Dtype::from_value(Value::Str(what.clone())) {
                    Ok(Dtype(dtype)) => by_pieces(ctx, &[x], &|x| x[0].to_dtype(dtype)),
                    Err(_) if ["cpu", "cuda", "metal"].iter().any(|d| what.starts_with(d)) => {
                        Ok(x.to_device(&ctx.device_or_default(Some(&what))?).told()?)
                    }
                    Err(m) => Err(args.wrong("what", format!("must be a device or a {}", m.expected))),
                }
            }),
    );
    r.add(
        Primitive::method("Tensor", "clone", "A copy with its own numbers, outside any graph.")
            .returns("Tensor", "the copy")
            .example("local x = lota.ones({2})\nlocal y = x:clone()\ny:add_(1)\nassert(x:sum():item() == 2)")
            .call(|_, args| args.this::<ScriptTensor>()?.get().detach().copy().told()),
    );
    r.add(
        Primitive::method("Tensor", "set_", "Replaces the numbers of this tensor.")
            .arg("other", "Tensor", "a tensor of the same shape")
            .returns("Tensor", "this tensor")
            .example("local x = lota.zeros({2})\nx:set_(lota.ones({2}))\nassert(x:sum():item() == 2)")
            .call(|_, args| {
                let this = args.this::<ScriptTensor>()?;
                let other = args.get::<Arc<ScriptTensor>>("other")?.get();
                let old = this.get();
                if other.dims() != old.dims() {
                    let (a, b) = (old.dims(), other.dims());
                    return Err(args.wrong("other", format!("must have shape {a:?}, not {b:?}")));
                }
                this.assign(&other.to_dtype(old.dtype()).told()?.to_device(old.device()).told()?).told()?;
                Ok(this)
            }),
    );
}
