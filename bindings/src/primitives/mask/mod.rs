//! `mask.*` and `Mask`: sets of entries that may change.

mod algebra;
mod build;
mod files;
mod parts;
mod report;

pub(crate) use build::{budget, budgeted};

use lota_runtime::mask::Mask;
use crate::primitives::shared::{Lota, Shared};
use lota_script::IntoValue;
use lota_script::{Registry, Scripted, Value};


/// A mask that scripts hold.
pub type ScriptMask = Shared<Mask>;

impl Scripted for ScriptMask {
    const TYPE: &'static str = "Mask";

    fn show(&self) -> String {
        format!("Mask({} of {} entries)", self.count(), self.universe().entries())
    }

    fn bytes(&self) -> u64 {
        Mask::bytes(self)
    }
}

impl IntoValue<Lota> for Mask {
    fn into_value(self) -> Value {
        Value::object(ScriptMask::new(self))
    }
}

pub(super) fn register(r: &mut Registry) {
    r.area("mask", "Masks: making, combining and measuring them. In the mask means trainable.");
    r.object("Mask", "For each parameter of a model, the set of entries that may change.");
    build::register(r);
    parts::register(r);
    algebra::register(r);
    report::register(r);
    files::register(r);
}
