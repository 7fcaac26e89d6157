//! Methods of `Trainer` that open a training to a method: gradients, values, moments, other entries, other rates.

use std::sync::Arc;

use lota_script::{Args, Ctx, Map, Registry, Result, Value};

use super::BEGIN;
use super::options::selection;
use super::trainer::{ScriptTrainer, batches, method, report};
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptValues;

pub(super) fn register(r: &mut Registry) {
    let new = format!(
        "{BEGIN}local mask = lota.mask.random(m, {{density = 0.01}})\n\
         local t = lota.train.new(m, {{mask = mask, optimizer = 'sgd', momentum = 0, lr = 0.1}})\n"
    );
    r.add(
        method("gradients", "The gradients of the loss, and of the penalty, by the trained entries.")
            .details(
                "Nothing is changed, and nothing is clipped. Several batches count as one, as in Trainer:step. The loss, and \
                 the tokens of all calls until then, become part of what the next Trainer:update reports; \
                 t:update(t:gradients(b)) is t:step(b).",
            )
            .arg("batch", "Batch|list of Batch", "the batch or batches")
            .returns("Values", "the gradients, as short as what is trained")
            .example(format!("{new}local g = t:gradients(b:next())\nassert(g:count() == mask:count())"))
            .call(|ctx, args| {
                let trainer = args.this::<ScriptTrainer>()?;
                let batches = batches(args)?;
                trainer.with(|t, subject, loss| Ok(t.gradients(subject, &ctx.host, &batches, loss)?))
            }),
    );
    r.add(
        method("update", "A step of the optimizer by gradients, clipped and at the rate of the schedule.")
            .arg("gradients", "Values", "of exactly the trained entries, as Trainer:gradients gives them")
            .returns("map", "what Trainer:step returns; loss is that of the first gradients since the last update, nil if there were none")
            .example(format!(
                "{new}-- Sharpness-aware minimization (Foret et al. 2021): the gradient a little uphill.\n\
                 local batch, w = b:next(), t:values()\n\
                 local g = t:gradients(batch)\n\
                 t:set_values(w + g * (0.05 / g:norm()))\n\
                 local sharp = t:gradients(batch)\n\
                 t:set_values(w)\n\
                 assert(t:update(sharp).step == 1)"
            ))
            .call(|ctx, args| {
                let trainer = args.this::<ScriptTrainer>()?;
                let gradients = args.get::<Arc<ScriptValues>>("gradients")?.get();
                let done = trainer.with(|t, subject, _| Ok(t.update(subject, &ctx.host, &gradients)?))?;
                Ok(report(&done))
            }),
    );
    r.add(
        method("values", "The values of the trained entries, as the optimizer has them.")
            .details("Of bf16 weights these are the f32 values that the optimizer works on, which the weights are rounded from.")
            .returns("Values", "the values, as short as what is trained")
            .example(format!("{new}assert(t:values():count() == mask:count())"))
            .call(|_, args| args.this::<ScriptTrainer>()?.with(|t, subject, _| Ok(t.values(subject)?))),
    );
    r.add(
        method(
            "set_values",
            "Puts other values in the place of the trained entries; what the optimizer remembers stays.",
        )
        .arg("values", "Values", "of exactly the trained entries, as Trainer:values gives them")
        .example(format!("{new}local g = t:gradients(b:next())\nt:set_values(t:values() - 0.1 * g)"))
        .call(|_, args| {
            let trainer = args.this::<ScriptTrainer>()?;
            let values = args.get::<Arc<ScriptValues>>("values")?.get();
            trainer.with(|t, subject, _| Ok(t.set_values(subject, &values)?))
        }),
    );
    r.add(
        method("moments", "What the optimizer remembers of the trained entries.")
            .returns("map", "Values by the name of the state: square_avg (rmsprop), exp_avg and exp_avg_sq (adamw), …")
            .example(format!("{BEGIN}local t = lota.train.new(m)\nt:step(b:next())\nassert(t:moments().square_avg:min() >= 0)"))
            .call(|_, args| {
                let trainer = args.this::<ScriptTrainer>()?;
                let moments = trainer.with(|t, subject, _| Ok(t.moments(subject)?))?;
                Ok(moments.into_iter().fold(Map::new(), |map, (name, values)| map.with(name, Value::object(ScriptValues::new(values)))))
            }),
    );
    r.add(
        method("select", "Trains other entries from now on.")
            .details(
                "What stays trained keeps its value and what the optimizer remembers of it; of new entries it remembers \
                 nothing. Entries that are not trained any more keep the values that they have. The number of steps goes on, \
                 and with it the optimizer's correction of its bias. A saved training holds the entries that are trained: what \
                 was changed before and is not trained any more is in the model alone, so save that too, and load the training on it.",
            )
            .opt("mask", "Mask", (), "train these entries")
            .opt("params", PARAMS, (), format!("train these parameters whole (all, if no mask is given): {PARAMS_DOC}"))
            .example(format!("{new}t:select{{mask = lota.mask.random(m, {{density = 0.02}})}}\nassert(t:info().entries > mask:count())"))
            .call(|_, args| {
                let trainer = args.this::<ScriptTrainer>()?;
                let selection = selection(args, trainer.model.params.universe())?;
                trainer.with(|t, subject, _| Ok(t.select(subject, selection)?))
            }),
    );
    r.add(
        method("set_lr", "Sets the learning rate, before the schedule.")
            .details("A saved training keeps the rates that were set.")
            .arg("lr", "number", "the rate")
            .opt(
                "params",
                PARAMS,
                (),
                format!(
                    "of these parameters alone; of all that no group gives a rate, if not given: {PARAMS_DOC}"
                ),
            )
            .example(format!("{new}t:set_lr(0.05)\nassert(t:step(b:next()).lr == 0.05)"))
            .call(set_lr),
    );
}

fn set_lr(_: &Ctx, args: &mut Args) -> Result<()> {
    let trainer = args.this::<ScriptTrainer>()?;
    let lr: f64 = args.get("lr")?;
    let params = match args.is_given("params") {
        true => Some(chosen(args, trainer.model.params.universe())?),
        false => None,
    };
    trainer.with(|t, _, _| Ok(t.set_lr(lr, params.as_deref())?))
}
