//! `train.new`: the options of a training.

use std::sync::Arc;

use lota_runtime::train::{Clip, Optimizer, Schedule, Selection, TrainOptions, Trainer};
use lota_script::{Args, Ctx, FromValue, Primitive, Registry, Result, ScriptFn, Value};

use super::BEGIN;
use super::loss::LOSS_DOC;
use super::trainer::{ScriptTrainer, subject};
use crate::error::of_callback;
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptMask;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("train.new", "Prepares the training of some entries of a model.")
            .details(
                "Entries outside of the mask (or the parameters) keep their bits, whatever the optimizer; its state is as \
                 large as what is trained. Defaults of the optimizers are those of their sources: rmsprop alpha 0.99, \
                 eps 1e-8; adamw betas 0.9, 0.999, eps 1e-8, weight_decay 0.01; sgd momentum 0.9; lion betas 0.9, 0.99. \
                 An option that the optimizer does not have is an error.",
            )
            .arg("model", "Model", "the model; it is changed in place")
            .opt("mask", "Mask", (), "train these entries")
            .opt("params", PARAMS, (), format!("train these parameters whole (all, if no mask is given): {PARAMS_DOC}"))
            .opt("optimizer", "string", "rmsprop", "rmsprop, adamw, sgd or lion")
            .opt("lr", "number", 1e-5, "the learning rate")
            .opt("betas", "list of number", (), "adamw, lion: the two decays")
            .opt("eps", "number", (), "rmsprop, adamw: added after the square root")
            .opt("weight_decay", "number", (), "the weight decay (of the trained entries alone)")
            .opt("alpha", "number", (), "rmsprop: the decay of the mean of squares")
            .opt("momentum", "number", (), "rmsprop, sgd: the decay of the momentum")
            .opt("nesterov", "boolean", (), "sgd: look ahead")
            .opt(
                "schedule",
                "string|function",
                "constant",
                "constant, linear, cosine, or function(step, total) -> factor, with the step's number from 1",
            )
            .opt("warmup", "integer", 0, "steps over which the learning rate rises")
            .opt("steps", "integer", (), "how many steps there will be; linear and cosine need it, fit takes it as default")
            .opt("accumulate", "integer", 1, "batches that fit puts into a step")
            .opt("clip_norm", "number", (), "the most that the norm of all gradients together may be")
            .opt("clip_per_parameter", "number", (), "the most that the norm of each parameter's gradient may be")
            .opt("checkpoint", "string", "none", "none, or block: compute activations again, for less memory and more time")
            .opt("reduction", "string", "mean", "cross-entropy is the mean over labelled positions, or their sum by sequence: mean or sum")
            .opt("loss", "function", (), LOSS_DOC)
            .opt("per_block", "boolean", false, "update each block as soon as its gradients are there, so that they are never all held; a step that is cancelled is taken back only if at most a tenth of the entries is trained")
            .opt("keep_packed", "boolean", false, KEEP_DOC)
            .returns("Trainer", "the trainer, at step 0")
            .example(format!(
                "{BEGIN}local t = lota.train.new(m, {{params = 'adaptable', optimizer = 'adamw', lr = 1e-3}})\n\
                 local info = t:step(b:next())\nassert(info.step == 1 and info.loss > 0)"
            ))
            .call(new),
    );
}

const KEEP_DOC: &str = "keep frozen and sparsely trained matrices as the CPU's products read them, from step to step: the same \
    bits sooner, the more so the fewer tokens a batch has, for the memory of two more copies of them";

fn new(_: &Ctx, args: &mut Args) -> Result<Value> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let selection = selection(args, &model)?;
    let schedule_name = schedule(args)?;
    let options = TrainOptions {
        optimizer: optimizer(args)?,
        lr: args.get("lr")?,
        schedule: schedule_name,
        warmup: args.get("warmup")?,
        total: args.opt("steps")?,
        clip: clip(args)?,
        checkpoint: word(args, "checkpoint", &["none", "block"])?.parse()?,
        reduction: word(args, "reduction", &["mean", "sum"])?.parse()?,
        per_block: args.get("per_block")?,
        keep_packed: args.get("keep_packed")?,
    };
    let accumulate: usize = args.get("accumulate")?;
    if accumulate == 0 {
        return Err(args.wrong("accumulate", "must be at least 1, got 0"));
    }
    let loss: Option<Arc<dyn ScriptFn>> = args.opt("loss")?;
    let steps = options.total;
    let trainer = Trainer::new(subject(&model.0), selection, options)?;
    Ok(Value::object(ScriptTrainer::new(model.0.clone(), trainer, loss, accumulate, steps)))
}

fn selection(args: &mut Args, model: &ScriptModel) -> Result<Selection> {
    let universe = model.params().universe();
    match (args.opt::<ScriptMask>("mask")?, args.is_given("params")) {
        (Some(_), true) => Err(args.wrong("mask", "and option 'params' exclude each other")),
        (Some(mask), false) => {
            universe.check_same(mask.universe())?;
            Ok(Selection::masked(&mask)?)
        }
        (None, true) => {
            let params = chosen(args, universe)?;
            let of = |name: &str| universe.index_of(name).is_some_and(|i| params.binary_search(&i).is_ok());
            Ok(Selection::dense(universe.clone(), |spec| of(&spec.name))?)
        }
        (None, false) => Ok(Selection::dense(universe.clone(), |_| true)?),
    }
}

/// An option that is one of a few words.
pub(super) fn word(args: &mut Args, name: &str, known: &[&str]) -> Result<String> {
    let given: String = args.get(name)?;
    if known.contains(&given.as_str()) { Ok(given) } else { Err(args.not_one_of(name, &given, known)) }
}

fn schedule(args: &mut Args) -> Result<Schedule> {
    match args.get::<Value>("schedule")? {
        Value::Function(function) => Ok(Schedule::Custom(Box::new(move |step, total| {
            let returned =
                function.call(&[Value::from(step + 1), Value::from(total)]).map_err(of_callback)?;
            let what = returned.describe();
            f64::from_value(returned).map_err(|_| {
                lota_runtime::Error::argument(format!(
                    "the schedule function must return a number, and returned {what}"
                ))
            })
        }))),
        Value::Str(name) => {
            Schedule::named(&name).map_err(|_| args.not_one_of("schedule", &name, &Schedule::NAMES))
        }
        other => {
            Err(args.wrong("schedule", format!("must be a string or a function, got {}", other.describe())))
        }
    }
}

fn clip(args: &mut Args) -> Result<Clip> {
    match (args.opt("clip_norm")?, args.opt("clip_per_parameter")?) {
        (None, None) => Ok(Clip::None),
        (Some(norm), None) => Ok(Clip::Global(norm)),
        (None, Some(norm)) => Ok(Clip::PerParameter(norm)),
        (Some(_), Some(_)) => {
            Err(args.wrong("clip_norm", "and option 'clip_per_parameter' exclude each other"))
        }
    }
}

fn optimizer(args: &mut Args) -> Result<Optimizer> {
    let name = word(args, "optimizer", &Optimizer::NAMES)?;
    let mut optimizer = Optimizer::named(&name)?;
    let has: &[&str] = match name.as_str() {
        "rmsprop" => &["alpha", "eps", "momentum", "weight_decay"],
        "adamw" => &["betas", "eps", "weight_decay"],
        "sgd" => &["momentum", "nesterov", "weight_decay"],
        _ => &["betas", "weight_decay"],
    };
    for option in ["alpha", "betas", "eps", "momentum", "nesterov", "weight_decay"] {
        if args.is_given(option) && !has.contains(&option) {
            return Err(
                args.wrong(option, format!("does not belong to {name}, which has {}", has.join(", ")))
            );
        }
    }
    let pair = match args.opt::<Vec<f64>>("betas")? {
        None => None,
        Some(list) => match list[..] {
            [first, second] => Some((first, second)),
            _ => return Err(args.wrong("betas", format!("must be two numbers, got {}", list.len()))),
        },
    };
    let (decay, eps_, alpha_, momentum_): (Option<f64>, Option<f64>, Option<f64>, Option<f64>) =
        (args.opt("weight_decay")?, args.opt("eps")?, args.opt("alpha")?, args.opt("momentum")?);
    let look_ahead: Option<bool> = args.opt("nesterov")?;
    let set = |field: &mut f64, given: Option<f64>| *field = given.unwrap_or(*field);
    match &mut optimizer {
        Optimizer::RmsProp { alpha, eps, momentum, weight_decay } => {
            set(alpha, alpha_);
            set(eps, eps_);
            set(momentum, momentum_);
            set(weight_decay, decay);
        }
        Optimizer::AdamW { betas, eps, weight_decay } => {
            *betas = pair.unwrap_or(*betas);
            set(eps, eps_);
            set(weight_decay, decay);
        }
        Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
            set(momentum, momentum_);
            *nesterov = look_ahead.unwrap_or(*nesterov);
            set(weight_decay, decay);
        }
        Optimizer::Lion { betas, weight_decay } => {
            *betas = pair.unwrap_or(*betas);
            set(weight_decay, decay);
        }
    }
    Ok(optimizer)
}
