//! Parameters with a learning rate or weight decay of their own.

use serde_json::Value;

use super::optimizer::Optimizer;
use super::slot::Slot;
use crate::model::Universe;
use crate::{Error, Result};

/// Some parameters, and what is different for them.
#[derive(Clone, Debug)]
pub struct Group {
    /// What people call it, for errors: its pattern.
    pub name: String,
    /// The parameters, as indices of the model's.
    pub params: Vec<usize>,
    /// Their learning rate, before the schedule.
    pub lr: Option<f64>,
    /// Their weight decay.
    pub weight_decay: Option<f64>,
}

/// Gives the slots of the groups what is different for them.
///
/// # Errors
/// When a group trains nothing, a parameter is in two groups, a rate is negative, or the optimizer has no weight decay.
pub(super) fn assign(
    groups: &[Group],
    optimizer: &Optimizer,
    universe: &Universe,
    slots: &mut [Slot],
) -> Result<()> {
    let mut taken: Vec<Option<&str>> = vec![None; universe.len()];
    for group in groups {
        check_rate(group.lr)?;
        let own = group.weight_decay.map(|decay| with_decay(optimizer, decay)).transpose()?;
        let mut trained = 0;
        for &param in &group.params {
            if let Some(other) = taken[param].replace(&group.name) {
                return Err(Error::argument(format!(
                    "parameter {} is in two groups, {other} and {}",
                    universe.spec(param).name,
                    group.name
                )));
            }
            let Some(slot) = slots.iter_mut().find(|slot| slot.param == param) else { continue };
            trained += 1;
            (slot.lr, slot.optimizer) = (group.lr, own.clone());
        }
        if trained == 0 {
            return Err(Error::argument(format!("no parameter of the group {} is trained", group.name)));
        }
    }
    Ok(())
}

/// An error unless a learning rate is one.
pub(super) fn check_rate(lr: Option<f64>) -> Result<()> {
    match lr {
        Some(lr) if !(lr >= 0.0 && lr.is_finite()) => {
            Err(Error::argument(format!("the learning rate must be at least 0, not {lr}")))
        }
        Some(lr) if lr > f64::from(f32::MAX) => Err(Error::argument(format!(
            "the learning rate {lr:e} is more than float32 holds, as which steps are taken"
        ))),
        _ => Ok(()),
    }
}

/// The same optimizer with another weight decay.
fn with_decay(optimizer: &Optimizer, decay: f64) -> Result<Optimizer> {
    let mut settings = serde_json::Map::new();
    for setting in optimizer.settings() {
        settings.insert(setting.name.to_string(), setting.value);
    }
    settings.insert("weight_decay".to_string(), Value::from(decay));
    Optimizer::with(optimizer.name(), settings)
}
