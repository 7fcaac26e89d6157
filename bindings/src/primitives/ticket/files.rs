//! Tickets in files, and from the files of two models.

use std::sync::Arc;

use lota_runtime::host::Granted;
use lota_runtime::model::{Universe, WeightFiles};
use lota_runtime::ticket::{Base, Codec, Foreign, Form, FromOptions, Saved, Ticket, TicketFile, ValueType};
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
            (),
            "how values are written: f32 (if not given), bf16 (nothing is lost if the model is in bf16), int8 or ternary \
             (these two with a scale for each row)",
        )
}

/// The option that names a format of another program to be written.
fn foreign_to(record: Primitive) -> Primitive {
    record.opt(
        "to",
        "string",
        (),
        "write a format of another program: trl (bf16 values), vllm (f32 or bf16), or the folders of peft, shira and \
         supertuning (f32; these two take the base)",
    )
}

/// The option that names the format of another program that a file has.
fn foreign_from(record: Primitive) -> Primitive {
    record.opt(
        "from",
        "string",
        (),
        "the format of another program that it is in: trl, shira or supertuning; told by the file if not given",
    )
}

const BASE: &str = "the base model, with no tickets applied: formats of other programs take it; int8 and ternary \
                        values are then differences from it, and reading the file takes it too";

/// What every way of writing a ticket returns.
const SAVED: &str = "bytes of the file, index_bytes, bound_bytes (the fewest for these positions, by their entropy), \
                     value_bytes, entries, rounded (values that were changed), max_error, relative_error \
                     (Euclidean), per_entry (bytes)";

pub(super) fn register(r: &mut Registry) {
    r.add(
        foreign_from(
            Primitive::new(
                "ticket.load",
                "Reads a ticket file, or a sparse change of another program (TRL, peft).",
            )
            .details("A damaged file or one of a later version is refused.")
            .arg("path", "string", "the file; of peft's adapters the folder")
            .opt(
                "model",
                "Model|Mask|Values|Ticket",
                (),
                "refuse a ticket of another model than this; the base itself where the file holds differences from it or is \
                 of another program",
            ),
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
            let model = match &given {
                Value::Object(object) => object.downcast_ref::<ScriptModel>(),
                _ => None,
            };
            let format = foreign(args, "from")?;
            let ticket = read(ctx, &path, format, expected.as_ref(), model)?;
            check_described(ctx, ticket.mask().universe(), expected.as_ref())?;
            Ok(ticket)
        }),
    );
    r.add(
        foreign_to(foreign_from(formed(
            Primitive::new(
                "ticket.convert",
                "Writes a ticket file in another form, or from and to formats of other programs.",
            )
            .arg("path", "string", "the file; of peft's adapters the folder")
            .arg("out", "string", "the file (for peft the folder) to write"),
        )))
        .opt("base", "Model", (), BASE)
        .returns("map", SAVED)
        .example(example(
            "local run = lota.run.start('ticket-convert')\nlocal a, b, c = run:path('a.safetensors'), run:path('b.safetensors'), run:path('c')\n\
                 t:save(a)\nassert(lota.ticket.convert(a, b, {codec = 'compact'}).entries == t:entries())\n\
                 lota.ticket.convert(a, c, {to = 'trl'})\n\
                 assert(lota.ticket.load(c, {model = m}):mask() == mask)",
        ))
        .call(|ctx, args| {
            let path = args.file("path")?;
            let out = args.file("out")?;
            let model = args.opt::<Arc<ScriptModel>>("base")?;
            let format = foreign(args, "from")?;
            let written = Written::asked(args)?;
            let ticket = read(ctx, &path, format, None, model.as_deref())?;
            Ok(sizes(written.write(ctx, &ticket, &out, model.as_deref())?))
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
        foreign_to(formed(
            method("save", "Writes the ticket to a safetensors file, or in a format of another program.")
                .arg("path", "string", "the file; for peft's adapters the folder"),
        ))
        .opt("base", "Model", (), BASE)
        .returns("map", SAVED)
        .example(example(
            "local run = lota.run.start('ticket-save')\n\
                 assert(t:save(run:path('t.safetensors')).entries == t:entries())\n\
                 local only = lota.ticket.new(m, lota.mask.random(m, {count = 20, params = 'adaptable'}), {base = base})\n\
                 only:save(run:path('adapter'), {to = 'supertuning', base = m})\n\
                 assert(#lota.ticket.load(run:path('adapter'), {model = m}) == 20)",
        ))
        .call(|ctx, args| {
            let ticket = args.this::<ScriptTicket>()?;
            let path = args.file("path")?;
            let model = args.opt::<Arc<ScriptModel>>("base")?;
            let written = Written::asked(args)?;
            Ok(sizes(written.write(ctx, &ticket, &path, model.as_deref())?))
        }),
    );
    r.add(
        formed(method("bytes", "The bytes its positions and values take in a file, without the header."))
            .returns("integer", "bytes")
            .example(example("assert(t:bytes({codec = 'compact'}) < t:bytes())"))
            .call(|_, args| {
                let ticket = args.this::<ScriptTicket>()?;
                let (codec, values) = form(args)?;
                Ok(ticket.bytes(codec, values.unwrap_or_default()))
            }),
    );
}

/// A ticket of what is at a path.
fn read(
    ctx: &Ctx,
    path: &Granted,
    format: Option<Foreign>,
    expected: Option<&Arc<Universe>>,
    model: Option<&ScriptModel>,
) -> Result<Ticket> {
    let at = path.folder_to_read()?;
    let format = match format {
        Some(format) => Some(format),
        None => Foreign::of(at)?,
    };
    Ok(match format {
        Some(format) => format.read(at, model.map(base), &ctx.host)?,
        None => TicketFile::read(at, expected)?.ticket(model.map(|m| (&m.0.exec, &m.0.params)))?,
    })
}

fn base(model: &ScriptModel) -> Base<'_> {
    let m = &model.0;
    Base { exec: &m.exec, params: &m.params, name: &m.source }
}

/// How a ticket is to be written.
struct Written {
    codec: Codec,
    values: Option<ValueType>,
    to: Option<Foreign>,
}

impl Written {
    fn asked(args: &mut Args) -> Result<Self> {
        let (codec, values) = form(args)?;
        let to = foreign(args, "to")?;
        if to.is_some() && codec != Codec::Plain {
            return Err(args.wrong("codec", "is of tickets; formats of other programs (to) have none"));
        }
        Ok(Self { codec, values, to })
    }

    fn write(
        &self,
        ctx: &Ctx,
        ticket: &Ticket,
        path: &Granted,
        model: Option<&ScriptModel>,
    ) -> Result<Saved> {
        if let Some(to) = self.to {
            return Ok(ticket.save_foreign(path.path(), to, self.values, model.map(base), &ctx.host)?);
        }
        let base = model.map(|m| (&m.0.exec, &m.0.params));
        Ok(ticket
            .save(path.path(), Form { codec: self.codec, values: self.values.unwrap_or_default(), base })?)
    }
}

/// The format of another program that an option names.
fn foreign(args: &mut Args, name: &str) -> Result<Option<Foreign>> {
    let Some(word) = args.opt::<String>(name)? else { return Ok(None) };
    let format = Foreign::parse(&word)
        .map_err(|_| args.not_one_of(name, &word, &Foreign::ALL.map(Foreign::as_str)))?;
    Ok(Some(format))
}

/// The codec and the type of values that the options ask for.
fn form(args: &mut Args) -> Result<(Codec, Option<ValueType>)> {
    let (codec, values): (String, Option<String>) = (args.get("codec")?, args.opt("values")?);
    let codec =
        Codec::parse(&codec).map_err(|_| args.not_one_of("codec", &codec, &Codec::ALL.map(Codec::as_str)))?;
    let Some(values) = values else { return Ok((codec, None)) };
    let values = ValueType::parse(&values)
        .map_err(|_| args.not_one_of("values", &values, &ValueType::ALL.map(ValueType::as_str)))?;
    Ok((codec, Some(values)))
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
