//! The diagonal of the empirical Fisher information, sequence by sequence.

use std::borrow::Borrow;

use super::score::{ScoreKind, grad_scores};
use super::subject::Subject;
use crate::Result;
use crate::data::Batch;
use crate::host::Host;
use crate::model::ParamSpec;
use crate::model::decoder::{Checkpoint, CrossEntropy, Reduction};
use crate::vectors::Values;

/// The mean over sequences of the square of the gradient of the summed log-probability of a sequence's labels, for the
/// parameters that `choose` picks (arXiv 1612.00796, with the labels of the data in the place of drawn ones). Each sequence
/// that has a label is run by itself, whatever batch it came in.
pub fn fisher<B: Borrow<Batch>>(
    subject: Subject<'_>,
    host: &Host,
    batches: &[B],
    choose: &dyn Fn(&ParamSpec) -> bool,
    checkpoint: Checkpoint,
) -> Result<Values> {
    let sequences: Vec<Batch> = batches.iter().flat_map(|batch| batch.borrow().each()).collect();
    let mut sum = CrossEntropy::new(Reduction::Sum);
    grad_scores(subject, host, &sequences, choose, ScoreKind::Fisher, Some(&mut sum), checkpoint)
}
