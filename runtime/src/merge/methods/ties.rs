//! `ties`: of each task vector the largest entries, of those the ones that agree in sign (arXiv
//! 2306.01708).
//!
//! Exactly `density · n` entries of a tensor stay, rounded down but at least one, ties by position.

use super::sparsify::{Keep, Sparsify, Window};
use super::task_vectors::TaskVectors;
use crate::Result;
use crate::merge::{Group, Spec};

pub(super) fn method() -> TaskVectors {
    let doc = "Of each task vector the largest entries, of those the ones that agree in sign.";
    TaskVectors::new(Spec::new("ties", doc, "arXiv 2306.01708"), Some(Box::new(Largest)), true, true, false)
}

struct Largest;

impl Sparsify for Largest {
    fn prepare<'g>(
        &self,
        group: &'g Group<'_>,
        other: usize,
        base: usize,
        density: f64,
    ) -> Result<Box<dyn Keep + 'g>> {
        let n = group.len();
        let k = if density <= 0.0 || n == 0 { 0 } else { ((density * n as f64) as u64).max(1) };
        Ok(Box::new(Window::prepare(group, other, base, k, 0, group.params.flag("rescale"))?))
    }
}
