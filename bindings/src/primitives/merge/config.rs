//! `merge.config` and `merge.check`: merges as mergekit's configurations write them.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::DType;
use lota_runtime::merge::{
    Config, Existing, Folder, FolderOptions, Found, Input, Method, Plan, PlanOptions, as_model, conflicts,
    open_all,
};
use lota_runtime::model::{LoadOptions, Model};
use lota_script::{
    Args, Ctx, Error, FromValue, Granted, IntoValue, Map, Primitive, Registry, Result, ScriptFn, Value,
    to_json,
};

use super::inputs::functions;
use super::own::{OwnMethod, names_of};
use super::steps::{Step, documents, order, place};
use super::targets::{Targets, check_hidden};
use crate::builtin;
use crate::error::of_callback;
use crate::machine::OnMachine as _;

pub(super) fn register(r: &mut Registry) {
    r.add(
        common(
            Primitive::new("merge.config", "Merges as a configuration of mergekit says, into a folder.")
                .details(
                    "The configuration is a YAML file, or the same as a table. Weights are read from their files as they are \
                     needed, so that models may be larger than memory. The folder appears whole. A merge that was stopped \
                     goes on where it stood when it is asked for again, unless its method is a function of the script or \
                     one of the models has changed. One process at a time writes a folder. A model may also be a ticket's \
                     file, a model with an adapter (`model+adapter`), or `builtin`. Of a file with several documents, those \
                     with a name are made first, each in a folder of this name; what is there already is used if this very \
                     step made it.",
                )
                .arg("config", "string|map", "a file, or the configuration")
                .arg("out", "string", "the folder to write"),
        )
        .opt("seed", "integer", 0, "the seed of methods that draw")
        .opt("shard", "string|integer", "5GB", "the most bytes of tensors in one file, as a number or 500MB, 2GB, ...")
        .opt("replace", "boolean", false, "replace a folder that is there already; an error if it holds files that belong to no model")
        .opt("between", "string", (), "the folder for the results of named documents, which are kept; beside `out` if not given")
        .opt("report", "string", (), "write a report of the task vectors as FILE.md and FILE.svg; needs a base_model")
        .opt(
            "scores",
            "function",
            (),
            "function(model, name): a map of task to score, called with the base, each model and the result, for the report",
        )
        .returns("list of string", "the files")
        .example(
            "local out = lota.run.start('merge-config')\n\
             lota.model.init('tiny', {seed = 1}):save(out:path('a'))\n\
             lota.model.init('tiny', {seed = 2}):save(out:path('b'))\n\
             local models = {{model = out:path('a')}, {model = out:path('b')}}\n\
             local config = {merge_method = 'linear', models = models, parameters = {weight = 0.5}}\n\
             local files = lota.merge.config(config, out:path('merged'))\n\
             assert(#files >= 2)",
        )
        .call(run),
    );
    r.add(
        common(
            Primitive::new("merge.check", "Whether a configuration can be carried out: an error that says what is in the way, before any work.")
                .arg("config", "string|map", "a file, or the configuration"),
        )
        .returns("list of map", "for each step: method, tensors, entries, models, notices")
        .example(
            "local out = lota.run.start('merge-check')\n\
             lota.model.init('tiny'):save(out:path('a'))\n\
             local steps = lota.merge.check({merge_method = 'passthrough', models = {{model = out:path('a')}}})\n\
             assert(steps[1].tensors > 0)",
        )
        .call(check),
    );
}

fn common(record: Primitive) -> Primitive {
    record
        .opt("methods", "map", (), "methods of the script by name: see merge.models")
        .opt("allow_crimes", "boolean", false, "try models of different architectures")
        .opt(
            "unsafe_truncate_embeddings",
            "boolean",
            false,
            "cut vocabularies of different size to the shortest, as if tokens had the same ids",
        )
}

/// What a call says besides the configuration.
struct Call {
    folder: Option<Granted>,
    documents: Vec<serde_json::Value>,
    source: String,
    methods: Vec<(String, Arc<dyn ScriptFn>)>,
    options: PlanOptions,
}

impl Call {
    fn read(ctx: &Ctx, args: &mut Args) -> Result<Self> {
        let (folder, documents, source) = match args.get::<Value>("config")? {
            Value::Str(path) => {
                let file = ctx.files.grant(path)?;
                let text = file.read_to_string()?;
                let documents = documents(&text, &file.to_string())?;
                (file.folder().ok(), documents, text)
            }
            value @ Value::Map(_) => {
                let json = to_json(&value)?;
                let text = serde_json::to_string_pretty(&json).unwrap_or_default();
                (None, vec![json], text + "\n")
            }
            other => {
                return Err(
                    args.wrong("config", format!("must be a file or a table, got {}", other.describe()))
                );
            }
        };
        Ok(Self {
            folder,
            documents,
            source,
            methods: functions(args, "methods")?,
            options: PlanOptions {
                mixed_architectures: args.get("allow_crimes")?,
                truncate_vocabulary: args.get("unsafe_truncate_embeddings")?,
            },
        })
    }

    fn plan(&self, ctx: &Ctx, config: &Config) -> Result<Plan> {
        let own = self.methods.iter().find(|(name, _)| *name == config.method);
        let own = own.map(|(name, function)| -> Arc<dyn Method> {
            let params = names_of(&config.parameters, each(config));
            Arc::new(OwnMethod::new(name, params, function.clone()))
        });
        let find = |place: &str| -> lota_runtime::Result<Found> {
            find(ctx, self.folder.as_ref(), place).map_err(of_callback)
        };
        let inputs = open_all(config, &ctx.machine()?.hub, &find, &ctx.host)?;
        Ok(Plan::new(config, inputs, own, self.options)?)
    }
}

/// The names of all settings that a configuration has for single models.
fn each(config: &Config) -> impl Iterator<Item = String> {
    use lota_runtime::merge::Body;
    let sources: Vec<_> = match &config.body {
        Body::Models(models) => models.iter().collect(),
        Body::Slices(slices) => slices.iter().flat_map(|s| &s.sources).collect(),
    };
    sources.into_iter().flat_map(|s| s.parameters.keys().cloned()).collect::<Vec<_>>().into_iter()
}

/// Where a model or an adapter is: the built-in one by its name, a path of those that this run may reach, as it is
/// or from where the configuration lies, or else the hub.
fn find(ctx: &Ctx, folder: Option<&Granted>, place: &str) -> Result<Found> {
    if place == "builtin" {
        let options = LoadOptions { exec: ctx.exec()?.clone(), ..LoadOptions::default() };
        let model = builtin::load_model(&options, &ctx.host)?;
        return Ok(Found::Model(Box::new(model)));
    }
    let path = ctx.files.grant(place)?;
    if path.exists() {
        return Ok(Found::Path(path.folder_to_read()?.to_path_buf()));
    }
    if let Some(folder) = folder {
        let beside = folder.resolve(place)?;
        if beside.exists() {
            return Ok(Found::Path(beside.folder_to_read()?.to_path_buf()));
        }
    }
    Ok(Found::Hub)
}

fn run(ctx: &Ctx, args: &mut Args) -> Result<Vec<String>> {
    let call = Call::read(ctx, args)?;
    let targets = Targets::read(ctx, args)?;
    let scores = args.opt::<Arc<dyn ScriptFn>>("scores")?;
    if scores.is_some() && targets.report.is_none() {
        return Err(args.wrong("scores", "are for the report: give `report`, the name of its files"));
    }
    let seed = args.get::<i64>("seed")? as u64;
    let (shard_bytes, replace) = (crate::primitives::model::shard_bytes(args)?, args.get::<bool>("replace")?);
    let steps = place(order(&call.documents)?, &targets.out, &targets.between)?;
    for step in &steps {
        check_hidden(&step.out)?;
        let last = step.out == targets.out;
        if last && targets.report.is_some() && step.config.base.is_none() {
            return Err(Error::argument(
                "a report compares with the base: the configuration has no base_model",
            ));
        }
    }
    // Told before the first step, not after the last but one.
    let there = targets.out.holds_something();
    if there && !replace && targets.report.is_none() && steps.len() > 1 {
        return Err(Error::argument(format!(
            "{} is there already, and is not overwritten",
            targets.out.display()
        )));
    }
    if there && replace {
        lota_runtime::merge::check_replaceable(targets.out.path())?;
    }
    // What a refusal leaves of them has nothing in it and goes.
    let _made = targets.new_folders();
    targets.make_report_folder()?;
    let mut files = Vec::new();
    for step in &steps {
        let last = step.out == targets.out;
        let plan = call.plan(ctx, &step.config)?;
        let source = if step.source.is_empty() { call.source.clone() } else { step.source.clone() };
        let existing = match (last, replace) {
            (false, _) => Existing::Renew,
            (true, true) => Existing::Replace,
            // A report may be wanted of what was merged before.
            (true, false) if targets.report.is_some() => Existing::Keep,
            (true, false) => Existing::Refuse,
        };
        let options = FolderOptions { shard_bytes, seed, existing, source: Some(source) };
        let mut written = plan.write(step.out.path(), &options, ctx.exec()?, &ctx.host)?;
        if last {
            if let Some(report) = &targets.report {
                written.extend(compare(ctx, &plan, step, report, scores.as_deref())?);
            }
            files = written.into_iter().map(|p| p.to_string_lossy().into_owned()).collect();
        }
    }
    if !targets.kept {
        targets.remove_steps(&steps)?;
    }
    Ok(files)
}

/// Writes what the models of a step did to its base, how far the result went from it, and what they are
/// worth.
fn compare(
    ctx: &Ctx,
    plan: &Plan,
    step: &Step,
    files: &[Granted; 2],
    judge: Option<&dyn ScriptFn>,
) -> Result<Vec<PathBuf>> {
    let [base, models @ ..] = plan.inputs() else { return Ok(Vec::new()) };
    let merged: Arc<dyn Input> = Arc::new(Folder::open(step.out.path(), "the merge")?);
    let rows = conflicts(base, models, Some(&merged), ctx.exec()?, &ctx.host)?;
    let names: Vec<String> = models.iter().map(|m| m.label().to_string()).collect();
    let mut scores = Vec::new();
    if let Some(judge) = judge {
        // One model at a time: each is as large as the base.
        for input in plan.inputs().iter().chain([&merged]) {
            let model = as_model(input, DType::F32, ctx.exec()?, &ctx.host)?;
            scores.push((input.label().to_string(), judged(judge, model, input.label())?));
        }
    }
    super::report::write(files, &rows, &names, &scores)?;
    Ok(files.iter().map(|file| file.path().to_path_buf()).collect())
}

/// What a script's function says of a model.
fn judged(judge: &dyn ScriptFn, model: Model, name: &str) -> Result<Vec<(String, f64)>> {
    let given = judge.call(&[model.into_value(), name.into()])?;
    let wrong = |what: String| {
        Error::argument(format!("scores, for {name}, must return a map of task to number, {what}"))
    };
    let Value::Map(map) = given else { return Err(wrong(format!("not {}", given.describe()))) };
    let number = |(task, value): (&str, &Value)| match f64::from_value(value.clone()) {
        Ok(score) => Ok((task.to_string(), score)),
        Err(_) => Err(wrong(format!("and {task} is {}", value.describe()))),
    };
    map.iter().map(number).collect()
}

fn check(ctx: &Ctx, args: &mut Args) -> Result<Vec<Map>> {
    let call = Call::read(ctx, args)?;
    let steps = order(&call.documents)?;
    if steps.len() > 1 {
        // Later steps need models that are not made yet: their text has been read, which is all.
        return Ok(steps.iter().map(|s| Map::new().with("method", s.config.method.clone())).collect());
    }
    steps
        .iter()
        .map(|step| {
            let plan = call.plan(ctx, &step.config)?;
            let models: Vec<String> = plan.inputs().iter().map(|i| i.label().to_string()).collect();
            Ok(Map::new()
                .with("method", plan.method().spec().name.to_string())
                .with("tensors", plan.tensors())
                .with("entries", plan.entries())
                .with("models", models)
                .with("notices", plan.notices().to_vec()))
        })
        .collect()
}
