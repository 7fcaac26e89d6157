//! `scores.*` and `Scores`: a number for every entry of every parameter.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use lota_runtime::mask::nonzero;
use lota_runtime::vectors::{Scores, Source};
use lota_script::{Args, Ctx, Error, FromValue, Map, Primitive, Registry, Result, ScriptFn, Value};

use super::model::ScriptModel;
use crate::error::Told as _;
use crate::primitives::shared::ScriptScores;
use crate::primitives::tensor::ScriptTensor;
use crate::primitives::tensor::of_value;

/// The first lines of every example.
const BEGIN: &str = "local m = lota.model.init('tiny')\n\
                     local s = lota.scores.new(m, function(name, w) return name:find('mlp') and w or nil end)\n";

fn example(code: &str) -> String {
    format!("{BEGIN}{code}")
}

/// The tensor that a callback returned for a parameter, if any.
pub(crate) fn returned(value: Value, what: &str) -> Result<Option<Tensor>> {
    match value {
        Value::Nil | Value::Bool(false) => Ok(None),
        value => of_value(value).map(Some).map_err(|m| {
            Error::argument(format!("{what} must return a Tensor or nil, and returned {}", m.given))
        }),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.area("scores", "Scores: a number for every entry, which selecting turns into a mask.");
    r.object("Scores", "A number for every entry of every scored parameter of a model.");
    r.add(
        Primitive::new("scores.new", "Scores made by a function of each parameter.")
            .arg("model", "Model", "the model")
            .arg("score", "function", "function(name, tensor) -> Tensor of the same shape, or nil to leave it unscored")
            .returns("Scores", "the scores")
            .example(
                "local m = lota.model.init('tiny')\n\
                 local s = lota.scores.new(m, function(name, w) return name:find('mlp') and w:abs() or nil end)",
            )
            .call(new),
    );
    r.add(
        Primitive::method("Scores", "get", "The scores of one parameter.")
            .arg("name", "string", "the parameter")
            .returns("Tensor", "its scores, in its shape; nil if it has none")
            .example(example("assert(s:get('model.layers.0.mlp.up_proj.weight'):shape()[2] == 32)"))
            .call(|_, args| {
                let scores = args.this::<ScriptScores>()?;
                let index = scores.universe().get(&args.get::<String>("name")?)?;
                Ok(scores.get(index).cloned())
            }),
    );
    r.add(
        Primitive::method("Scores", "names", "The names of the parameters that have scores.")
            .returns("list of string", "in the model's order")
            .example(example("assert(#s:names() == 6)"))
            .call(|_, args| {
                let scores = args.this::<ScriptScores>()?;
                let scored =
                    scores.universe().specs().iter().zip(scores.values()).filter(|(_, v)| v.is_some());
                Ok(scored.map(|(spec, _)| spec.name.clone()).collect::<Vec<_>>())
            }),
    );
    r.add(
        Primitive::method("Scores", "map", "New scores made from those of each parameter.")
            .arg(
                "change",
                "function",
                "function(name, tensor) -> Tensor of the same shape, or nil to drop it",
            )
            .returns("Scores", "the new scores")
            .example(example("local squared = s:map(function(name, t) return t:square() end)"))
            .call(map),
    );
    arithmetic(r);
    figures(r);
}

fn new(ctx: &Ctx, args: &mut Args) -> Result<Scores> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let score: Arc<dyn ScriptFn> = args.get("score")?;
    let params = model.params();
    let _hold = params.hold("scores.new");
    let universe = params.universe().clone();
    let mut values = Vec::with_capacity(universe.len());
    for (spec, tensor) in universe.specs().iter().zip(params.tensors()) {
        ctx.host.cancel.check()?;
        let copy = ScriptTensor::of_weights(tensor.copy().told()?, &model.0);
        let made = score.call(&[Value::from(spec.name.as_str()), copy])?;
        values.push(returned(made, "the function of lota.scores.new")?);
    }
    Ok(Scores::new(universe, values)?)
}

fn map(ctx: &Ctx, args: &mut Args) -> Result<Scores> {
    let scores = args.this::<ScriptScores>()?;
    let change: Arc<dyn ScriptFn> = args.get("change")?;
    let mut values = Vec::with_capacity(scores.values().len());
    for (spec, value) in scores.universe().specs().iter().zip(scores.values()) {
        ctx.host.cancel.check()?;
        values.push(match value {
            None => None,
            Some(tensor) => {
                let made = change.call(&[
                    Value::from(spec.name.as_str()),
                    Value::object(ScriptTensor::new(tensor.clone())),
                ])?;
                returned(made, "the function of Scores:map")?
            }
        });
    }
    Ok(Scores::new(scores.universe().clone(), values)?)
}

fn arithmetic(r: &mut Registry) {
    use lota_script::Op;
    type Both = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;
    type One = fn(&Tensor, f64) -> candle_core::Result<Tensor>;
    r.add(
        Primitive::method("Scores", "abs", "The magnitude of every score.")
            .returns("Scores", "the new scores")
            .example(example("assert(s:abs():min() >= 0)"))
            .call(|_, args| Ok(args.this::<ScriptScores>()?.map(|_, t| Ok(t.abs()?))?)),
    );
    let all: [(&str, &str, Op, Both, One); 3] = [
        ("add", "The sum of two scores, or of scores and a number.", Op::Add, |a, b| a + b, |a, x| a + x),
        (
            "sub",
            "The difference of two scores, or of scores and a number.",
            Op::Sub,
            |a, b| a - b,
            |a, x| a - x,
        ),
        (
            "mul",
            "The product of two scores, entry by entry, or of scores and a number.",
            Op::Mul,
            |a, b| a * b,
            |a, x| a * x,
        ),
    ];
    for (name, doc, op, both, one) in all {
        r.add(
            Primitive::method("Scores", name, doc)
                .arg("other", "Scores|number", "scores of the same parameters, or a number")
                .returns("Scores", "the new scores")
                .operator(op)
                .example(example(&format!("local twice = s:{name}(s)\nlocal more = s:{name}(2)")))
                .call(move |_, args| {
                    let scores = args.this::<ScriptScores>()?;
                    match args.get::<Value>("other")? {
                        Value::Int(i) => Ok(scores.map(|_, t| Ok(one(t, i as f64)?))?),
                        Value::Float(x) => Ok(scores.map(|_, t| Ok(one(t, x)?))?),
                        value => {
                            let other =
                                ScriptScores::from_value(value).map_err(|m| args.mismatched("other", &m))?;
                            let same = |t: &Tensor| t.to_dtype(DType::F32);
                            Ok(scores.zip(&other, |_, a, b| Ok(both(&same(a)?, &same(b)?)?))?)
                        }
                    }
                }),
        );
    }
}

fn figures(r: &mut Registry) {
    r.add(
        Primitive::method("Scores", "nonzero", "How many scores are not zero.")
            .returns("integer", "how many")
            .example(example("assert(s:nonzero() > 0)"))
            .call(|ctx, args| Ok(nonzero(&*args.this::<ScriptScores>()?.0, &ctx.host)?)),
    );
    r.add(
        Primitive::method("Scores", "count", "How many entries have a score.")
            .returns("integer", "how many")
            .example(example("assert(s:count() == 6 * 32 * 64)"))
            .call(|_, args| {
                let scores = args.this::<ScriptScores>()?;
                Ok(scores.values().iter().flatten().map(|t| t.elem_count() as u64).sum::<u64>())
            }),
    );
    type Figure = fn(&Figures) -> f64;
    let all: [(&str, &str, &str, Figure); 3] = [
        ("max", "The largest score.", "signs:max() == 1", |f| f.max),
        ("min", "The smallest score.", "signs:min() == -1", |f| f.min),
        (
            "sum",
            "The sum of all scores.",
            "(signs * signs + 2):sum() == signs:nonzero() + 2 * signs:count()",
            |f| f.sum,
        ),
    ];
    for (name, doc, holds, pick) in all {
        r.add(
            Primitive::method("Scores", name, doc)
                .returns("number", "the figure")
                .example(example(&format!(
                    "local signs = s:map(function(name, t) return t:sign() end)\nassert({holds})"
                )))
                .call(move |_, args| {
                    let scores = args.this::<ScriptScores>()?;
                    let mut all = Figures { max: f64::NEG_INFINITY, min: f64::INFINITY, sum: 0.0 };
                    for tensor in scores.values().iter().flatten() {
                        all.take(tensor)?;
                    }
                    if all.max < all.min {
                        return Err(Error::argument("no parameter has scores"));
                    }
                    Ok(pick(&all))
                }),
        );
    }
    r.add(
        Primitive::method("Scores", "by", "Count, sum and extremes of the scores of each parameter.")
            .returns("list of map", "for each scored parameter: name, count, sum, min, max")
            .example(example("for _, row in ipairs(s:by()) do assert(row.min <= row.max) end"))
            .call(|_, args| {
                let scores = args.this::<ScriptScores>()?;
                let mut rows = Vec::new();
                for (spec, tensor) in scores.universe().specs().iter().zip(scores.values()) {
                    let Some(tensor) = tensor else { continue };
                    let mut one = Figures { max: f64::NEG_INFINITY, min: f64::INFINITY, sum: 0.0 };
                    one.take(tensor)?;
                    rows.push(
                        Map::new()
                            .with("name", spec.name.clone())
                            .with("count", spec.entries())
                            .with("sum", one.sum)
                            .with("min", one.min)
                            .with("max", one.max),
                    );
                }
                Ok(rows)
            }),
    );
}

struct Figures {
    max: f64,
    min: f64,
    sum: f64,
}

impl Figures {
    fn take(&mut self, tensor: &Tensor) -> Result<()> {
        let flat = tensor.flatten_all().told()?.to_dtype(DType::F32).told()?;
        self.max = self.max.max(f64::from(flat.max(0).told()?.to_scalar::<f32>().told()?));
        self.min = self.min.min(f64::from(flat.min(0).told()?.to_scalar::<f32>().told()?));
        // In pieces, so that the sum of many small numbers keeps its digits.
        for start in (0..flat.elem_count()).step_by(1 << 16) {
            let piece = flat.narrow(0, start, (flat.elem_count() - start).min(1 << 16)).told()?;
            self.sum += f64::from(piece.sum_all().told()?.to_scalar::<f32>().told()?);
        }
        Ok(())
    }
}
