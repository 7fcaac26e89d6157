//! `lora.*` and `Lora`: adapters of low rank.

mod attach;

use std::sync::Arc;

use candle_core::DType;
use lota_runtime::lora::{Adapter, ExtractOptions, Extracted, LEFT_OUT};
use lota_runtime::ticket::FileDelta;
use lota_script::{Args, Ctx, Map, Object, Primitive, Registry, Result, Scripted, Value};

use crate::machine::OnMachine as _;
use crate::primitives::model::{ScriptModel, TINY};
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptTicket;
use crate::primitives::shared::ScriptValues;
use crate::primitives::ticket::weight_files;

/// An adapter, and what it lacks of the task vector that it was made of.
pub(super) struct Lora {
    pub(super) adapter: Adapter,
    report: Vec<Extracted>,
}

impl Lora {
    /// An adapter that was not extracted.
    pub(super) fn of(adapter: Adapter) -> Self {
        Self { adapter, report: Vec::new() }
    }
}

impl Scripted for Lora {
    const TYPE: &'static str = "Lora";

    fn show(&self) -> String {
        format!("Lora({} modules, rank {})", self.adapter.modules.len(), self.adapter.config.rank)
    }

    fn bytes(&self) -> u64 {
        4 * self.adapter.values() as u64
    }
}

/// The first lines of every example.
const BEGIN: &str = "local before = m:snapshot()\n\
                     local name = 'model.layers.0.mlp.up_proj.weight'\n\
                     m:set_param(name, m:param(name):mul(2))\n\
                     local delta = m:delta(before)\n\
                     local l = lota.lora.extract(delta, {rank = 4})\n";

fn example(code: &str) -> String {
    format!("{TINY}{BEGIN}{code}")
}

fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Lora", name, doc)
}

/// The options of an extraction.
fn extracting(record: Primitive) -> Primitive {
    record
        .opt("rank", "integer", 16, "the rank of the adapter")
        .opt("params", PARAMS, "adaptable", PARAMS_DOC)
        .opt("oversample", "integer", 10, "how many random vectors more than the rank the search starts from")
        .opt("power", "integer", 2, "how many power iterations make the search exact")
        .opt("seed", "integer", 0, "the seed of the random vectors")
}

fn options(args: &mut Args) -> Result<ExtractOptions> {
    Ok(ExtractOptions {
        rank: args.get("rank")?,
        oversample: args.get("oversample")?,
        power: args.get("power")?,
        seed: args.get::<i64>("seed")? as u64,
    })
}

pub(super) fn register(r: &mut Registry) {
    r.area(
        "lora",
        "LoRA adapters, as peft stores them: read, applied, extracted from task vectors, attached to a model to be trained, written.",
    );
    r.object("Lora", "Changes of low rank of a model's matrices.");
    r.add(
        Primitive::new("lora.load", "Reads an adapter's folder.")
            .details(
                "adapter_config.json and adapter_model.safetensors, with every setting that makes a plain LoRA: alpha, \
                 rslora, patterns of ranks and alphas, modules trained in full. DoRA and other kinds are an \
                 error that names the kind.",
            )
            .arg("path", "string", "the folder")
            .returns("Lora", "the adapter")
            .example(example("local dir = lota.run.start('lora-load'):path('adapter')\nl:save(dir)\nassert(lota.lora.load(dir):info().rank == 4)"))
            .call(|_, args| {
                let path = args.file("path")?;
                Ok(Value::object(Lora { adapter: Adapter::load(path.folder_to_read()?)?, report: Vec::new() }))
            }),
    );
    r.add(
        extracting(
            Primitive::new("lora.extract", "The adapter of this rank that is nearest to a task vector.")
                .details("By a randomized singular value decomposition of the change of each matrix; `modules` says what is lacking.")
                .arg("delta", "Values|Ticket", "the task vector, or a ticket (then with its base)"),
        )
        .opt("base", "Model", (), "the model that a ticket belongs to, with no tickets applied")
        .returns("Lora", "the adapter")
        .example(example("assert(#l:modules() == 1 and l:modules()[1].rank == 4)"))
        .call(extract),
    );
    r.add(
        extracting(
            Primitive::new("lora.from", "The adapter nearest to what a fine-tuned model changed in its base.")
                .details("Both are folders with safetensors, or hub ids, and are read one parameter at a time.")
                .arg("base", "string", "the folder or hub id of the model before")
                .arg("tuned", "string", "the folder or hub id of the model after"),
        )
        .opt("offline", "boolean", (), "of a hub id: use only what the cache has")
        .returns("Lora", "the adapter")
        .example(
            "local dir = lota.run.start('lora-from')\nlocal m = lota.model.init('tiny')\nm:save(dir:path('base'), {dtype = 'f32'})\n\
             m:set_param('model.layers.0.mlp.up_proj.weight', m:param('model.layers.0.mlp.up_proj.weight'):mul(2))\n\
             m:save(dir:path('tuned'), {dtype = 'f32'})\n\
             local l = lota.lora.from(dir:path('base'), dir:path('tuned'), {rank = 32})\nassert(l:info().error < 1e-4)",
        )
        .call(from),
    );
    r.add(
        Primitive::new("lora.sum", "The sum of adapters as one adapter of the ranks together, exactly.")
            .arg("adapters", "list of Lora", "the adapters")
            .opt("weights", "list of number", (), "what each is multiplied with; 1 if not given")
            .returns("Lora", "the sum")
            .example(example("assert(lota.lora.sum({l, l}, {weights = {0.5, 0.5}}):info().rank == 8)"))
            .call(sum),
    );
    contents(r);
    attach::register(r);
}

fn contents(r: &mut Registry) {
    r.add(
        method("info", "What it is.")
            .returns(
                "map",
                "rank, alpha, rslora, base, targets, saved (modules trained in full), modules and values (how many), error (of \
                 what was extracted, relative)",
            )
            .example(example("assert(l:info().modules == 1)"))
            .call(|_, args| {
                let lora = args.this::<Lora>()?;
                Ok(info(&lora))
            }),
    );
    r.add(
        method("modules", "The modules whose weights it changes.")
            .returns(
                "list of map",
                "name, shape, rank, scale; where it was extracted, norm of the change and error (absolute)",
            )
            .example(example("assert(l:modules()[1].name == 'model.layers.0.mlp.up_proj')"))
            .call(|_, args| {
                let lora = args.this::<Lora>()?;
                Ok(modules(&lora))
            }),
    );
    r.add(
        method("delta", "Its change of a model as a task vector.")
            .arg("model", "Model", "the model")
            .returns("Values", "every entry of the parameters that it changes; the others are not scored")
            .example(example("assert(#l:delta(m):names() == 1)"))
            .call(|_, args| {
                let (lora, model) = (args.this::<Lora>()?, args.get::<Arc<ScriptModel>>("model")?);
                Ok(lora.adapter.task_vector(&model.0.exec, &model.0.params)?)
            }),
    );
    r.add(
        method("apply", "Adds its change to a model's weights, in place.")
            .details(
                "A change of the embedding or the head of a model in which these are one weight is refused: apply it to \
                 `model:untied()`.",
            )
            .arg("model", "Model", "the model")
            .opt("scale", "number", 1.0, "what the change is multiplied with")
            .example(example("m:restore(before)\nl:apply(m)\nassert(m:delta(before):nonzero() > 0)"))
            .call(|_, args| {
                let (lora, model) = (args.this::<Lora>()?, args.get::<Arc<ScriptModel>>("model")?);
                Ok(lora.adapter.apply(&model.0.exec, &model.0.params, args.get("scale")?)?)
            }),
    );
    r.add(
        method("save", "Writes the adapter's folder, as peft reads it.")
            .arg("path", "string", "the folder")
            .opt("dtype", "string", "f32", "how factors are written: f32, bf16 or f16")
            .opt("base", "string", (), "the name of the base model to write into its configuration")
            .returns("list of string", "the files")
            .example(example("assert(#l:save(lota.run.start('lora-save'):path('adapter')) == 2)"))
            .call(|ctx, args| {
                let lora = args.this::<Lora>()?;
                let path = args.file("path")?;
                let dtype: String = args.get("dtype")?;
                let dtype = match dtype.as_str() {
                    "f32" => DType::F32,
                    "bf16" => DType::BF16,
                    "f16" => DType::F16,
                    other => return Err(args.not_one_of("dtype", other, &["f32", "bf16", "f16"])),
                };
                let mut adapter = lora.adapter.clone();
                adapter.config.base = args.opt("base")?.or(adapter.config.base);
                let files = adapter.save(path.path(), dtype, &ctx.host)?;
                Ok(files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>())
            }),
    );
}

fn extract(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let object: Object = args.get("delta")?;
    let base = args.opt::<Arc<ScriptModel>>("base")?;
    let options = options(args)?;
    let (adapter, report) = if let Some(scores) = object.downcast_ref::<ScriptValues>() {
        let scores = scores.get();
        let params = chosen(args, scores.universe())?;
        Adapter::extract(&*scores, &params, &options, ctx.exec()?, &ctx.host)?
    } else if let Some(ticket) = object.downcast_ref::<ScriptTicket>() {
        let base =
            base.ok_or_else(|| args.wrong("base", "is missing: a ticket is a change of its base model"))?;
        let params = chosen(args, ticket.mask().universe())?;
        let m = &base.0;
        Adapter::extract_ticket(ticket, &m.params, &params, &options, &m.exec, &ctx.host)?
    } else {
        return Err(args.wrong("delta", format!("must be Values or a Ticket, got {}", object.type_name())));
    };
    Ok(Value::object(Lora { adapter, report }))
}

fn from(ctx: &Ctx, args: &mut Args) -> Result<Value> {
    let offline = args.opt::<bool>("offline")?.unwrap_or_default();
    let (base, tuned) =
        (weight_files(ctx, args, "base", offline)?, weight_files(ctx, args, "tuned", offline)?);
    let options = options(args)?;
    let params = chosen(args, base.universe())?;
    let delta = FileDelta::new(&base, &tuned, &params, false, &ctx.host)?;
    delta.tell_elsewhere(LEFT_OUT)?;
    let (mut adapter, report) = Adapter::extract(&delta, &params, &options, ctx.exec()?, &ctx.host)?;
    adapter.config.base = Some(base.source().to_string());
    Ok(Value::object(Lora { adapter, report }))
}

fn sum(_: &Ctx, args: &mut Args) -> Result<Value> {
    let adapters: Vec<Arc<Lora>> = args.get("adapters")?;
    let weights: Vec<f64> = args.opt("weights")?.unwrap_or_else(|| vec![1.0; adapters.len()]);
    if weights.len() != adapters.len() {
        let what = format!("must be as many as the adapters, {}, and are {}", adapters.len(), weights.len());
        return Err(args.wrong("weights", what));
    }
    let parts: Vec<(&Adapter, f64)> = adapters.iter().map(|l| &l.adapter).zip(weights).collect();
    Ok(Value::object(Lora { adapter: Adapter::sum(&parts)?, report: Vec::new() }))
}

fn info(lora: &Lora) -> Map {
    let (adapter, config) = (&lora.adapter, &lora.adapter.config);
    let norm = |of: fn(&Extracted) -> f64| lora.report.iter().map(|e| of(e).powi(2)).sum::<f64>().sqrt();
    let error = (!lora.report.is_empty()).then(|| norm(|e| e.error) / norm(|e| e.norm));
    let saved: Vec<String> = adapter.replaced.iter().map(|r| r.param.clone()).collect();
    Map::new()
        .with("rank", config.rank)
        .with("alpha", config.alpha)
        .with("rslora", config.rslora)
        .with("base", config.base.clone())
        .with("targets", lota_script::from_json(config.targets.clone()))
        .with("saved", saved)
        .with("modules", adapter.modules.len())
        .with("values", adapter.values())
        .with("vocabulary", adapter.changes_vocabulary())
        .with("error", error)
}

fn modules(lora: &Lora) -> Vec<Value> {
    let found = |name: &str| lora.report.iter().find(|e| e.module == name);
    let one = |m: &lota_runtime::lora::Module| {
        let extracted = found(&m.name);
        Value::Map(
            Map::new()
                .with("name", m.name.clone())
                .with("shape", m.shape().to_vec())
                .with("rank", m.rank())
                .with("scale", m.scale)
                .with("norm", extracted.map(|e| e.norm))
                .with("error", extracted.map(|e| e.error)),
        )
    };
    lora.adapter.modules.iter().map(one).collect()
}
