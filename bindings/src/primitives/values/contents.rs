//! What values hold: the numbers of a parameter, their entries, files.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::vectors::{Part, Values};
use lota_script::{Args, Ctx, Registry, Result, ScriptFn, Value};

use super::{example, method, returned};
use crate::primitives::shared::ScriptMask;
use crate::primitives::shared::ScriptValues;
use crate::primitives::tensor::ScriptTensor;

pub(super) fn register(r: &mut Registry) {
    let up = "model.layers.0.mlp.up_proj.weight";
    r.add(
        method("of", "The values of one parameter.")
            .arg("name", "string", "the parameter")
            .returns(
                "Tensor",
                "in its shape; of values over a mask [n], one for each entry in rising order; nil if it has none",
            )
            .example(example(&format!("assert(s:of('{up}'):shape()[2] == 32)")))
            .call(|_, args| {
                let values = args.this::<ScriptValues>()?.get();
                let index = values.universe().get(&args.get::<String>("name")?)?;
                Ok(values.part(index).map(|part| part.tensor().clone()))
            }),
    );
    r.add(
        method("set", "Puts other numbers in the place of those of one parameter.")
            .arg("name", "string", "the parameter, which has values")
            .arg("values", "Tensor", "the new ones, in the shape that Values:of gives")
            .returns("Values", "these values")
            .example(example(&format!(
                "s:set('{up}', s:of('{up}') * 0)\nassert(s:of('{up}'):sum():item() == 0)"
            )))
            .call(set),
    );
    r.add(
        method("names", "The names of the parameters that have values.")
            .returns("list of string", "in the model's order")
            .example(example("assert(#s:names() == 6)"))
            .call(|_, args| {
                let values = args.this::<ScriptValues>()?.get();
                Ok(values.present().map(|(_, spec, _)| spec.name.clone()).collect::<Vec<_>>())
            }),
    );
    r.add(
        method("map", "New values made from those of each parameter.")
            .arg(
                "change",
                "function",
                "function(name, tensor) -> Tensor of the same shape, or nil to drop it; the tensor is what Values:of gives",
            )
            .returns("Values", "the new values")
            .example(example("local squared = s:map(function(name, t) return t:square() end)"))
            .call(map),
    );
    r.add(
        method(
            "mask",
            "The entries that have a number, whatever it is (lota.mask.support: where it is not 0).",
        )
        .returns("Mask", "the mask")
        .example(example("assert(s:mask():count() == s:count())"))
        .call(|_, args| Ok(args.this::<ScriptValues>()?.get().entries())),
    );
    r.add(
        method("within", "The values of the entries in a mask, and no others: as short as what is left.")
            .arg("mask", "Mask", "the entries to keep")
            .returns("Values", "the values")
            .example(example(
                "local mask = lota.mask.random(m, {density = 0.01, within = s:mask()})\n\
                 assert(s:within(mask):count() == mask:count())",
            ))
            .call(|_, args| {
                let mask: ScriptMask = args.get("mask")?;
                Ok(args.this::<ScriptValues>()?.get().within(&mask)?)
            }),
    );
    r.add(
        method("dense", "The values with 0 at all other entries of the parameters that have any.")
            .returns("Values", "values of whole parameters")
            .example(example(
                "local part = s:within(lota.mask.random(m, {density = 0.01, within = s:mask()}))\n\
                 assert(part:dense():count() == s:count() and part:dense():sum() == part:sum())",
            ))
            .call(|ctx, args| {
                let values = args.this::<ScriptValues>()?.get();
                ctx.reserve(values.present().map(|(_, spec, _)| 4 * spec.entries() as usize).sum())?;
                Ok(values.to_dense()?)
            }),
    );
    r.add(
        method("save", "Writes the values to a file, in f32.")
            .arg("path", "string", "the file")
            .returns("integer", "its size in bytes")
            .example(example("s:save(lota.run.start('values-save'):path('s.safetensors'))"))
            .call(|_, args| {
                let values = args.this::<ScriptValues>()?.get();
                Ok(values.save(args.file("path")?.path())?)
            }),
    );
}

fn set(_: &Ctx, args: &mut Args) -> Result<Arc<ScriptValues>> {
    let this = args.this::<ScriptValues>()?;
    let values = this.get();
    let name: String = args.get("name")?;
    let index = values.universe().get(&name)?;
    let Some(part) = values.part(index) else {
        return Err(args.wrong("name", format!("{name} has no values here, so none can be replaced")));
    };
    let tensor: Tensor = args.get::<Arc<ScriptTensor>>("values")?.get();
    if tensor.dims() != part.tensor().dims() {
        let what = format!("must have shape {:?}, and has {:?}", part.tensor().dims(), tensor.dims());
        return Err(args.wrong("values", what));
    }
    let mut parts = values.parts().to_vec();
    parts[index] = Some(part.with(tensor.copy().map_err(lota_runtime::Error::from)?));
    this.assign(Values::of_parts(values.universe().clone(), parts)?);
    Ok(this)
}

fn map(ctx: &Ctx, args: &mut Args) -> Result<Values> {
    let values = args.this::<ScriptValues>()?.get();
    let change: Arc<dyn ScriptFn> = args.get("change")?;
    let mut parts: Vec<Option<Part>> = vec![None; values.universe().len()];
    for (index, spec, part) in values.present() {
        ctx.host.cancel.check()?;
        let given = Value::object(ScriptTensor::new(part.tensor().clone()));
        let made = change.call(&[Value::from(spec.name.as_str()), given])?;
        parts[index] = returned(made, "the function of Values:map")?.map(|tensor| part.with(tensor));
    }
    Ok(Values::of_parts(values.universe().clone(), parts)?)
}
