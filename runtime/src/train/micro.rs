//! The batches of one step, and the passes over them.

use super::accumulate::{Accumulation, Shares};
use super::options::TrainOptions;
use super::selection::Selection;
use super::subject::Subject;
use crate::data::Batch;
use crate::host::Host;
use crate::model::decoder::{CrossEntropy, GradSink, LossFn};
use crate::{Error, Result};

/// The micro-batches of a step.
pub(super) struct Micro<'a> {
    given: &'a [Batch],
    /// Those that have a label.
    pub labelled: Vec<&'a Batch>,
    entropy: CrossEntropy,
}

impl<'a> Micro<'a> {
    /// The batches of a step of `selection`, at least one of which must have a label.
    pub fn new(
        subject: Subject<'_>,
        selection: &Selection,
        options: &TrainOptions,
        given: &'a [Batch],
    ) -> Result<Self> {
        subject.params.universe().check_same(selection.universe())?;
        let labelled: Vec<&Batch> = given.iter().filter(|b| b.labelled() > 0).collect();
        if labelled.is_empty() {
            return Err(Error::argument("a step needs at least one batch with a label in it"));
        }
        let entropy = CrossEntropy { terms: options.terms, ..CrossEntropy::new(options.reduction) };
        Ok(Self { given, labelled, entropy })
    }

    /// Hands the gradients of each batch to `sink`, and returns the loss over all of them.
    pub fn pass(
        &self,
        subject: Subject<'_>,
        host: &Host,
        selection: &Selection,
        options: &TrainOptions,
        mut loss: Option<&mut dyn LossFn>,
        sink: &mut dyn GradSink,
    ) -> Result<f64> {
        let total = self.labelled.iter().map(|b| self.entropy.count(b)).sum();
        if loss.is_some() && !options.terms.is_empty() {
            return Err(Error::argument(
                "label smoothing and z-loss are terms of cross-entropy: write them into a loss of your own",
            ));
        }
        let mut shares = Shares::new(options.accumulation, self.entropy, total);
        if let Some(loss) = &mut loss
            && self.labelled.len() > 1
            && options.accumulation == Accumulation::Whole
            && loss.of_logits().is_none()
        {
            shares = Shares::whole(subject, host, self.given, &self.labelled, *loss)?;
        }
        let Subject { exec, decoder, params } = subject;
        let (wants, checkpoint) = (selection.wants(), options.checkpoint);
        let mut value = 0.0;
        for batch in &self.labelled {
            let loss = loss.as_deref_mut().map(|loss| loss as &mut dyn LossFn);
            let mut share = shares.next(batch, loss)?;
            value += decoder.backward(exec, host, params, batch, &mut share, wants, checkpoint, sink)?.loss;
        }
        let loss = shares.loss().unwrap_or(value);
        if loss.is_finite() {
            return Ok(loss);
        }
        Err(Error::argument(format!(
            "the loss is {loss}, so no step is taken (lower the learning rate, or look for a logarithm of 0 or a division by \
             zero in the loss)"
        )))
    }

    /// Tokens of the batches.
    pub fn tokens(&self) -> u64 {
        self.labelled.iter().map(|b| b.len() as u64).sum()
    }

    /// Those with a label.
    pub fn count(&self) -> u64 {
        self.labelled.iter().map(|b| b.labelled() as u64).sum()
    }
}
