//! What statistics hold, and their files.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::stats::{Kind, Stats};
use lota_script::{Args, Ctx, Error, Map, Primitive, Registry, Result};

use super::{example, kind};
use crate::machine::OnMachine as _;
use crate::primitives::model::ScriptModel;
use crate::primitives::shared::ScriptStats;

fn method(name: &str, doc: &'static str) -> Primitive {
    Primitive::method("Stats", name, doc)
}

pub(super) fn register(r: &mut Registry) {
    let made =
        |code: &str| example(&format!("local s = lota.stats.collect(m, b, {{input_norm = true}})\n{code}"));
    r.add(
        method("get", "The statistics of a kind of one layer.")
            .arg("kind", "string", "input_norm, output_norm, output_magnitude, gram or fisher")
            .arg("name", "string", "the weight of the layer; of fisher, the parameter")
            .returns(
                "Tensor",
                "f32: input_norm {in}, output_norm and output_magnitude {out}, gram {in, in}, fisher in the parameter's shape",
            )
            .example(made("assert(s:get('input_norm', up):shape()[1] == 32)"))
            .call(get),
    );
    r.add(
        method("names", "The names of the weights of the layers that have statistics.")
            .arg_or("kind", "string", (), "of this kind; of any but fisher if not given")
            .returns("list of string", "in the model's order")
            .example(made("assert(#s:names() == 2 * 7 and #s:names('input_norm') == 2 * 7)"))
            .call(names),
    );
    r.add(
        method("kinds", "The kinds of statistics there are.")
            .returns("list of string", "some of input_norm, output_norm, output_magnitude, gram, fisher")
            .example(made("assert(s:kinds()[1] == 'input_norm')"))
            .call(|_, args| {
                let stats: Arc<ScriptStats> = args.this()?;
                Ok(stats.kinds().map(|kind| kind.as_str().to_string()).collect::<Vec<_>>())
            }),
    );
    r.add(
        method("tokens", "The number of tokens that were seen.")
            .returns("integer", "how many")
            .example(made("assert(s:tokens() == 11)"))
            .call(|_, args| Ok(args.this::<ScriptStats>()?.about().tokens)),
    );
    r.add(
        method("sequences", "The number of sequences that were seen.")
            .returns("integer", "how many")
            .example(made("assert(s:sequences() == 2)"))
            .call(|_, args| Ok(args.this::<ScriptStats>()?.about().sequences)),
    );
    r.add(
        method("info", "What the statistics were gathered from.")
            .returns("map", "model (the fingerprint of its weights), data (a hash of tokens and labels), tokens, sequences")
            .example(made("assert(s:info().model == m:fingerprint())"))
            .call(|_, args| {
                let stats: Arc<ScriptStats> = args.this()?;
                let about = stats.about();
                Ok(Map::new()
                    .with("model", about.model.clone())
                    .with("data", about.data.clone())
                    .with("tokens", about.tokens)
                    .with("sequences", about.sequences))
            }),
    );
    r.add(
        method("fisher", "The Fisher information as Values.")
            .returns("Values", "a number for each entry of the parameters that it was gathered of")
            .example(example(
                "local s = lota.stats.collect(m, b, {fisher = true, params = up})\n\
                 assert(s:fisher():min() >= 0 and s:fisher():count() == m:param(up):count())",
            ))
            .call(|_, args| {
                let stats: Arc<ScriptStats> = args.this()?;
                stats.fisher()?.ok_or_else(|| lacks(&stats, Kind::Fisher))
            }),
    );
    r.add(
        method("save", "Writes the statistics to a file, with what they were gathered from.")
            .arg("path", "string", "the file")
            .returns("integer", "its size in bytes")
            .example(made("s:save(lota.run.start('stats-save'):path('s.safetensors'))"))
            .call(|_, args| {
                let stats: Arc<ScriptStats> = args.this()?;
                Ok(stats.save(args.file("path")?.path())?)
            }),
    );
    r.add(
        Primitive::new("stats.load", "Reads a file of statistics that Stats:save wrote.")
            .arg("path", "string", "the file")
            .opt("model", "Model", (), "refuse statistics of another model than this, or of other weights")
            .opt(
                "any_weights",
                "boolean",
                false,
                "take those of other weights of a model with the same parameters, too",
            )
            .returns("Stats", "the statistics")
            .example(made(
                "local path = lota.run.start('stats-load'):path('s.safetensors')\ns:save(path)\n\
                 local again = lota.stats.load(path, {model = m})\n\
                 assert((again:get('input_norm', up) - s:get('input_norm', up)):abs():max():item() == 0)",
            ))
            .call(load),
    );
}

/// The error that statistics of a kind were not gathered.
fn lacks(stats: &Stats, kind: Kind) -> Error {
    let there: Vec<&str> = stats.kinds().map(Kind::as_str).collect();
    let there =
        if there.is_empty() { "none at all".to_string() } else { format!("{} alone", there.join(", ")) };
    let word = kind.as_str();
    Error::argument(format!(
        "these statistics have no {word}, but {there}: gather them with lota.stats.collect(model, batches, {{{word} = true}})"
    ))
}

fn get(_: &Ctx, args: &mut Args) -> Result<Tensor> {
    let stats: Arc<ScriptStats> = args.this()?;
    let word: String = args.get("kind")?;
    let kind = kind(args, "kind", &word)?;
    let name: String = args.get("name")?;
    let index = stats.universe().get(&name)?;
    if stats.kinds().all(|there| there != kind) {
        return Err(lacks(&stats, kind));
    }
    let found = stats.get(kind, index).cloned();
    found.ok_or_else(|| {
        let some = stats.of(kind).next().map_or("nothing", |(_, spec, _)| &spec.name);
        args.wrong("name", format!("must be one of Stats:names('{word}'), such as {some}, got {name}"))
    })
}

fn names(_: &Ctx, args: &mut Args) -> Result<Vec<String>> {
    let stats: Arc<ScriptStats> = args.this()?;
    let Some(word) = args.opt::<String>("kind")? else {
        let name = |i: usize| stats.universe().spec(i).name.clone();
        return Ok(stats.modules().into_iter().map(name).collect());
    };
    let kind = kind(args, "kind", &word)?;
    if stats.kinds().all(|there| there != kind) {
        return Err(lacks(&stats, kind));
    }
    Ok(stats.of(kind).map(|(_, spec, _)| spec.name.clone()).collect())
}

fn load(ctx: &Ctx, args: &mut Args) -> Result<Stats> {
    let path = args.file("path")?;
    let model: Option<Arc<ScriptModel>> = args.opt("model")?;
    let any: bool = args.get("any_weights")?;
    let universe = model.as_ref().map(|model| model.params().universe().clone());
    ctx.reserve(usize::try_from(path.bytes()).unwrap_or(usize::MAX))?;
    let stats = Stats::load(path.path(), universe.as_ref(), ctx.device()?)?;
    if let Some(model) = model.filter(|_| !any)
        && model.params().fingerprint(&model.0.exec)? != stats.about().model
    {
        return Err(args.wrong(
            "model",
            "has other weights than those that the statistics of this file are of (any_weights takes them all the same)",
        ));
    }
    Ok(stats)
}
