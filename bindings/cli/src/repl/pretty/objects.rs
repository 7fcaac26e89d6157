//! Masks and models with what they hold.

use std::collections::BTreeMap;

use lota::api::{Object, ScriptMask, ScriptModel, ScriptTensor};
use lota::runtime::mask::{By, Mask};
use lota::runtime::model::Role;

const BAR: usize = 24;

/// An object in one line.
pub fn summary(object: &Object) -> String {
    let tensor = object.downcast_ref::<ScriptTensor>().map(ScriptTensor::get);
    match tensor {
        Some(t) if t.rank() > 0 => super::tensor::head(&t),
        _ => object.show(),
    }
}

pub(super) fn show(object: &Object) -> Option<String> {
    if let Some(mask) = object.downcast_ref::<ScriptMask>() {
        return Some(of_mask(object, mask));
    }
    object.downcast_ref::<ScriptModel>().map(|model| of_model(object, model))
}

/// A line for each role, with a bar as long as the largest density is large.
fn of_mask(object: &Object, mask: &Mask) -> String {
    let entries = mask.universe().entries();
    let density = if entries == 0 { 0.0 } else { mask.count() as f64 / entries as f64 };
    let mut lines = vec![format!("{}, density {}", object.show(), super::columns::number(density))];
    let roles: Vec<_> = mask.by(By::Role).into_iter().filter(|c| c.selected > 0).collect();
    let most = roles.iter().map(|c| c.density()).fold(0.0, f64::max);
    let width = roles.iter().map(|c| c.group.len()).max().unwrap_or(0);
    for c in &roles {
        let bar = "\u{2588}".repeat(((c.density() / most) * BAR as f64).round().max(1.0) as usize);
        lines.push(format!("  {:<width$}  {:<8} {bar}", c.group, super::columns::number(c.density())));
    }
    lines.join("\n")
}

/// A line for each role: how many parameters and entries.
fn of_model(object: &Object, model: &ScriptModel) -> String {
    let mut roles: BTreeMap<usize, (Role, usize, u64)> = BTreeMap::new();
    for spec in model.params().universe().specs() {
        let place = Role::ALL.iter().position(|r| *r == spec.role).unwrap_or(Role::ALL.len());
        let role = roles.entry(place).or_insert((spec.role, 0, 0));
        role.1 += 1;
        role.2 += spec.entries();
    }
    let mut lines = vec![object.show()];
    let width = roles.values().map(|(role, ..)| role.as_str().len()).max().unwrap_or(0);
    for (role, count, entries) in roles.values() {
        lines.push(format!("  {:<width$}  {count:>4} parameters  {entries:>12} entries", role.as_str()));
    }
    lines.join("\n")
}
