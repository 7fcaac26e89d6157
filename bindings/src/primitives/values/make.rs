//! Making values: by a function, from weights, masks, tickets and files.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::mask::Mask;
use lota_runtime::vectors::{Part, Values};
use lota_script::{Args, Ctx, Primitive, Registry, Result, ScriptFn, Value};

use super::{example, returned};
use crate::error::Told as _;
use crate::machine::OnMachine as _;
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::{ScriptMask, ScriptTicket};
use crate::primitives::tensor::ScriptTensor;
use crate::primitives::universe::{check_described, of_optional};

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("values.new", "Values made by a function of each parameter.")
            .arg("model", "Model", "the model")
            .arg(
                "make",
                "function",
                "function(name, tensor) -> Tensor of the same shape, or nil for no values; the tensor is the parameter, or \
                 [n] of its entries in the mask in rising order",
            )
            .opt("mask", "Mask", (), "values of these entries alone, and as short; the function sees no others")
            .returns("Values", "the values")
            .example(
                "local m = lota.model.init('tiny')\n\
                 local s = lota.values.new(m, function(name, w) return name:find('mlp') and w:abs() or nil end)",
            )
            .call(new),
    );
    r.add(
        Primitive::new("values.weights", "The weights of a model, copied in f32.")
            .arg("model", "Model", "the model")
            .opt("mask", "Mask", (), "those of these entries")
            .opt(
                "params",
                PARAMS,
                (),
                format!("those of these parameters (all, if no mask is given): {PARAMS_DOC}"),
            )
            .returns("Values", "the weights")
            .example(example(
                "local mask = lota.mask.random(m, {density = 0.01})\n\
                 assert(lota.values.weights(m, {mask = mask}):count() == mask:count())",
            ))
            .call(weights),
    );
    r.add(
        Primitive::new("values.full", "The same number for every entry of a mask.")
            .arg("mask", "Mask", "the entries")
            .arg("number", "number", "the number")
            .returns("Values", "the values")
            .example(example("assert(lota.values.full(s:mask(), 2):sum() == 2 * s:count())"))
            .call(|ctx, args| {
                let mask: ScriptMask = args.get("mask")?;
                ctx.reserve(4 * mask.count() as usize)?;
                Ok(Values::full(&mask, args.get("number")?, ctx.device()?)?)
            }),
    );
    r.add(
        Primitive::new("values.of_ticket", "The values that a ticket sets.")
            .arg("ticket", "Ticket", "the ticket")
            .returns("Values", "the values, over its mask")
            .example(example(
                "local t = lota.ticket.new(m, lota.mask.random(m, {density = 0.01}), {base = m:fingerprint()})\n\
                 assert(lota.values.of_ticket(t):count() == t:entries())",
            ))
            .call(|ctx, args| {
                let ticket: ScriptTicket = args.get("ticket")?;
                ctx.reserve(4 * ticket.entries() as usize)?;
                Ok(ticket.to_values(ctx.device()?)?)
            }),
    );
    r.add(
        Primitive::new("values.load", "Reads a file of values that Values:save wrote.")
            .arg("path", "string", "the file")
            .opt("model", "Model|Mask|Values|Ticket", (), "refuse values of another model than this")
            .returns("Values", "the values")
            .example(example(
                "local path = lota.run.start('values-load'):path('s.safetensors')\ns:save(path)\n\
                 assert(lota.values.load(path, {model = m}):sum() == s:sum())",
            ))
            .call(|ctx, args| {
                let path = args.file("path")?;
                let model: Value = args.get("model")?;
                let expected = of_optional(args, "model", &model)?;
                ctx.reserve(usize::try_from(path.bytes()).unwrap_or(usize::MAX))?;
                let values = Values::load(path.path(), expected.as_ref())?;
                check_described(ctx, values.universe(), expected.as_ref())?;
                Ok(values)
            }),
    );
}

fn new(ctx: &Ctx, args: &mut Args) -> Result<Values> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let make: Arc<dyn ScriptFn> = args.get("make")?;
    let params = model.params();
    let _hold = params.hold("values.new");
    let universe = params.universe().clone();
    let mask: Option<ScriptMask> = args.opt("mask")?;
    let chosen = mask.map(|mask| Values::of_weights(&model.0.exec, params, &mask)).transpose()?;
    let mut parts: Vec<Option<Part>> = Vec::with_capacity(universe.len());
    for (i, spec) in universe.specs().iter().enumerate() {
        ctx.host.cancel.check()?;
        let part = match &chosen {
            Some(chosen) => chosen.part(i).cloned(),
            None => Some(Part::Dense(params.get(i).copy().told()?)),
        };
        let Some(part) = part else {
            parts.push(None);
            continue;
        };
        let given = ScriptTensor::of_weights(part.tensor().clone(), &model.0);
        let made = make.call(&[Value::from(spec.name.as_str()), given])?;
        parts
            .push(returned(made, "the function of lota.values.new")?.map(|tensor: Tensor| part.with(tensor)));
    }
    Ok(Values::of_parts(universe, parts)?)
}

fn weights(_: &Ctx, args: &mut Args) -> Result<Values> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let universe = model.params().universe().clone();
    let mask = match (args.opt::<ScriptMask>("mask")?, args.is_given("params")) {
        (Some(_), true) => return Err(args.wrong("mask", "and option 'params' exclude each other")),
        (Some(mask), false) => (*mask).clone(),
        (None, true) => Mask::of_indices(universe.clone(), &chosen(args, &universe)?),
        (None, false) => Mask::of_indices(universe.clone(), &(0..universe.len()).collect::<Vec<_>>()),
    };
    Ok(Values::of_weights(&model.0.exec, model.params(), &mask)?)
}
