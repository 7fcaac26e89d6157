//! Snapshots and task vectors.

use std::sync::Arc;

use candle_core::DType;
use lota_runtime::model::Params;
use lota_runtime::vectors::Values;
use lota_script::{Args, Ctx, Object, Primitive, Registry, Result, Scripted, Value};

use super::{ScriptModel, TINY, method, overwrite};
use crate::error::Told as _;
use crate::primitives::params::{PARAMS, PARAMS_DOC, chosen};
use crate::primitives::shared::ScriptMask;

/// The bits of a model's weights at one moment.
pub(crate) struct Snapshot(Params);

impl Snapshot {
    pub(crate) fn params(&self) -> &Params {
        &self.0
    }
}

impl Scripted for Snapshot {
    const TYPE: &'static str = "Snapshot";

    fn show(&self) -> String {
        format!("Snapshot({} entries)", self.0.universe().entries())
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        method("snapshot", "The bits of the weights as they are now.")
            .returns("Snapshot", "a copy")
            .example(format!("{TINY}local before = m:snapshot()"))
            .call(|_, args| Ok(Value::object(Snapshot(args.this::<ScriptModel>()?.params().copy()?)))),
    );
    r.add(
        method("restore", "Puts the bits of a snapshot back. Tickets that were applied are then applied no more.")
            .details(
                "With `within` only the entries of a mask are put back, and all others keep their bits. Tickets that are \
                 applied stay so, and what lies under them counts as unknown, as after any other change of the weights.",
            )
            .arg("snapshot", "Snapshot", "of this model, or of one with the same parameters")
            .opt("within", "Mask", (), "only these entries; all if not given")
            .example(format!(
                "{TINY}local before, f = m:snapshot(), m:fingerprint()\nlocal up = 'model.layers.0.mlp.up_proj.weight'\n\
                 m:set_param(up, m:param(up):add(1))\nm:restore(before, {{within = lota.mask.match(m, up)}})\n\
                 assert(m:fingerprint() == f)"
            ))
            .call(restore),
    );
    r.add(
        method("delta", "How far each entry has moved since a snapshot: now - then, in f32.")
            .arg("before", "Snapshot|Model", "the state to compare with")
            .opt("params", PARAMS, "all", PARAMS_DOC)
            .returns("Values", "the task vector; the other parameters are not scored")
            .example(format!("{TINY}local before = m:snapshot()\nassert(m:delta(before):nonzero() == 0)"))
            .call(|ctx, args| {
                let after = args.this::<ScriptModel>()?;
                let before = state(args, "before")?;
                task_vector(ctx, args, after.params(), before.params())
            }),
    );
    r.add(
        Primitive::new("task_vector", "The difference of two states of a model: after - before, in f32.")
            .arg("after", "Model|Snapshot", "the state after")
            .arg("before", "Model|Snapshot", "the state before")
            .opt("params", PARAMS, "all", PARAMS_DOC)
            .returns("Values", "the task vector; the other parameters are not scored")
            .example("local a, b = lota.model.init('tiny', {seed = 1}), lota.model.init('tiny', {seed = 2})\nassert(lota.task_vector(a, b):nonzero() > 0)")
            .call(|ctx, args| {
                let (after, before) = (state(args, "after")?, state(args, "before")?);
                task_vector(ctx, args, after.params(), before.params())
            }),
    );
}

fn restore(_: &Ctx, args: &mut Args) -> Result<()> {
    let model = args.this::<ScriptModel>()?;
    model.params().check_free()?;
    let snapshot: Arc<Snapshot> = args.get("snapshot")?;
    model.params().universe().check_same(snapshot.0.universe())?;
    if let Some(within) = args.opt::<ScriptMask>("within")? {
        return Ok(within.carry(&model.0.exec, &snapshot.0, model.params())?);
    }
    for (index, values) in snapshot.0.tensors().iter().enumerate() {
        overwrite(model.params(), index, values)?;
    }
    model.params().touch();
    // What lay under applied tickets is gone with them.
    model.stack().forget();
    Ok(())
}

/// A state of a model: its own weights, or a snapshot's.
enum State {
    Model(Arc<ScriptModel>),
    Snapshot(Arc<Snapshot>),
}

impl State {
    fn params(&self) -> &Params {
        match self {
            Self::Model(model) => model.params(),
            Self::Snapshot(snapshot) => &snapshot.0,
        }
    }
}

fn state(args: &mut Args, name: &str) -> Result<State> {
    let object: Object = args.get(name)?;
    if let Some(model) = object.downcast::<ScriptModel>() {
        return Ok(State::Model(model));
    }
    match object.downcast::<Snapshot>() {
        Some(snapshot) => Ok(State::Snapshot(snapshot)),
        None => Err(args.wrong(name, format!("must be a Model or a Snapshot, got {}", object.type_name()))),
    }
}

fn task_vector(ctx: &Ctx, args: &mut Args, after: &Params, before: &Params) -> Result<Values> {
    let _hold = (after.hold("task_vector"), before.hold("task_vector"));
    let universe = after.universe();
    universe.check_same(before.universe())?;
    let mut values = vec![None; universe.len()];
    for index in chosen(args, universe)? {
        ctx.host.cancel.check()?;
        let now = after.get(index).to_dtype(DType::F32).told()?;
        let then = before.get(index).to_dtype(DType::F32).told()?.to_device(now.device()).told()?;
        values[index] = Some((now - then).told()?);
    }
    Ok(Values::new(universe.clone(), values)?)
}
