//! `mask.*` and `Mask`: sets of entries that may change.

mod algebra;
mod bounds;
mod budget;
mod build;
mod dense;
mod files;
mod parts;
mod report;

use lota_script::Registry;

pub(crate) use budget::{budget, budgeted};

pub(super) fn register(r: &mut Registry) {
    r.area("mask", "Masks: sets of entries. Entries in the mask are trained; all others are frozen.");
    r.object("Mask", "For each parameter of a model, the set of entries that may change.");
    build::register(r);
    parts::register(r);
    dense::register(r);
    algebra::register(r);
    report::register(r);
    files::register(r);
}
