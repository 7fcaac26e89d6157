//! The loss and the output layer: the numbers of the labelled positions, and the gradients of their weighted sum.

use candle_core::Tensor;

use super::loss::{LossFn, Rows};
use crate::data::Batch;
use crate::host::Cancel;
use crate::ops::head::{self, HeadGrads};
use crate::ops::{Exec, Want};
use crate::{Error, Result};

/// The output layer of one pass over a batch.
#[derive(Clone, Copy)]
pub(super) struct HeadPass<'a> {
    pub head: head::Head,
    pub labels: &'a head::Labels,
    /// The derivative of the loss by the number of each labelled position.
    pub weights: &'a Tensor,
    pub batch: &'a Batch,
}

impl HeadPass<'_> {
    /// The numbers, and the gradients, by what the head multiplies: hidden states and weight.
    pub fn backward(
        self,
        exec: &Exec,
        cancel: &Cancel,
        loss: &mut dyn LossFn,
        (h, w): (&Tensor, &Tensor),
        want: &Want,
    ) -> Result<HeadGrads> {
        let Self { head, labels, weights, batch } = self;
        let Some(inner) = loss.of_logits() else {
            return head::backward(exec, head, h, w, labels, weights, want);
        };
        let rows = head::chunk_rows(w.dim(0)?);
        let mut chunk = |logits: &Tensor, labelled| {
            cancel.check()?;
            inner.chunk(Rows { batch, labelled }, logits)
        };
        head::chunked(exec, head, h, w, labels, weights, want, rows, &mut chunk)
    }
}

/// The loss and its derivative by each number, if there is one for each.
pub(super) fn weights(loss: &mut dyn LossFn, batch: &Batch, values: &Tensor) -> Result<(f64, Tensor)> {
    let (value, weights) = loss.weights(batch, values)?;
    if weights.dims() != values.dims() {
        return Err(Error::argument(format!(
            "the loss returned derivatives of shape {:?} for {} log-probabilities",
            weights.dims(),
            values.elem_count()
        )));
    }
    Ok((value, weights))
}

/// The gradient of hidden states, each labelled row multiplied by its weight.
pub(super) fn scaled(dh: &Tensor, labels: &head::Labels, weights: &Tensor) -> Result<Tensor> {
    let tokens = dh.dim(0)?;
    let mut factors = vec![0f32; tokens];
    for (row, weight) in labels.rows().iter().zip(weights.to_vec1::<f32>()?) {
        factors[*row as usize] = weight;
    }
    Ok(dh.broadcast_mul(&Tensor::from_vec(factors, (tokens, 1), dh.device())?)?)
}
