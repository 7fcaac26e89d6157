//! `breadcrumbs` and `breadcrumbs_ties`: the large entries of each task vector except the very
//! largest (arXiv 2312.06795).
//!
//! `gamma · n` entries are taken off the top and then `density · n` stay, both rounded down; where
//! that is more than there are, fewer are taken off. Taking none off leaves the largest in place.

use super::sparsify::{Keep, Sparsify, Window};
use super::task_vectors::TaskVectors;
use crate::Result;
use crate::merge::{Group, Spec};

pub(super) fn linear() -> TaskVectors {
    method("breadcrumbs", "Of each task vector the large entries but not the very largest.", false)
}

pub(super) fn ties() -> TaskVectors {
    method("breadcrumbs_ties", "Like breadcrumbs, of which only entries that agree in sign count.", true)
}

fn method(name: &'static str, doc: &'static str, elect: bool) -> TaskVectors {
    let gamma = "the fraction of entries that is too large to stay";
    let spec = Spec::new(name, doc, "arXiv 2312.06795").each("gamma", 0.01, gamma).between(0.0, 1.0);
    TaskVectors::new(spec, Some(Box::new(Large)), elect, false, false)
}

struct Large;

impl Sparsify for Large {
    fn prepare<'g>(
        &self,
        group: &'g Group<'_>,
        other: usize,
        base: usize,
        density: f64,
    ) -> Result<Box<dyn Keep + 'g>> {
        let n = group.len() as u64;
        let share = |of: f64| ((of * n as f64).max(0.0) as u64).min(n);
        let stay = share(density);
        let off = share(group.params.of(other, "gamma")).min(n - stay);
        Ok(Box::new(Window::prepare(group, other, base, stay + off, off, group.params.flag("rescale"))?))
    }
}
