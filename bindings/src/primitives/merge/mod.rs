//! `merge.*`: several models, tickets and task vectors made into one.

mod config;
mod inputs;
mod own;
mod report;
mod steps;
mod targets;

use std::sync::Arc;

use lota_runtime::mask::union;
use lota_runtime::merge::{Base, Kind, Param, Plan, PlanOptions, Scope, methods};
use lota_runtime::model::Model;
use lota_runtime::ticket::Meta;
use lota_script::{Args, Ctx, Error, IntoValue, Map, Primitive, Registry, Result, Value};

use self::inputs::Given;
use super::model::ScriptModel;
use super::shared::ScriptTicket;

/// What can be merged, for records.
const WHAT: &str =
    "list of Model, Snapshot, Ticket, Values (a task vector), path, or map {model =, weight = ...}";

/// The first lines of every example: a base and two tickets on it.
const BEGIN: &str = "local base = lota.model.init('tiny')\n\
                     local before = base:snapshot()\n\
                     local name = 'model.layers.0.mlp.up_proj.weight'\n\
                     local rows = lota.mask.rows(base, {params = name, rows = {1, 2}})\n\
                     local more = lota.mask.rows(base, {params = name, rows = {3, 4}})\n\
                     local f = base:fingerprint()\n\
                     base:set_param(name, base:param(name):mul(2))\n\
                     local a = lota.ticket.new(base, rows, {base = f})\n\
                     local b = lota.ticket.new(base, more, {base = f})\n\
                     local tuned = base:clone()\n\
                     base:restore(before)\n";

fn example(code: &str) -> String {
    format!("{BEGIN}{code}")
}

pub(super) fn register(r: &mut Registry) {
    r.area("merge", "Merging: one model of several, of tickets and task vectors too.");
    r.add(
        Primitive::new("merge.models", "Merges models, tickets and task vectors, in any mixture, into a model.")
            .details(
                "A method is the name of a built-in one (lota.merge.methods), or a function(tensors, info) that is \
                 called with the tensors of one parameter, one for each model, and returns the merged one. info has \
                 name, base (the base's tensor, if there is a base), and the settings: weights, densities and such as \
                 lists under their names if they are of each model, else as single values. \
                 Further options are the method's parameters. Each may be a value, a list of values from the first \
                 layer to the last, or a list of {filter = part of a name, value = ...}. In the entry of a model \
                 ({model = m, weight = 0.5}) they are that model's. A result that is not finite in the type it is held in is an \
                 error that names the tensor.",
            )
            .arg("models", WHAT, "what is merged")
            .need("method", "string|function", "ties, linear, ..., or a function")
            .opt("base", "Model|Snapshot|string", (), "what tickets and task vectors lie over")
            .opt("seed", "integer", 0, "the seed of methods that draw")
            .opt("any_base", "boolean", false, "tickets of another base than this, too")
            .open("the method's parameters: weight, density, lambda, t, ...")
            .returns("Model", "the merged model: the tokenizer and all else is the base's, or the first model's")
            .example(example(
                "local m = lota.merge.models({a, {model = tuned, weight = 0.5}}, {method = 'task_arithmetic', base = base, weight = 1})\n\
                 assert(m:fingerprint() ~= base:fingerprint())",
            ))
            .call(models),
    );
    r.add(
        Primitive::new("merge.tickets", "Merges tickets of one base into one.")
            .details(
                "The ticket sets the entries that any of them sets. 'disjoint' adds tickets whose masks share nothing, \
                 exactly; where masks meet it refuses, unless overlap says sum, mean, first, last or largest.",
            )
            .arg("tickets", "list of Ticket, or map {model = ticket, weight = ...}", "tickets of the same base")
            .need("base", "Model", "the model they were made on")
            .opt("method", "string|function", "disjoint", "disjoint, overlap_ties, magmax, or any other")
            .opt("seed", "integer", 0, "the seed of methods that draw")
            .opt("any_base", "boolean", false, "tickets of another base than this, too")
            .open("the method's parameters: weight, overlap, lambda, ...")
            .returns("Ticket", "the merged ticket")
            .example(example("local both = lota.merge.tickets({a, b}, {base = base})\nassert(#both == #a + #b)"))
            .call(tickets),
    );
    r.add(
        Primitive::new("merge.methods", "The built-in methods.")
            .returns(
                "list of map",
                "name, doc, source, base (required, optional or ignored), random, parameters of each",
            )
            .example("assert(lota.merge.methods()[1].name == 'linear')")
            .call(|_, _: &mut Args| Ok(methods().iter().map(|m| describe(m.spec())).collect::<Vec<Map>>())),
    );
    config::register(r);
    report::register(r);
}

fn describe(spec: &lota_runtime::merge::Spec) -> Map {
    let base = match spec.base {
        Base::Required => "required",
        Base::Optional => "optional",
        Base::Ignored => "ignored",
    };
    let param = |p: &Param| {
        let kind = match p.kind {
            Kind::Number | Kind::OptionalNumber => "number",
            Kind::Integer => "integer",
            Kind::Flag => "boolean",
            Kind::Word(_) => "string",
        };
        let of = match p.scope {
            Scope::Shared => "merge",
            Scope::Input => "model",
            Scope::Other => "model besides the base",
        };
        Map::new()
            .with("name", p.name.to_string())
            .with("kind", kind)
            .with("of", of)
            .with("default", own::scalar(p.default))
            .with("doc", p.doc)
    };
    Map::new()
        .with("name", spec.name.to_string())
        .with("doc", spec.doc.to_string())
        .with("source", spec.source)
        .with("base", base)
        .with("random", spec.random)
        .with("parameters", spec.params.iter().map(param).collect::<Vec<Map>>())
}

/// The plan of a call whose models are values of the script.
fn plan(ctx: &Ctx, args: &mut Args, list: &str, base: Option<Value>) -> Result<(Plan, Given)> {
    let given = Given::read(ctx, args, list, base)?;
    let config = given.config();
    let inputs = given.inputs(&config)?;
    let plan = Plan::new(&config, inputs, given.own.clone(), PlanOptions::default())?;
    Ok((plan, given))
}

fn models(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let base = args.get::<Value>("base")?;
    let base = (!base.is_nil()).then_some(base);
    let seed = args.get::<i64>("seed")? as u64;
    let (plan, given) = plan(ctx, args, "models", base)?;
    let like = given.like(ctx)?;
    let universe = like.params.universe().clone();
    let params = plan.params(&universe, like.params.dtype(), seed, &like.exec, &ctx.host)?;
    let merged =
        Model { params, source: format!("merged ({})", plan.method().spec().name), ..(*like).clone() };
    Ok(merged.into_value())
}

fn tickets(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let base: Value = args.get("base")?;
    let model = inputs::model(&base)
        .ok_or_else(|| args.wrong("base", format!("must be a Model, got {}", base.describe())))?;
    bare(&model)?;
    // Of the weights as they are: what is applied or was before has no part in it.
    let fingerprint = model.params().fingerprint(&model.0.exec)?;
    let seed = args.get::<i64>("seed")? as u64;
    let (plan, given) = plan(ctx, args, "tickets", Some(base))?;
    let all = given.tickets();
    if all.len() != given.count() {
        return Err(args.wrong("tickets", "must be Tickets; lota.merge.models merges other things with them"));
    }
    let mask = union(&all.iter().map(|t| t.mask()).collect::<Vec<_>>())?;
    let mut meta = Meta::new(fingerprint, plan.method().spec().name.to_string());
    meta.settings.insert("merged".into(), serde_json::json!(all.len()));
    let ticket = plan.ticket(&mask, meta, seed, &model.0.exec, &ctx.host)?;
    Ok(Value::object(ScriptTicket::new(ticket)))
}

/// A model whose weights tickets can lie over: one with none applied.
fn bare(model: &Arc<ScriptModel>) -> Result<()> {
    let applied: Vec<String> = model.stack().applied().map(|(_, name)| name.to_string()).collect();
    if applied.is_empty() {
        return Ok(());
    }
    Err(Error::argument(format!(
        "the base has tickets applied ({}): take them off, or give them as models to merge",
        applied.join(", ")
    )))
}
