//! `task_arithmetic`: the base and the weighted sum of task vectors (arXiv 2212.04089).

use super::task_vectors::TaskVectors;
use crate::merge::Spec;

pub(super) fn method() -> TaskVectors {
    let doc = "The base and the weighted sum of task vectors.";
    TaskVectors::new(Spec::new("task_arithmetic", doc, "arXiv 2212.04089"), None, false, false, false)
}
