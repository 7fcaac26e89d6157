//! The inputs of a method of task vectors, in the order in which it reads them.

use crate::merge::Group;

/// The inputs besides the base, and after them the base.
pub(super) struct Inputs {
    /// The places of the inputs besides the base.
    pub others: Vec<usize>,
    /// The same, then the place of the base.
    pub read: Vec<usize>,
    /// What each of the others' task vectors is multiplied by.
    pub weights: Vec<f32>,
}

impl Inputs {
    /// The inputs of a group that has a base, for a method with weights.
    pub(super) fn of(group: &Group<'_>) -> Self {
        let others = group.others();
        let read = others.iter().copied().chain([group.base().unwrap_or(0)]).collect();
        let weights = others.iter().map(|&i| group.params.of(i, "weight") as f32).collect();
        Self { others, read, weights }
    }
}
