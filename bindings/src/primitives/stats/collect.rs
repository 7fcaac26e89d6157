//! `stats.collect`: one pass over batches that gathers statistics, or hands a function what flows.

use std::sync::Arc;

use candle_core::Tensor;
use lota_runtime::data::Batch;
use lota_runtime::mask::matching_params;
use lota_runtime::model::ParamSpec;
use lota_runtime::stats::{Each, Kind, Stats, Wanted, collect};
use lota_runtime::train::fisher;
use lota_script::{Args, Ctx, Error, Primitive, Registry, Result, ScriptFn, Value};

use super::example;
use crate::error::of_callback;
use crate::primitives::data::limited_batches;
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, choose, chosen, patterns};
use crate::primitives::tensor::ScriptTensor;
use crate::primitives::train::{subject, word};

/// The kinds that a forward pass shows, with what the record says of each.
const FORWARD: [(Kind, &str); 4] = [
    (
        Kind::InputNorm,
        "the Euclidean norm of each input feature over all tokens, [in]; sums of squares in f64",
    ),
    (Kind::OutputNorm, "the same of each output feature, [out]"),
    (
        Kind::OutputMagnitude,
        "the mean over all tokens of the magnitude of each output feature, [out]; summed in f64",
    ),
    (
        Kind::Gram,
        "the Gram matrix of the inputs, x:t():matmul(x) over all tokens, [in, in]; sums of a batch in f32, of batches in f64. It \
         takes 12 bytes an entry while it is gathered",
    ),
];

pub(super) fn register(r: &mut Registry) {
    let mut record = Primitive::new(
        "stats.collect",
        "Statistics of what flows through the linear layers of a model, in one pass over batches.",
    )
    .details(
        "Nothing is kept beyond the batch in work but what is asked for. All tokens count, those of prompts too; there is no \
         padding. Layers that are given the same (query, key and value; gate and up) share what is known of their inputs. Of a \
         layer with factors of low rank, the output is with them. Fisher information takes a second pass, with gradients, \
         each sequence by itself: the mean over sequences of the square of the gradient of the summed log-probability of \
         the sequence's labels (arXiv 1612.00796).",
    )
    .arg("model", "Model", "the model; it is not changed")
    .arg("batches", "Batches|Examples|Batch|list of Batch", "the data; of a stream, its current epoch");
    for (kind, doc) in FORWARD {
        record = record.opt(kind.as_str(), "boolean", false, doc);
    }
    r.add(
        record
            .opt("fisher", "boolean", false, "the diagonal of the empirical Fisher information, in each parameter's shape")
            .opt(
                "each",
                "function",
                (),
                "function(name, x, y), called for each layer and batch with the name of the weight, the layer's input {tokens, \
                 in} and its output {tokens, out}; both are constants. What it returns is not looked at",
            )
            .opt(
                "modules",
                PARAMS,
                (),
                "the layers, by patterns of the names of their weights, or a function(parameter) -> boolean; if not given, all \
                 linear layers of the blocks. The output head is one where it is not the embedding",
            )
            .opt("params", PARAMS, "all", format!("of fisher alone; {PARAMS_DOC}"))
            .opt("limit", "integer", (), "use only so many batches")
            .opt("checkpoint", "string", "none", "of fisher alone; none, or block: compute activations again, for less memory and more time")
            .returns("Stats", "the statistics; without any kind, and with `each` alone, the counts")
            .example(example(
                "local s = lota.stats.collect(m, b, {input_norm = true})\n\
                 local seen = 0\n\
                 lota.stats.collect(m, b, {modules = up, each = function(name, x, y)\n\
                 \x20 seen = seen + x:shape()[1]\n\
                 end})\n\
                 assert(s:get('input_norm', up):shape()[1] == 32 and seen == s:tokens())",
            ))
            .call(collected),
    );
}

fn collected(ctx: &Ctx, args: &mut Args) -> Result<Stats> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let m = &model.0;
    let universe = m.params.universe().clone();
    let batches: Vec<Arc<Batch>> = limited_batches(args, "batches")?;
    if batches.is_empty() {
        return Err(args.wrong("batches", "holds no batch, so there is nothing to gather"));
    }
    let mut kinds = Vec::new();
    for (kind, _) in FORWARD {
        if args.get::<bool>(kind.as_str())? {
            kinds.push(kind);
        }
    }
    let with_fisher: bool = args.get("fisher")?;
    let each = args.opt::<Arc<dyn ScriptFn>>("each")?;
    if kinds.is_empty() && !with_fisher && each.is_none() {
        let words: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
        return Err(Error::argument(format!(
            "no statistics are asked for: set one of {} to true, or give a function as `each`",
            words.join(", ")
        )));
    }
    if args.is_given("params") && !with_fisher {
        return Err(
            args.wrong("params", "is of Fisher information alone: set fisher to true, or say `modules`")
        );
    }
    let params = chosen(args, &universe)?;
    let checkpoint = word(args, "checkpoint", &["none", "block"])?.parse()?;
    let wanted = Wanted { kinds, modules: modules(args, &model)? };
    ask(ctx, &model, &batches, &wanted, with_fisher.then_some(&params))?;

    let mut call = each.map(|function| {
        move |spec: &ParamSpec, x: &Tensor, y: &Tensor| {
            let constant = |tensor: &Tensor| Value::object(ScriptTensor::new(tensor.clone()));
            function
                .call(&[Value::from(spec.name.as_str()), constant(x), constant(y)])
                .map(drop)
                .map_err(of_callback)
        }
    });
    let each = call.as_mut().map(|call| call as &mut Each<'_>);
    let stats = match wanted.kinds.is_empty() && each.is_none() {
        true => Stats::of_counts(&m.exec, &m.params, &batches)?,
        false => collect(&m.exec, &ctx.host, &m.decoder, &m.params, &batches, &wanted, each)?,
    };
    if !with_fisher {
        return Ok(stats);
    }
    let choose =
        |spec: &ParamSpec| universe.index_of(&spec.name).is_some_and(|i| params.binary_search(&i).is_ok());
    Ok(stats.with_fisher(&fisher(subject(m), &ctx.host, &batches, &choose, checkpoint)?)?)
}

/// Asks for the memory of what is gathered.
fn ask(
    ctx: &Ctx,
    model: &ScriptModel,
    batches: &[Arc<Batch>],
    wanted: &Wanted,
    fisher: Option<&Vec<usize>>,
) -> Result<()> {
    let universe = model.params().universe();
    let mut bytes = wanted.bytes(&model.0.decoder)?;
    let head = model.0.decoder.linear_layers().into_iter().find(|layer| !layer.in_block);
    if let Some(head) = head.filter(|head| wanted.modules.contains(&head.weight)) {
        let longest = batches.iter().map(|batch| batch.len()).max().unwrap_or(0) as u64;
        bytes = bytes.saturating_add(4 * longest * universe.spec(head.weight).rows_cols().0 as u64);
    }
    if let Some(params) = fisher {
        bytes = bytes.saturating_add(params.iter().map(|&p| 4 * universe.spec(p).entries()).sum());
    }
    ctx.reserve(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// The weights of the layers that the option `modules` means, ascending. A pattern that names no linear layer is an error.
fn modules(args: &mut Args, model: &ScriptModel) -> Result<Vec<usize>> {
    let universe = model.params().universe();
    let layers = model.0.decoder.linear_layers();
    let linear = |found: Vec<usize>| -> Vec<usize> {
        found.into_iter().filter(|p| layers.iter().any(|layer| layer.weight == *p)).collect()
    };
    let none = |args: &Args, what: &str| {
        args.wrong("modules", format!("{what} no linear layer: name weights such as {}", example_of(model)))
    };
    match args.get::<Value>("modules")? {
        Value::Nil => Ok(layers.iter().filter(|layer| layer.in_block).map(|layer| layer.weight).collect()),
        function @ Value::Function(_) => match linear(choose(args, "modules", function, universe)?) {
            found if found.is_empty() => Err(none(args, "chooses")),
            found => Ok(found),
        },
        value => {
            let mut all = Vec::new();
            for pattern in patterns(value).map_err(|m| args.mismatched("modules", &m))? {
                let found = linear(matching_params(universe, &[&pattern])?);
                if found.is_empty() {
                    return Err(none(args, &format!("has the pattern '{pattern}', which matches")));
                }
                all.extend(found);
            }
            all.sort_unstable();
            all.dedup();
            match all.is_empty() {
                true => Err(none(args, "names")),
                false => Ok(all),
            }
        }
    }
}

/// The name of some linear layer's weight.
fn example_of(model: &ScriptModel) -> String {
    let layers = model.0.decoder.linear_layers();
    layers.first().map_or_else(String::new, |layer| model.params().universe().spec(layer.weight).name.clone())
}
