//! The primitives: one record each, from which come the script bindings, the documentation, completion
//! and the editor definitions.
//!
//! To add a primitive, add its record to the area's file (`mask/` for `mask.*` and `Mask:*`);
//! a new area is one file with a `register` function and one line in [`standard`].

mod asked;
pub(crate) mod claims;
mod constants;
mod data;
mod eval;
mod fingerprint;
pub mod help;
mod json;
mod logp;
mod lora;
pub mod mask;
mod merge;
pub mod model;
mod params;
mod plot;
mod progress;
pub mod rng;
mod run;
mod script_args;
pub mod shared;
mod stats;
pub mod tensor;
pub mod ticket;
pub mod tokenizer;
mod top;
pub mod train;
mod universe;
pub mod values;

use lota_script::Registry;

/// All primitives of this crate.
pub fn standard() -> Registry {
    let mut registry = Registry::default();
    let r = &mut registry;
    data::register(r);
    eval::register(r);
    fingerprint::register(r);
    help::register(r);
    json::register(r);
    logp::register(r);
    lora::register(r);
    mask::register(r);
    merge::register(r);
    model::register(r);
    plot::register(r);
    progress::register(r);
    rng::register(r);
    run::register(r);
    asked::register(r);
    script_args::register(r);
    stats::register(r);
    tensor::register(r);
    ticket::register(r);
    tokenizer::register(r);
    top::register(r);
    train::register(r);
    values::register(r);
    tensor::ask_first(r);
    tensor::count_graphs(r);
    tensor::carry_origins(r);
    constants::refuse_constants(r);
    tensor::refuse_reads(r);
    tensor::register_elsewhere(r);
    registry
}
