//! Scores from gradients, gathered parameter by parameter as the backward finds them.

use candle_core::{DType, Tensor};

use super::accumulate::Share;
use super::gradient::{accumulate, add_to};
use super::subject::Subject;
use crate::data::Batch;
use crate::host::Host;
use crate::model::ParamSpec;
use crate::model::decoder::{Checkpoint, CrossEntropy, Grad, LossFn, Want};
use crate::ops::{Exec, slice};
use crate::vectors::Values;
use crate::{Error, Result};

/// Takes a parameter, the gradient of a batch and what was gathered so far, and returns what is
/// gathered now.
pub type Gather<'a> = dyn FnMut(&ParamSpec, &Tensor, Option<Tensor>) -> Result<Tensor> + 'a;

/// What is gathered.
pub enum ScoreKind<'a> {
    /// The magnitude of the gradient of the mean loss over all labelled positions of all batches.
    Gradient,
    /// The mean over batches of the square of the gradient of the batch's mean loss (the diagonal of
    /// the empirical Fisher information, a batch at a time).
    Fisher,
    /// Whatever a callback makes of the gradients of each batch's mean loss.
    Custom(&'a mut Gather<'a>),
}

/// The scores of the parameters that `choose` picks, over `batches`, by cross-entropy or by `loss`
/// (whose mean over batches, by labelled positions, is then the mean loss). Besides a block's gradients, no
/// more memory is held than the result has.
pub fn grad_scores(
    subject: Subject<'_>,
    host: &Host,
    batches: &[Batch],
    choose: &dyn Fn(&ParamSpec) -> bool,
    mut kind: ScoreKind<'_>,
    mut loss: Option<&mut dyn LossFn>,
    checkpoint: Checkpoint,
) -> Result<Values> {
    let Subject { exec, decoder, params } = subject;
    let _hold = params.hold("grad_scores");
    let universe = params.universe();
    let wants: Vec<Want> =
        universe.specs().iter().map(|spec| if choose(spec) { Want::Dense } else { Want::No }).collect();
    if !wants.iter().any(Want::any) {
        return Err(Error::argument("no parameter was chosen to be scored"));
    }
    let batches: Vec<&Batch> = batches.iter().filter(|b| b.labelled() > 0).collect();
    if batches.is_empty() {
        return Err(Error::argument("scores from gradients need at least one batch with a label in it"));
    }
    decoder.tell_long_in(host, batches.iter().copied());
    let total: usize = batches.iter().map(|b| b.labelled()).sum();
    let mut sums: Vec<Option<Tensor>> = vec![None; universe.len()];
    for (i, batch) in batches.iter().enumerate() {
        let over = matches!(kind, ScoreKind::Gradient).then_some(total as f64);
        let mut sink = |param: usize, grad: Grad| {
            let grad = grad.into_tensor();
            let sum = &mut sums[param];
            match &mut kind {
                ScoreKind::Gradient => match sum {
                    Some(sum) => add_to(exec, sum, &grad)?,
                    empty => *empty = Some(grad),
                },
                ScoreKind::Fisher => add_square(exec, sum, &grad, batches.len())?,
                ScoreKind::Custom(gather) => {
                    let spec = universe.spec(param);
                    *sum = Some(gather(spec, &grad, sum.take())?);
                }
            }
            Ok(())
        };
        let share = over.map_or(1.0, |total| batch.labelled() as f64 / total);
        let count = CrossEntropy { over, ..CrossEntropy::default() };
        let loss = loss.as_deref_mut().map(|loss| loss as &mut dyn LossFn);
        let mut loss = Share::new(loss, count, share)?;
        decoder.backward(exec, host, params, batch, &mut loss, &wants, checkpoint, &mut sink)?;
        host.events.progress("scores", i as u64 + 1, batches.len() as u64, "");
    }
    if matches!(kind, ScoreKind::Gradient) {
        for sum in sums.iter_mut().flatten() {
            *sum = magnitude(exec, sum)?;
        }
    }
    Values::new(universe.clone(), sums)
}

/// Adds `grad² / count`.
fn add_square(exec: &Exec, sum: &mut Option<Tensor>, grad: &Tensor, count: usize) -> Result<()> {
    let share = 1.0 / count as f32;
    if !exec.fast(grad) {
        let square = (grad.sqr()? * f64::from(share))?;
        *sum = Some(match sum.take() {
            Some(sum) => (sum + square)?,
            None => square,
        });
        return Ok(());
    }
    let sum = match sum {
        Some(sum) => sum,
        empty => empty.insert(Tensor::zeros(grad.shape(), DType::F32, grad.device())?),
    };
    accumulate(exec, sum, grad, move |sum, g| *sum += share * g * g)
}

fn magnitude(exec: &Exec, sum: &Tensor) -> Result<Tensor> {
    if !exec.fast(sum) || !sum.is_contiguous() {
        return Ok(sum.abs()?);
    }
    slice::write_f32(sum, |values| values.iter_mut().for_each(|x| *x = x.abs()))?;
    Ok(sum.clone())
}
