//! `train.new`: the options of a training.

use std::sync::Arc;

use lota_runtime::model::Universe;
use lota_runtime::model::decoder::Terms;
use lota_runtime::train::{Accumulation, Clip, Schedule, Selection, TrainOptions, Trainer};
use lota_script::{Args, Ctx, FromValue, Primitive, Registry, Result, Value};

use super::loss::{LOSS_DOC, LOSS_TYPE, Loss};
use super::optimizer;
use super::penalty;
use super::trainer::{ScriptTrainer, subject};
use super::{BEGIN, EPOCHS, word};
use crate::error::of_callback;
use crate::primitives::model::ScriptModel;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptMask;

pub(super) fn register(r: &mut Registry) {
    let record = Primitive::new("train.new", "Prepares the training of some entries of a model.")
        .details(format!(
            "Entries outside of the mask (or the parameters) keep their bits, whatever the optimizer; its state is as large as \
             what is trained. {} An option that the optimizer does not have is an error.",
            optimizer::defaults()
        ))
        .instead_of("epochs", EPOCHS)
        .instead_of("learning_rate", "the learning rate is `lr`")
        .instead_of("batch_size", "the size of a batch is an option of lota.data.batches, `size`")
        .arg("model", "Model", "the model; it is changed in place")
        .opt("mask", "Mask", (), "train these entries")
        .opt("params", PARAMS, (), format!("train these parameters whole (all, if no mask is given): {PARAMS_DOC}"));
    r.add(
        optimizer::options(record)
            .opt("lr", "number", 1e-5, "the learning rate")
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
            .opt("reduction", "string", "mean", REDUCTION_DOC)
            .opt("label_smoothing", "number", 0.0, SMOOTHING_DOC)
            .opt("z_loss", "number", 0.0, Z_DOC)
            .opt("loss", LOSS_TYPE, (), LOSS_DOC)
            .opt("penalty", "map", (), penalty::DOC)
            .opt("groups", "list of map", (), penalty::GROUPS_DOC)
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

const REDUCTION_DOC: &str = "mean or sum. Cross-entropy is the mean over labelled positions, or the sum over each sequence and the \
    mean over sequences; a loss over logits is that of its rows. Another loss of your own is computed once over all batches of a step, as if they were one, unless this is \
    given: then once for each batch, without the further forward pass that this takes, and the results are averaged with the \
    numbers of labelled positions as weights (mean) or added up (sum)";

const SMOOTHING_DOC: &str = "of cross-entropy: the share of each label's probability that is spread evenly over the vocabulary, at \
    least 0 and below 1; PyTorch's label_smoothing (arXiv 1512.00567)";

const Z_DOC: &str = "of cross-entropy: the weight of the square of the logits' log-sum-exp, which is added at each labelled position; \
    PaLM's z-loss (arXiv 2204.02311), there 1e-4";

const KEEP_DOC: &str = "keep frozen and sparsely trained matrices as the CPU's products read them, from step to step: the same \
    bits sooner, the more so the fewer tokens a batch has, for the memory of two more copies of them";

fn new(_: &Ctx, args: &mut Args) -> Result<Value> {
    let model: Arc<ScriptModel> = args.get("model")?;
    let _hold = model.params().hold("train.new");
    let selection = selection(args, model.params().universe())?;
    let schedule_name = schedule(args)?;
    // Cross-entropy always has a reduction; another loss has one only if the script says so.
    let terms = terms(args)?;
    let of_loss = args.is_given("reduction") && args.is_given("loss");
    let reduction = word(args, "reduction", &["mean", "sum"])?;
    let loss = Loss::read(args)?;
    let accumulation = match (of_loss, reduction.as_str()) {
        (false, _) => Accumulation::Whole,
        (true, "sum") => Accumulation::Sum,
        (true, _) => Accumulation::Mean,
    };
    let options = TrainOptions {
        optimizer: optimizer::read(args)?,
        lr: args.get("lr")?,
        schedule: schedule_name,
        warmup: args.get("warmup")?,
        total: args.opt("steps")?,
        clip: clip(args)?,
        checkpoint: word(args, "checkpoint", &["none", "block"])?.parse()?,
        reduction: reduction.parse()?,
        terms,
        accumulation,
        per_block: args.get("per_block")?,
        keep_packed: args.get("keep_packed")?,
        penalty: penalty::read(args)?,
        groups: penalty::groups(args, model.params().universe())?,
    };
    let accumulate: usize = args.get("accumulate")?;
    if accumulate == 0 {
        return Err(args.wrong("accumulate", "must be at least 1, got 0"));
    }
    let steps = options.total;
    let trainer = Trainer::new(subject(&model.0), selection, options)?;
    Ok(Value::object(ScriptTrainer::new(model.0.clone(), trainer, loss, accumulate, steps)))
}

/// The terms of cross-entropy, which no other loss has.
fn terms(args: &mut Args) -> Result<Terms> {
    let own = args.is_given("loss");
    let mut term = |name: &str| -> Result<f32> {
        let weight = args.get(name)?;
        if own && weight != 0.0 {
            let what = "is a term of cross-entropy, and option 'loss' gives another loss: write it there";
            return Err(args.wrong(name, what));
        }
        Ok(weight)
    };
    Ok(Terms { smoothing: term("label_smoothing")?, z: term("z_loss")? })
}

/// What the options `mask` and `params` say is trained.
pub(super) fn selection(args: &mut Args, universe: &Arc<Universe>) -> Result<Selection> {
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

fn schedule(args: &mut Args) -> Result<Schedule> {
    match args.get::<Value>("schedule")? {
        Value::Function(function) => Ok(Schedule::Custom(Box::new(move |step, total| {
            let returned =
                function.call(&[Value::from(step + 1), Value::from(total)]).map_err(of_callback)?;
            let what = returned.describe();
            f64::from_value(returned).map_err(|_| {
                lota_runtime::Error::argument(format!(
                    "the schedule function must return a number, and returned {what} for step {}",
                    step + 1
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
