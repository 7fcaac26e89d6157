//! Backward through an output layer that has factors of low rank, and through those of the embedding.

use candle_core::Tensor;

use super::factors::{add_input, dropped};
use super::grad::{Grad, GradSink};
use super::head_pass::HeadPass;
use super::layout::Factors;
use super::loss::LossFn;
use super::run::Run;
use super::{Decoder, Params};
use crate::Result;
use crate::data::Batch;
use crate::ops::head::HeadGrads;
use crate::ops::linear::{self, Input};
use crate::ops::{Exec, SparseIndex, Want, elementwise, embedding, low_rank};

/// The output layer of one backward pass.
pub(super) struct HeadFactors<'a> {
    pub decoder: &'a Decoder,
    pub run: &'a Run<'a>,
    pub factors: Factors,
    pub wants: &'a [Want],
}

impl HeadFactors<'_> {
    /// The gradients of the head as it is without factors; those of the factors go to the sink. `operands` are what
    /// [`Decoder::head_operands`] makes of `h`.
    pub fn backward(
        &self,
        h: &Tensor,
        (operand, w): (&Tensor, &Tensor),
        pass: HeadPass<'_>,
        loss: &mut dyn LossFn,
        sink: &mut dyn GradSink,
    ) -> Result<HeadGrads> {
        let (exec, params, f) = (self.run.exec, self.run.params, self.factors);
        let (want, want_a, want_b) =
            (&self.wants[self.decoder.layout.head], &self.wants[f.a], &self.wants[f.b]);
        let (vocab, width) = w.dims2()?;
        let (hidden, rank) = (h.dim(1)?, width - h.dim(1)?);
        let part = |x: &Tensor, at, len| x.narrow(1, at, len)?.contiguous();
        // Of B alone its columns of the common weight are enough.
        let alone = !want.any() && want_b.any();
        let both = if want.any() {
            Want::Dense
        } else if alone {
            let columns = |row: usize| (hidden..width).map(move |col| (row * width + col) as u32);
            Want::At(SparseIndex::from_sorted(vocab, width, (0..vocab).flat_map(columns))?.into())
        } else {
            Want::No
        };
        let grads = pass.backward(exec, self.run.cancel, loss, (operand, w), &both)?;
        let (mut dw, mut db) = (None, None);
        match grads.dw {
            Some(found) if alone => db = Some(found.reshape((vocab, rank))?),
            Some(found) => (dw, db) = (Some(part(&found, 0, hidden)?), Some(part(&found, hidden, rank)?)),
            None => {}
        }
        if let Some(db) = db
            && let Some(grad) = Grad::narrowed(exec, db, want_b)?
        {
            sink.grad(f.b, grad)?;
        }
        let u = elementwise::scale(exec, &part(&grads.dh, hidden, rank)?, f.scale)?;
        if want_a.any() {
            let x = dropped(exec, h, f, self.run.dropout)?;
            if let Some(grad) = Grad::narrowed(exec, linear::weight_grad_dense(exec, &u, &x)?, want_a)? {
                sink.grad(f.a, grad)?;
            }
        }
        let dh = add_input(exec, params, f, &u, part(&grads.dh, 0, hidden)?, self.run.dropout)?;
        let dw = match dw {
            Some(dw) => Grad::narrowed(exec, dw, want)?.map(Grad::into_tensor),
            None => None,
        };
        Ok(HeadGrads { values: grads.values, dh, dw })
    }
}

impl Decoder {
    /// The gradients of the embedding's factors, from that of the embedding's output.
    pub(super) fn embed_factors_backward(
        &self,
        exec: &Exec,
        params: &Params,
        batch: &Batch,
        dx: &Tensor,
        wants: &[Want],
        sink: &mut dyn GradSink,
    ) -> Result<()> {
        let Some(f) = self.layout.embed_factors else { return Ok(()) };
        if let Want::Dense | Want::At(_) = &wants[f.b] {
            let t = self.embed_inner(exec, params, f, &batch.tokens)?;
            let grad = match &wants[f.b] {
                Want::At(index) => Grad::At(linear::weight_grad_at(exec, dx, &Input::new(&t), index)?),
                _ => Grad::Dense(linear::weight_grad_dense(exec, dx, &t)?),
            };
            sink.grad(f.b, grad)?;
        }
        if wants[f.a].any() {
            let scale = f.scale * self.embed_scale().unwrap_or(1.0);
            let u = low_rank::inner_gradient(exec, dx, params.get(f.b), scale)?;
            let da = embedding::backward_dense(exec, &u, &batch.tokens, self.config.vocab_size, None)?;
            if let Some(grad) = Grad::narrowed(exec, da.t()?.contiguous()?, &wants[f.a])? {
                sink.grad(f.a, grad)?;
            }
        }
        Ok(())
    }
}
