//! Whose parameters a value is about: a model's, or those of the model a mask, scores or ticket
//! belong to.

use std::sync::Arc;

use lota_runtime::model::Universe;
use lota_script::{Args, Ctx, Result, Value};

use crate::primitives::shared::{ScriptMask, ScriptValues};

/// The universe of the argument `model`.
pub(crate) fn of_model(args: &mut Args) -> Result<Arc<Universe>> {
    let value: Value = args.get("model")?;
    of(&value).ok_or_else(|| {
        args.wrong(
            "model",
            format!("must be a Model, or a Mask, Values or Ticket of one, got {}", value.describe()),
        )
    })
}

fn of(value: &Value) -> Option<Arc<Universe>> {
    let Value::Object(object) = value else { return None };
    if let Some(mask) = object.downcast_ref::<ScriptMask>() {
        return Some(mask.universe().clone());
    }
    if let Some(values) = object.downcast_ref::<ScriptValues>() {
        return Some(values.get().universe().clone());
    }
    super::model::universe_of(object).or_else(|| super::shared::mask_of(object).map(|m| m.universe().clone()))
}

/// The universe of the value of an option that may not be given.
pub(crate) fn of_optional(args: &Args, name: &str, value: &Value) -> Result<Option<Arc<Universe>>> {
    if value.is_nil() {
        return Ok(None);
    }
    let wrong =
        || args.wrong(name, format!("must be a Model, Mask, Values or Ticket, got {}", value.describe()));
    of(value).map(Some).ok_or_else(wrong)
}

/// Refuses the universe of a file that is larger than what a script may use: a file of some bytes can describe a model of any
/// size, and what is made for it takes a bit for each entry, some times over. That of a model that is there is none of these.
pub(crate) fn check_described(
    ctx: &Ctx,
    universe: &Universe,
    expected: Option<&Arc<Universe>>,
) -> Result<()> {
    match expected {
        Some(_) => Ok(()),
        None => ctx.reserve(usize::try_from(universe.entries() / 2).unwrap_or(usize::MAX)),
    }
}
