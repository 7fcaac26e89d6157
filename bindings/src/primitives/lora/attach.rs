//! `lora.attach`, `lora.of`, `lora.merge`: factors of low rank that are trained like any other parameter.

use std::sync::Arc;

use lota_runtime::lora::{Adapter, Shape, merged, modules};
use lota_runtime::model::decoder::{Attached, Factored};
use lota_runtime::model::{Init, Model};
use lota_script::{Args, Ctx, FromValue, Primitive, Registry, Result, Value};

use super::Lora;
use crate::primitives::model::{ScriptModel, TINY};

fn example(code: &str) -> String {
    format!("{TINY}{code}")
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("lora.attach", "A model with factors of low rank beside some of its weights, to be trained.")
            .details(
                "Each chosen module computes W x + scale B A x (Hu et al. 2021, arXiv 2106.09685), with A [rank, in], B [out, rank], \
                 both f32, and scale = alpha / rank, or alpha / sqrt(rank) with `rslora` (arXiv 2312.03732). The factors are \
                 parameters under peft's names (`model.layers.0.self_attn.q_proj.lora_A.weight`; of the embedding \
                 `model.embed_tokens.lora_embedding_A`), so masks, training, tickets and snapshots know them: \
                 `params = \"lora\"` trains them all, `params = \"*.lora_B.weight\"` leaves A frozen. The weights are those of the model \
                 it is made of, not copies. Where the head is the embedding, factors of `lm_head` change the head alone, and \
                 those of `embed_tokens` the embedding alone. Of a training step, the input of each A goes through dropout; \
                 its masks depend on the seed, the step and the batch, so that a resumed training has the same bits.",
            )
            .arg("model", "Model", "the model; it stays as it is")
            .opt("adapter", "Lora", (), "begin with these factors, their ranks and scales, instead of new ones")
            .opt("rank", "integer", 8, "the rank of each pair of factors")
            .opt("alpha", "number", (), "the numerator of the scale; the rank if not given")
            .opt("rslora", "boolean", false, "divide alpha by sqrt(rank) instead of the rank")
            .opt(
                "targets",
                "string|list of string",
                "all-linear",
                "which modules: \"all-linear\" (of all blocks), names (q_proj, lm_head, embed_tokens), or patterns of them",
            )
            .opt("dropout", "number", 0.0, "the chance that an entry of A's input is dropped in a training step")
            .opt("init", "string", "kaiming", "how A begins: kaiming (uniform within 1 / sqrt(in)) or gaussian (deviation 1 / rank)")
            .opt("seed", "integer", 0, "what A and dropout are drawn from")
            .returns("Model", "the model with factors")
            .example(example(
                "local l = lota.lora.attach(m, { rank = 2, targets = { 'q_proj', 'v_proj' } })\n\
                 assert(#l:params() == #m:params() + 8)\n\
                 assert(lota.mask.all(l, { params = 'lora' }):count() == 2 * (2 * (32 + 32) + 2 * (32 + 16)))",
            ))
            .call(attach),
    );
    r.add(
        Primitive::new("lora.of", "The factors of a model as an adapter of its base, copied.")
            .arg("model", "Model", "a model that lora.attach made")
            .returns("Lora", "the adapter; its `save` writes a folder that peft reads")
            .example(example("assert(lota.lora.of(lota.lora.attach(m, { rank = 2 })):info().modules == 14)"))
            .call(|_, args| {
                let model = args.get::<Arc<ScriptModel>>("model")?;
                Ok(Value::object(Lora::of(Adapter::of(&model.0)?)))
            }),
    );
    r.add(
        Primitive::new("lora.merge", "A model without factors that computes what a model with them does.")
            .details(
                "Each weight is rounded once to its type, and nothing is shared. Where the head is the embedding and one of the \
                 two has factors, they become two weights. A model with factors is not saved as it is: save what this \
                 returns, or `lora.of`.",
            )
            .arg("model", "Model", "a model that lora.attach made")
            .returns("Model", "the merged model")
            .example(example("assert(lota.lora.merge(lota.lora.attach(m, { rank = 2 })):fingerprint() == m:fingerprint())"))
            .call(|_, args| {
                let model = args.get::<Arc<ScriptModel>>("model")?;
                Ok(merged(&model.0)?)
            }),
    );
}

fn attach(ctx: &Ctx, args: &mut Args) -> Result<Model> {
    let model = args.get::<Arc<ScriptModel>>("model")?;
    let seed = args.get::<i64>("seed")? as u64;
    let dropout: f64 = args.get("dropout")?;
    if !(0.0..1.0).contains(&dropout) {
        return Err(args.wrong("dropout", format!("must be at least 0 and below 1, got {dropout}")));
    }
    if let Some(lora) = args.opt::<Arc<Lora>>("adapter")? {
        for name in ["alpha", "rslora", "targets", "rank", "init"] {
            if args.is_given(name) {
                return Err(args.wrong(name, "is what the adapter says, and cannot be given with one"));
            }
        }
        return Ok(lora.adapter.attach(&model.0, dropout, seed)?);
    }
    let rank: i64 = args.get("rank")?;
    let Some(rank) = usize::try_from(rank).ok().filter(|&r| r > 0) else {
        return Err(args.wrong("rank", format!("must be at least 1, got {rank}")));
    };
    let alpha = args.opt::<f64>("alpha")?.unwrap_or(rank as f64);
    let shape = Shape { rank, alpha, rslora: args.get("rslora")? };
    let names = match args.get::<Value>("targets")? {
        Value::Str(name) => vec![name],
        list => Vec::<String>::from_value(list).map_err(|m| args.mismatched("targets", &m))?,
    };
    let modules = modules(&model.0, &names, &shape)?;
    if modules.is_empty() {
        return Err(args.wrong("targets", "names no module"));
    }
    tell_full(ctx, &model.0, &modules);
    let init: String = args.get("init")?;
    let init = match init.as_str() {
        "kaiming" => Init::Kaiming,
        "gaussian" => Init::Gaussian,
        other => return Err(args.not_one_of("init", other, &["kaiming", "gaussian"])),
    };
    Ok(model.0.attach(Attached { modules, dropout, seed }, init, seed)?)
}

/// A notice where the rank of factors is more than that of the matrix beside which they stand can be.
fn tell_full(ctx: &Ctx, model: &Model, modules: &[Factored]) {
    let universe = model.params.universe();
    let full = |of: &&Factored| {
        let name = format!("{}.weight", of.module);
        let spec = universe.index_of(&name).map(|i| universe.spec(i));
        spec.and_then(|spec| spec.shape.iter().min().copied()).is_some_and(|least| of.rank > least)
    };
    let found: Vec<&Factored> = modules.iter().filter(full).collect();
    if let Some(first) = found.first() {
        ctx.host.events.notice(format!(
            "a rank of {} is more than that of {} of the {} matrices can be ({}, for example): the factors hold more numbers \
             than they need",
            first.rank,
            found.len(),
            modules.len(),
            first.module
        ));
    }
}
