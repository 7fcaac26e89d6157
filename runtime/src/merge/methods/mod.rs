//! The methods, one a file, by name.

mod arcee_fusion;
mod breadcrumbs;
mod claims;
mod dare;
mod della;
mod disjoint;
mod inputs;
mod karcher;
mod linear;
mod magmax;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
mod overlap_ties;
mod passthrough;
mod ram;
mod sce;
mod slerp;
mod sparsify;
mod task_arithmetic;
mod task_vectors;
mod ties;

use std::sync::Arc;

use super::Method;
use crate::{Error, Result};

/// All built-in methods.
pub fn methods() -> Vec<Arc<dyn Method>> {
    vec![
        Arc::new(linear::Linear::new()),
        Arc::new(slerp::Slerp::new()),
        Arc::new(nuslerp::NuSlerp::new()),
        Arc::new(multislerp::MultiSlerp::new()),
        Arc::new(karcher::Karcher::new()),
        Arc::new(task_arithmetic::method()),
        Arc::new(ties::method()),
        Arc::new(dare::linear()),
        Arc::new(dare::ties()),
        Arc::new(della::ties()),
        Arc::new(della::linear()),
        Arc::new(breadcrumbs::linear()),
        Arc::new(breadcrumbs::ties()),
        Arc::new(sce::Sce::new()),
        Arc::new(model_stock::ModelStock::new()),
        Arc::new(nearswap::NearSwap::new()),
        Arc::new(arcee_fusion::ArceeFusion::new()),
        Arc::new(ram::Ram::plain()),
        Arc::new(ram::Ram::plus()),
        Arc::new(passthrough::Passthrough::new()),
        Arc::new(disjoint::Disjoint::new()),
        Arc::new(overlap_ties::OverlapTies::new()),
        Arc::new(magmax::MagMax::new()),
    ]
}

/// The method of a name; an error that offers the nearest.
pub fn method(name: &str) -> Result<Arc<dyn Method>> {
    let all = methods();
    if let Some(found) = all.iter().find(|m| m.spec().name == name) {
        return Ok(found.clone());
    }
    let names: Vec<&str> = all.iter().map(|m| m.spec().name.as_ref()).collect();
    Err(Error::argument(format!(
        "no merge method is called {name:?}{}; known are {}",
        super::nearest::did_you_mean(name, names.iter().copied()),
        names.join(", ")
    )))
}
