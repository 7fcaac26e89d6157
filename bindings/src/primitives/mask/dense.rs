//! Masks as tensors and lists of positions, and back.

use candle_core::{DType, Tensor};
use lota_runtime::mask::Mask;
use lota_runtime::model::{ParamSpec, Universe};
use lota_script::{Args, Ctx, FromValue, Map, Primitive, Registry, Result, Value};

use super::algebra::TWO;
use super::bounds::{Bounds, clipped};
use crate::primitives::params::describe;
use crate::primitives::shared::ScriptMask;
use crate::primitives::tensor::{of_value, stored_positions};
use crate::primitives::universe::of_model;
use crate::primitives::values::returned;

const MODEL: &str = "the model (or a mask, scores or ticket of it)";
const UP: &str = "local up = 'model.layers.0.mlp.up_proj.weight'\n";

pub(super) fn register(r: &mut Registry) {
    out(r);
    r.add(
        clipped(
            Primitive::new("mask.from_tensors", "The entries that are not zero in tensors of the parameters' shapes.")
                .details(
                    "Of a parameter without a tensor nothing is in the mask. With `lota.data.tensors` it reads the masks of \
                     others' files: where a one in them means frozen, give a function that returns `t:eq(0)`.",
                )
                .arg("model", "Model", MODEL)
                .arg(
                    "tensors",
                    "map|function",
                    "a tensor for each parameter by its name, or a function(parameter) -> Tensor or nil; of any type",
                ),
        )
        .returns("Mask", "the mask")
        .example(format!(
            "{TWO}local frozen = lota.mask.from_tensors(m, function(p) return a:tensor(p.name):eq(0) end)\n\
             assert(frozen == ~a)"
        ))
        .call(from_tensors),
    );
    r.add(
        clipped(
            Primitive::new("mask.from_positions", "The entries at flat positions in parameters.")
                .details(
                    "A position counts the entries of a parameter row by row. A list counts as the language counts, from 1 in \
                     Lua and from 0 in Rhai, with -1 for the last; a tensor holds positions from 0, as Mask:positions and \
                     argmax give them.",
                )
                .arg("model", "Model", MODEL)
                .arg("positions", "map", "a list of positions, or a tensor of them, for each parameter by its name"),
        )
        .returns("Mask", "the mask")
        .example(format!(
            "{TWO}{UP}local mask = lota.mask.from_positions(m, {{[up] = {{1, 2, -1}}}})\n\
             assert(mask:positions(up):totable()[2] == 1)"
        ))
        .example_rhai(
            "let m = lota::model::init(\"tiny\");\n\
             let up = \"model.layers.0.mlp.up_proj.weight\";\n\
             let mask = lota::mask::from_positions(m, #{ \"model.layers.0.mlp.up_proj.weight\": [0, 1, -1] });\n\
             assert(mask.positions(up).totable()[1] == 1);",
        )
        .call(from_positions),
    );
}

fn out(r: &mut Registry) {
    r.add(
        Primitive::method("Mask", "tensor", "The mask of one parameter as a tensor of its shape.")
            .arg("name", "string", "the parameter")
            .returns("Tensor", "u8: 1 for an entry in the mask, 0 for all others")
            .example(format!(
                "{TWO}{UP}assert(a:tensor(up):sum():item() == (a & lota.mask.match(m, up)):count())"
            ))
            .call(|ctx, args| {
                let mask = args.this::<ScriptMask>()?;
                let index = mask.universe().get(&args.get::<String>("name")?)?;
                ctx.reserve(mask.universe().spec(index).entries() as usize)?;
                Ok(mask.tensor(index)?)
            }),
    );
    r.add(
        Primitive::method("Mask", "positions", "The flat positions of one parameter's entries that are in the mask.")
            .details(
                "They count the entries of the parameter row by row, from 0 in both languages, since they are numbers in a \
                 tensor: `w:flatten():select(1, p)` gives the entries at them.",
            )
            .arg("name", "string", "the parameter")
            .returns("Tensor", "u32, one dimension, ascending")
            .example(format!("{TWO}{UP}assert(a:positions(up):count() == (a & lota.mask.match(m, up)):count())"))
            .call(|ctx, args| {
                let mask = args.this::<ScriptMask>()?;
                let index = mask.universe().get(&args.get::<String>("name")?)?;
                ctx.reserve(mask.set(index).len() as usize * DType::U32.size_in_bytes())?;
                Ok(mask.positions(index)?)
            }),
    );
}

/// The values of a map from names of parameters, by the index of the parameter.
fn by_parameter(universe: &Universe, given: Map) -> Result<Vec<Value>> {
    let mut found = vec![Value::Nil; universe.len()];
    for (name, value) in given {
        found[universe.get(&name)?] = value;
    }
    Ok(found)
}

fn from_tensors(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let universe = of_model(args)?;
    let bounds = Bounds::of(args)?;
    let given = match args.get::<Value>("tensors")? {
        Value::Function(function) => {
            let mask = Mask::of_tensors(universe, |_, spec| {
                ctx.host.cancel.check()?;
                let made = function.call(&[Value::Map(describe(spec))])?;
                returned(made, &format!("the function of lota.mask.from_tensors, for {},", spec.name))
            })?;
            return bounds.clip(mask);
        }
        Value::Map(tensors) => by_parameter(&universe, tensors)?,
        Value::List(tensors) if tensors.is_empty() => vec![Value::Nil; universe.len()],
        other => {
            return Err(
                args.wrong("tensors", format!("must be a map or a function, got {}", other.describe()))
            );
        }
    };
    let mask = Mask::of_tensors(universe, |p, spec| {
        ctx.host.cancel.check()?;
        match &given[p] {
            Value::Nil => Ok(None),
            value => tensor_of(args, value.clone(), spec).map(Some),
        }
    })?;
    bounds.clip(mask)
}

fn tensor_of(args: &Args, value: Value, spec: &ParamSpec) -> Result<Tensor> {
    of_value(value)
        .map_err(|m| args.wrong("tensors", format!("must hold a Tensor for {}, got {}", spec.name, m.given)))
}

fn from_positions(ctx: &Ctx, args: &mut Args) -> Result<Mask> {
    let universe = of_model(args)?;
    let bounds = Bounds::of(args)?;
    let given = match args.get::<Value>("positions")? {
        Value::List(items) if items.is_empty() => Map::new(),
        other => Map::from_value(other).map_err(|m| args.mismatched("positions", &m))?,
    };
    let given = by_parameter(&universe, given)?;
    let mask = Mask::of_positions(universe, |p, spec| match &given[p] {
        Value::Nil => Ok(Vec::new()),
        value => stored_positions(ctx, value.clone(), spec.entries() as usize)
            .map_err(|what| args.wrong("positions", format!("for {}: {what}", spec.name))),
    })?;
    bounds.clip(mask)
}
