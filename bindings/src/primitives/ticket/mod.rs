//! `ticket.*`, `Ticket` and `Applied`: masks with their values, stored and applied.

mod files;

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::ticket::{Applied, Meta, Ticket};
use lota_script::{Args, Ctx, Map, Op, Primitive, Registry, Result, Scripted, Value, from_json, to_json};

use super::model::ScriptModel;
use crate::error::Told as _;
use crate::machine::OnMachine as _;
use crate::primitives::shared::ScriptValues;
use crate::primitives::shared::{ScriptMask, ScriptTicket};

pub(crate) use files::weight_files;

/// A ticket that is applied to a model.
struct ScriptApplied {
    model: Arc<ScriptModel>,
    id: Applied,
    name: String,
}

impl Scripted for ScriptApplied {
    const TYPE: &'static str = "Applied";

    fn show(&self) -> String {
        let state = if self.model.stack().holds(self.id) { "" } else { ", taken off" };
        format!("Applied({}{state})", self.name)
    }
}

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local base, before = m:fingerprint(), m:snapshot()\n\
                     local mask = lota.mask.random(m, {density = 0.01})\n\
                     m:set_param('model.layers.0.mlp.up_proj.weight', m:param('model.layers.0.mlp.up_proj.weight'):mul(2))\n\
                     local t = lota.ticket.new(m, mask, {method = 'example', base = base, seed = 1})\n\
                     m:restore(before)\n";

fn example(code: &str) -> String {
    format!("{BEGIN}{code}")
}

fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Ticket", name, doc)
}

pub(super) fn register(r: &mut Registry) {
    r.area("ticket", "Tickets: sparse task vectors that are stored, applied and taken off.");
    r.object("Ticket", "A mask with the values of its entries, and where they came from.");
    r.object("Applied", "A ticket that is applied to a model.");
    r.add(
        Primitive::new("ticket.new", "A ticket of the values that a model has now at the entries of a mask.")
            .arg("model", "Model", "the model, trained")
            .arg("mask", "Mask", "the entries")
            .need("base", "string", "the fingerprint of the model before: what the ticket can be applied to")
            .opt("method", "string", "", "the method that made it")
            .opt("seed", "integer", (), "the seed of the run")
            .opt("data", "string", (), "a fingerprint of the data")
            .open("further settings, kept in the file")
            .returns("Ticket", "the ticket")
            .example(example("assert(t:info().method == 'example' and t:entries() == mask:count())"))
            .call(new),
    );
    r.add(
        Primitive::new(
            "ticket.from_values",
            "A ticket that sets these values: what the weights become, not differences.",
        )
        .arg("values", "Values", "the weights at the entries")
        .need("base", "string", "the fingerprint of the model before: what the ticket can be applied to")
        .opt("method", "string", "", "the method that made it")
        .opt("seed", "integer", (), "the seed of the run")
        .opt("data", "string", (), "a fingerprint of the data")
        .open("further settings, kept in the file")
        .returns("Ticket", "the ticket")
        .example(example(
            "local again = lota.ticket.from_values(lota.values.of_ticket(t), {base = base})\n\
                 assert(again:mask() == mask)",
        ))
        .call(|_, args| {
            let values = args.get::<Arc<ScriptValues>>("values")?.get();
            let meta = meta(args)?;
            Ok(Ticket::of_values(&values, meta)?)
        }),
    );
    files::register(r);
    contents(r);
    visible(r);
    application(r);
}

fn new(_: &Ctx, args: &mut Args) -> Result<Value> {
    let (model, mask): (Arc<ScriptModel>, ScriptMask) = (args.get("model")?, args.get("mask")?);
    let meta = meta(args)?;
    let m = &model.0;
    Ok(Value::object(ScriptTicket::new(Ticket::extract(&m.exec, &m.params, &mask, meta)?)))
}

/// Where a ticket comes from, as the options say it.
fn meta(args: &mut Args) -> Result<Meta> {
    let settings = Value::Map(args.extra());
    let mut meta = Meta::new(args.get::<String>("base")?, args.get::<String>("method")?);
    meta.seed = args.opt::<i64>("seed")?.map(|seed| seed as u64);
    meta.data = args.opt("data")?;
    if let serde_json::Value::Object(settings) = to_json(&settings)? {
        meta.settings = settings;
    }
    Ok(meta)
}

fn contents(r: &mut Registry) {
    r.add(
        method("mask", "The entries it sets.")
            .returns("Mask", "the mask")
            .example(example("assert(t:mask() == mask)"))
            .call(|_, args| Ok(args.this::<ScriptTicket>()?.mask().clone())),
    );
    r.add(
        method("entries", "The number of entries it sets.")
            .returns("integer", "how many")
            .operator(Op::Len)
            .example(example("assert(#t == mask:count())"))
            .call(|_, args| Ok(args.this::<ScriptTicket>()?.entries())),
    );
    r.add(
        method("values", "The values it sets in one parameter.")
            .arg("name", "string", "the parameter")
            .returns(
                "Tensor",
                "one number for each of its entries, in rising order; empty where it sets none",
            )
            .example(example("assert(t:values('model.norm.weight'):shape()[1] == 0)"))
            .call(|ctx, args| {
                let ticket = args.this::<ScriptTicket>()?;
                let index = ticket.mask().universe().get(&args.get::<String>("name")?)?;
                let values = ticket.values(index);
                Tensor::from_slice(values, values.len(), ctx.device()?).told()
            }),
    );
    r.add(
        method("info", "Where it came from.")
            .returns(
                "map",
                "base, method, seed, data, lota (the version that made it), entries, density, settings",
            )
            .example(example("assert(t:info().base == base)"))
            .call(|_, args| {
                let ticket = args.this::<ScriptTicket>()?;
                let meta = ticket.meta();
                Ok(Map::new()
                    .with("base", meta.base.clone())
                    .with("method", meta.method.clone())
                    .with("seed", meta.seed)
                    .with("data", meta.data.clone())
                    .with("lota", meta.lota.clone())
                    .with("entries", ticket.entries())
                    .with("density", ticket.mask().density())
                    .with("settings", from_json(serde_json::Value::Object(meta.settings.clone()))))
            }),
    );
}

/// How much of a ticket shows where weights have fewer bits.
fn visible(r: &mut Registry) {
    r.add(
        method("visible", "How many of its entries differ from the base after both are rounded to a type.")
            .details(
                "A change that is smaller than half the distance between two numbers of a type is gone in a model that is \
                 stored in it. A parameter's own type is the narrowest of bf16, f16 and f32 that holds all of the base's \
                 numbers exactly: what it was stored in.",
            )
            .arg("model", "Model", "its base, with no tickets applied")
            .returns(
                "map",
                "entries; bf16, f16 and own: how many differ in these types, own in the base's; own_types: the base's types, \
                 as bf16, f16 and f32",
            )
            .example(example(
                "local seen = t:visible(m)\nassert(seen.own <= seen.entries and seen.entries == #t)\n\
                 assert(seen.own_types[1] == 'f32')",
            ))
            .call(|ctx, args| {
                let (ticket, model) = (args.this::<ScriptTicket>()?, args.get::<Arc<ScriptModel>>("model")?);
                let m = &model.0;
                let seen = ticket.visible(&m.exec, &m.params, &ctx.host)?;
                let types: Vec<String> = seen.types.iter().map(|name| (*name).to_string()).collect();
                Ok(Map::new()
                    .with("entries", seen.entries)
                    .with("bf16", seen.bf16)
                    .with("f16", seen.f16)
                    .with("own", seen.own)
                    .with("own_types", types))
            }),
    );
}

fn application(r: &mut Registry) {
    let any = "apply it to another base than its own, too";
    r.add(
        method("check", "An error that says why, unless the ticket belongs to this model.")
            .arg("model", "Model", "the model; tickets that are applied to it do not count")
            .example(example("t:check(m)"))
            .call(|_, args| {
                let (ticket, model) = (args.this::<ScriptTicket>()?, args.get::<Arc<ScriptModel>>("model")?);
                let m = &model.0;
                m.params.universe().check_same(ticket.mask().universe())?;
                let fits = model.stack().fits(&m.exec, &m.params, &ticket);
                Ok(fits?)
            }),
    );
    r.add(
        method("apply", "Writes the values into a model, and keeps the bits they overwrite.")
            .details("Several tickets can be applied to one base.")
            .arg("model", "Model", "the model the ticket was made on")
            .opt("name", "string", (), "what messages call it; the method if not given")
            .opt("any_base", "boolean", false, any)
            .returns("Applied", "with which it is taken off again")
            .example(example("local on = t:apply(m)\nassert(m:fingerprint() ~= base)\non:unapply()\nassert(m:fingerprint() == base)"))
            .call(|_, args| {
                let (ticket, model) = (args.this::<ScriptTicket>()?, args.get::<Arc<ScriptModel>>("model")?);
                let name = args.opt("name")?.unwrap_or_else(|| ticket.meta().method.clone());
                let any_base = args.get("any_base")?;
                let m = model.0.clone();
                let id = model.stack().apply(&m.exec, &m.params, &ticket, &name, any_base)?;
                Ok(Value::object(ScriptApplied { model, id, name }))
            }),
    );
    r.add(
        Primitive::method("Applied", "unapply", "Takes the ticket off: the overwritten bits come back.")
            .details("Tickets that share no entries come off in any order.")
            .example(example("t:apply(m):unapply()"))
            .call(|_, args| {
                let applied = args.this::<ScriptApplied>()?;
                let m = &applied.model.0;
                let done = applied.model.stack().unapply(&m.exec, &m.params, applied.id);
                Ok(done?)
            }),
    );
    r.add(
        Primitive::method("Applied", "swap", "Takes the ticket off and applies another, or does neither.")
            .arg("ticket", "Ticket", "the other ticket")
            .opt("name", "string", (), "what messages call it; the method if not given")
            .opt("any_base", "boolean", false, any)
            .returns("Applied", "with which the other one is taken off again")
            .example(example(
                "local other = t:apply(m):swap(t)\nother:unapply()\nassert(m:fingerprint() == base)",
            ))
            .call(|_, args| {
                let applied = args.this::<ScriptApplied>()?;
                let ticket: ScriptTicket = args.get("ticket")?;
                let name = args.opt("name")?.unwrap_or_else(|| ticket.meta().method.clone());
                let any_base = args.get("any_base")?;
                let model = applied.model.clone();
                let m = model.0.clone();
                let id = model.stack().swap(&m.exec, &m.params, applied.id, &ticket, &name, any_base)?;
                Ok(Value::object(ScriptApplied { model, id, name }))
            }),
    );
    r.add(
        Primitive::method("Applied", "holds", "Whether the ticket is still applied.")
            .returns("boolean", "whether it is")
            .example(example(
                "local on = t:apply(m)\nassert(on:holds())\nm:restore(before)\nassert(not on:holds())",
            ))
            .call(|_, args| {
                let applied = args.this::<ScriptApplied>()?;
                let holds = applied.model.stack().holds(applied.id);
                Ok(holds)
            }),
    );
    r.add(
        Primitive::method(
            "Model",
            "applied",
            "The names of the tickets that are applied to the model, lowest first.",
        )
        .returns("list of string", "the names")
        .example(example("t:apply(m, {name = 'one'})\nassert(m:applied()[1] == 'one')"))
        .call(|_, args| {
            let model = args.this::<ScriptModel>()?;
            let names: Vec<String> = model.stack().applied().map(|(_, name)| name.to_string()).collect();
            Ok(names)
        }),
    );
}
