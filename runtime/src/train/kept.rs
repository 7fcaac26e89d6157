//! The matrices that a trainer keeps packed, and when they are packed again.

use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::model::decoder::Want;
use crate::model::{Params, Role};
use crate::ops::Exec;
use crate::ops::packs::Packs;

/// Of a matrix of which more than this is trained, the changed entries are not written into a packed copy: packing it
/// anew is no slower.
const SPARSE: f64 = 0.05;

/// Packed copies of the matrices that a step changes little or not at all.
#[derive(Debug)]
pub(super) struct Kept {
    packs: Arc<Packs>,
    /// The version of the parameters that the copies are of.
    version: u64,
}

impl Kept {
    /// Copies for training `wants` of `params`; they are made by the first step.
    pub(super) fn new(params: &Params, wants: &[Want]) -> Self {
        let kept = (0..wants.len()).filter(|&i| {
            let spec = params.universe().spec(i);
            let little = match &wants[i] {
                Want::No => true,
                Want::At(index) => index.density() <= SPARSE,
                Want::Dense => false,
            };
            spec.shape.len() == 2 && !matches!(spec.role, Role::Norm | Role::Bias) && little
        });
        Self { packs: Arc::new(Packs::new(kept.map(|i| params.get(i)))), version: params.version() }
    }

    /// How the next step is carried out. If anything but the last step changed the parameters, all are packed again.
    pub(super) fn exec(&mut self, exec: &Exec, params: &Params) -> Exec {
        if self.version != params.version() {
            self.packs.clear();
            self.version = params.version();
        }
        exec.clone().with_packs(Some(self.packs.clone()))
    }

    /// Takes over what a step has changed.
    pub(super) fn stepped(&mut self, exec: &Exec, params: &Params, wants: &[Want]) -> Result<()> {
        exec.run(|| {
            wants.par_iter().enumerate().try_for_each(|(i, want)| match want {
                Want::At(index) => self.packs.changed(params.get(i), index),
                _ => Ok(()),
            })
        })?;
        self.version = params.version();
        Ok(())
    }
}
