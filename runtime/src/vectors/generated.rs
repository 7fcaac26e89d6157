//! Numbers for each entry that a function makes as they are read.

use std::sync::Arc;

use super::Source;
use crate::Result;
use crate::model::Universe;

/// Numbers that are computed when they are read, by a function of (parameter, first entry, output).
pub struct Generated<F> {
    universe: Arc<Universe>,
    scored: Vec<bool>,
    fill: F,
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Generated<F> {
    /// Numbers for the parameters in `params`, made by `fill`.
    pub fn new(universe: Arc<Universe>, params: &[usize], fill: F) -> Self {
        let mut scored = vec![false; universe.len()];
        params.iter().for_each(|&p| scored[p] = true);
        Self { universe, scored, fill }
    }
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Source for Generated<F> {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn has(&self, param: usize) -> bool {
        self.scored[param]
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let mut piece = vec![0.0; len];
        (self.fill)(param, start, &mut piece);
        visit(&piece);
        Ok(())
    }
}
