//! Tickets in files, and from the files of two models.

use std::sync::Arc;

use lota_runtime::model::WeightFiles;
use lota_runtime::ticket::{Codec, Form, FromOptions, Saved, Ticket, TicketFile, ValueType};
use lota_script::{Args, Ctx, Map, Primitive, Registry, Result, Value};

use super::{example, method};
use crate::machine::OnMachine as _;
use crate::primitives::mask::{budget, budgeted};
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptTicket;
use crate::primitives::universe::{check_described, of_optional};

/// The options that say how a ticket is written.
fn formed(record: Primitive) -> Primitive {
    record
        .opt("codec", "string", "plain", "how positions are written: plain (roaring sets, for exchange) or compact")
        .opt(
            "values",
            "string",
            "f32",
            "how values are written: f32, bf16 (nothing is lost if the model is in bf16), int8 or ternary (these two \
             with a scale for each row)",
        )
}

const BASE: &str = "the base model, with no tickets applied: int8 and ternary values are then differences from it, \
                    and reading the file takes it too";

/// What every way of writing a ticket returns.
const SAVED: &str = "bytes of the file, index_bytes, bound_bytes (the fewest for these positions, by their entropy), \
                     value_bytes, entries, rounded (values that were changed), max_error, relative_error \
                     (Euclidean), per_entry (bytes)";

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new(
            "ticket.load",
            "Reads a ticket file. A damaged file or one of a later version is refused.",
        )
        .arg("path", "string", "the file")
        .opt(
            "model",
            "Model|Mask|Values|Ticket",
            (),
            "refuse a ticket of another model than this; the base itself where the file holds differences from it",
        )
        .returns("Ticket", "the ticket")
        .example(example(
            "local path = lota.run.start('ticket-load'):path('t.safetensors')\nt:save(path)\n\
                 assert(lota.ticket.load(path, {model = m}):entries() == t:entries())",
        ))
        .call(|ctx, args| {
            let path = args.file("path")?;
            let given: Value = args.get("model")?;
            let expected = of_optional(args, "model", &given)?;
            let file = TicketFile::read(path.path(), expected.as_ref())?;
            let model = match &given {
                Value::Object(object) => object.downcast_ref::<ScriptModel>(),
                _ => None,
            };
            let ticket = file.ticket(model.map(|m| (&m.0.exec, &m.0.params)))?;
            check_described(ctx, ticket.mask().universe(), expected.as_ref())?;
            Ok(ticket)
        }),
    );
    r.add(
        formed(
            Primitive::new("ticket.convert", "Writes a ticket file in another form.")
                .arg("path", "string", "the file")
                .arg("out", "string", "the file to write"),
        )
            .opt("base", "Model", (), BASE)
            .returns("map", SAVED)
            .example(example(
                "local run = lota.run.start('ticket-convert')\nlocal a, b = run:path('a.safetensors'), run:path('b.safetensors')\n\
                 t:save(a)\nassert(lota.ticket.convert(a, b, {codec = 'compact'}).entries == t:entries())",
            ))
            .call(|_, args| {
                let path = args.file("path")?;
                let out = args.file("out")?;
                let model = args.opt::<Arc<ScriptModel>>("base")?;
                let base = model.as_ref().map(|m| (&m.0.exec, &m.0.params));
                let (codec, values) = form(args)?;
                let ticket = TicketFile::read(path.path(), None)?.ticket(base)?;
                Ok(sizes(ticket.save(out.path(), Form { codec, values, base })?))
            }),
    );
    r.add(
        budgeted(
            Primitive::new("ticket.from", "The entries that moved most between a model and its fine-tuned version.")
                .details(
                    "Both are folders with safetensors, or hub ids; they are read in pieces and never held in memory. \
                     Exactly so many entries are chosen, by the magnitude of their difference. Parameters of different \
                     shapes are an error, but for embeddings and heads that are not among the parameters.",
                )
                .arg("base", "string", "the folder or hub id of the model before")
                .arg("tuned", "string", "the folder or hub id of the model after"),
        )
            .opt("params", PARAMS, "adaptable", PARAMS_DOC)
            .opt(
                "shared_rows",
                "boolean",
                false,
                "where vocabularies differ in size, compare the rows of embedding and head that both have",
            )
            .opt("offline", "boolean", (), "of a hub id: use only what the cache has")
            .returns("Ticket", "the ticket")
            .example(
                "local dir = lota.run.start('ticket-from')\nlocal m = lota.model.init('tiny')\nm:save(dir:path('base'), {dtype = 'f32'})\n\
                 m:set_param('model.layers.0.mlp.up_proj.weight', m:param('model.layers.0.mlp.up_proj.weight'):mul(2))\n\
                 m:save(dir:path('tuned'), {dtype = 'f32'})\n\
                 local t = lota.ticket.from(dir:path('base'), dir:path('tuned'), {count = 100})\nassert(#t == 100)",
            )
            .call(from),
    );
    r.add(
        formed(method("save", "Writes the ticket to a safetensors file.").arg("path", "string", "the file"))
            .opt("base", "Model", (), BASE)
            .returns("map", SAVED)
            .example(example(
                "assert(t:save(lota.run.start('ticket-save'):path('t.safetensors')).entries == t:entries())",
            ))
            .call(|_, args| {
                let ticket = args.this::<ScriptTicket>()?;
                let path = args.file("path")?;
                let model = args.opt::<Arc<ScriptModel>>("base")?;
                let base = model.as_ref().map(|m| (&m.0.exec, &m.0.params));
                let (codec, values) = form(args)?;
                Ok(sizes(ticket.save(path.path(), Form { codec, values, base })?))
            }),
    );
    r.add(
        formed(method("bytes", "The bytes its positions and values take in a file, without the header."))
            .returns("integer", "bytes")
            .example(example("assert(t:bytes({codec = 'compact'}) < t:bytes())"))
            .call(|_, args| {
                let ticket = args.this::<ScriptTicket>()?;
                let (codec, values) = form(args)?;
                Ok(ticket.bytes(codec, values))
            }),
    );
}

/// The codec and the type of values that the options ask for.
fn form(args: &mut Args) -> Result<(Codec, ValueType)> {
    let (codec, values): (String, String) = (args.get("codec")?, args.get("values")?);
    let codec =
        Codec::parse(&codec).map_err(|_| args.not_one_of("codec", &codec, &Codec::ALL.map(Codec::as_str)))?;
    let values = ValueType::parse(&values)
        .map_err(|_| args.not_one_of("values", &values, &ValueType::ALL.map(ValueType::as_str)))?;
    Ok((codec, values))
}

fn sizes(saved: Saved) -> Map {
    Map::new()
        .with("bytes", saved.bytes)
        .with("index_bytes", saved.index_bytes)
        .with("bound_bytes", saved.bound_bytes)
        .with("value_bytes", saved.value_bytes)
        .with("entries", saved.entries)
        .with("rounded", saved.rounded)
        .with("max_error", saved.max_error)
        .with("relative_error", saved.relative_error)
        .with("per_entry", saved.per_entry())
}

/// The files of the model that an argument names.
pub(crate) fn weight_files(ctx: &Ctx, args: &mut Args, name: &str, offline: bool) -> Result<WeightFiles> {
    let source = args.file(name)?;
    let mut hub = ctx.machine()?.hub.clone();
    hub.offline |= offline;
    Ok(WeightFiles::open(&source.folder_to_read()?.to_string_lossy(), &hub, &ctx.host)?)
}

fn from(ctx: &Ctx, args: &mut Args) -> Result<Ticket> {
    let offline = args.opt::<bool>("offline")?.unwrap_or_default();
    let (base, tuned) =
        (weight_files(ctx, args, "base", offline)?, weight_files(ctx, args, "tuned", offline)?);
    let params = chosen(args, base.universe())?;
    let (budget, scope) = budget(args, base.universe(), |p| params.binary_search(&p).is_ok())?;
    let options = FromOptions { budget, scope, params, shared_rows: args.get("shared_rows")? };
    Ok(Ticket::from_models(&base, &tuned, &options, ctx.exec()?, &ctx.host)?)
}
