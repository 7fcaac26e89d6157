//! The backward pass: the loss, the head, the blocks from the last to the lowest that is wanted, and
//! the embedding.

use candle_core::{DType, Tensor};

use super::block::{Attend, Block, Saved};
use super::block_backward::{Backward, Found};
use super::grad::{Checkpoint, Grad, GradSink};
use super::head_factors::HeadFactors;
use super::head_pass::{self, HeadPass};
use super::layout::Factors;
use super::loss::{LossFn, LossOut, weighted_sum};
use super::run::Run;
use super::{Decoder, Params};
use crate::data::Batch;
use crate::host::Host;
use crate::ops::{Exec, Want, embedding, head, rms_norm};
use crate::{Error, Result};

/// What the forward kept for a block's backward.
enum Kept {
    All(Box<Saved>),
    Input(Tensor),
}

impl Decoder {
    /// The loss of a batch and the gradients of what is wanted, handed to `sink` block by block from
    /// the last to the first; a tied embedding comes once, at the end, with both its uses summed.
    ///
    /// `wants` has one entry for each parameter. Nothing is computed below the lowest that is wanted,
    /// and nothing at all but the loss where none is. The sink may change parameters it has been given
    /// in place.
    #[expect(clippy::too_many_arguments, reason = "these are the pass's independent inputs")]
    pub fn backward(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        batch: &Batch,
        loss: &mut dyn LossFn,
        wants: &[Want],
        checkpoint: Checkpoint,
        sink: &mut dyn GradSink,
    ) -> Result<LossOut> {
        self.check(params, batch)?;
        self.check_wants(wants)?;
        let labels = head::Labels::new(&batch.labels).with_terms(loss.terms());
        if labels.is_empty() {
            return Err(Error::argument("no position of the batch has a label, so there is no loss"));
        }
        let layout = &self.layout;
        let lowest = self.lowest(wants);
        let Some(lowest) = lowest else { return self.loss(exec, host, params, batch, loss) };

        let mut run = Run::new(exec, host, &self.config, params, &batch.segments, &batch.positions)?;
        run.dropout = self.dropout(batch);
        let mut kept: Vec<Kept> = Vec::new();
        let mut x = self.embed(exec, params, &batch.tokens)?;
        for index in 0..layout.blocks.len() {
            let block = self.block(&run, index);
            x = if index < lowest.block {
                block.forward(&x, Attend::Batch)?
            } else if checkpoint == Checkpoint::Block {
                let out = block.forward(&x, Attend::Batch)?;
                kept.push(Kept::Input(x));
                out
            } else {
                let (out, saved) = block.forward_saved(&x)?;
                kept.push(Kept::All(Box::new(saved)));
                out
            };
        }
        host.cancel.check()?;

        let (out, dhead, mut dx) = self.head_backward(&run, batch, &labels, x, loss, wants, &lowest, sink)?;
        for index in (lowest.block..layout.blocks.len()).rev() {
            let (Some(dy), Some(kept)) = (dx.take(), kept.pop()) else { break };
            let saved = match kept {
                Kept::All(saved) => *saved,
                Kept::Input(x) => self.block(&run, index).recompute(&x)?,
            };
            let below = lowest.embed || index > lowest.block;
            let mut found = Found::new();
            dx = Backward { block: self.block(&run, index), wants, below }.run(saved, dy, &mut found)?;
            for (param, grad) in found {
                sink.grad(param, grad)?;
            }
        }
        if let Some(dx) = dx.filter(|_| lowest.embed) {
            host.cancel.check()?;
            if wants[layout.embed].any() {
                sink.grad(layout.embed, self.embed_backward(exec, batch, &dx, dhead, &wants[layout.embed])?)?;
            }
            self.embed_factors_backward(exec, params, batch, &dx, wants, sink)?;
        }
        Ok(out)
    }

    /// Loss, output layer and final norm. Returns the loss, the tied head's gradient, and the gradient
    /// of the last block's output if anything further down is wanted.
    #[expect(clippy::too_many_arguments, reason = "a part of `backward`, cut off for its length")]
    fn head_backward(
        &self,
        run: &Run<'_>,
        batch: &Batch,
        labels: &head::Labels,
        x: Tensor,
        loss: &mut dyn LossFn,
        wants: &[Want],
        lowest: &Lowest,
        sink: &mut dyn GradSink,
    ) -> Result<(LossOut, Option<Tensor>, Option<Tensor>)> {
        let (exec, params, layout) = (run.exec, run.params, &self.layout);
        let norm = params.get(layout.norm);
        let (h, inv) = rms_norm::forward(exec, run.norm, &x, norm)?;
        let (operand, w) = self.head_operands(exec, params, &h, run.dropout)?;
        let want = &wants[layout.head];
        let zeros = || Tensor::zeros(labels.len(), DType::F32, exec.device());
        // Of a head that is frozen, the gradient of `Σ w·logp` by a hidden state is w times that of logp.
        let frozen =
            !want.any() && !layout.head_factors.is_some_and(|f| wants[f.a].any() || wants[f.b].any());
        let at_once = loss.needs_logp() && frozen;
        let (mut value, weights) = if at_once {
            (0.0, zeros()?.ones_like()?)
        } else {
            let needed = loss.needs_logp();
            let logp = if needed { head::logp(exec, self.head(), &operand, &w, labels)? } else { zeros()? };
            head_pass::weights(loss, batch, &logp)?
        };
        run.cancel.check()?;
        let pass = HeadPass { head: self.head(), labels, weights: &weights, batch };
        let mut grads = match layout.head_factors {
            None => pass.backward(exec, run.cancel, loss, (&operand, &w), want)?,
            Some(factors) => {
                let head = HeadFactors { decoder: self, run, factors, wants };
                head.backward(&h, (&operand, &w), pass, loss, sink)?
            }
        };
        if at_once {
            let (found, weights) = head_pass::weights(loss, batch, &grads.values)?;
            run.cancel.check()?;
            value = found;
            grads.dh = head_pass::scaled(&grads.dh, labels, &weights)?;
        } else if !loss.needs_logp() {
            value = weighted_sum(&weights, &grads.values)?;
        }
        let want_norm = &wants[layout.norm];
        let mut dx = None;
        let mut dnorm = None;
        if want_norm.any() || lowest.block < layout.blocks.len() || lowest.embed {
            let (d, dw) = rms_norm::backward(exec, run.norm, &x, norm, &inv, &grads.dh, want_norm.any())?;
            dx = Some(d);
            dnorm = dw;
        }
        if let Some(dnorm) = dnorm
            && let Some(grad) = Grad::narrowed(exec, dnorm, want_norm)?
        {
            sink.grad(layout.norm, grad)?;
        }
        let mut dhead = grads.dw;
        if !self.config.tied
            && let Some(dw) = dhead.take()
        {
            let grad = if matches!(want, Want::Dense) { Grad::Dense(dw) } else { Grad::At(dw) };
            sink.grad(layout.head, grad)?;
        }
        Ok((LossOut { loss: value, values: grads.values }, dhead, dx))
    }

    /// The embedding's gradient, with that of its use as the head if they are tied.
    fn embed_backward(
        &self,
        exec: &Exec,
        batch: &Batch,
        dx: &Tensor,
        dhead: Option<Tensor>,
        want: &Want,
    ) -> Result<Grad> {
        let (ids, scale) = (&batch.tokens, self.embed_scale());
        Ok(match want {
            Want::At(index) => {
                let grad = embedding::backward_at(exec, dx, ids, index, scale)?;
                Grad::At(match dhead {
                    Some(dhead) => (grad + dhead)?,
                    None => grad,
                })
            }
            _ => Grad::Dense(match dhead {
                Some(dhead) => embedding::accumulate(exec, &dhead, dx, ids, scale)?,
                None => embedding::backward_dense(exec, dx, ids, self.config.vocab_size, scale)?,
            }),
        })
    }

    /// How far down the backward must go; `None` where nothing is wanted.
    fn lowest(&self, wants: &[Want]) -> Option<Lowest> {
        let layout = &self.layout;
        let factors = |f: Option<Factors>| f.is_some_and(|f| wants[f.a].any() || wants[f.b].any());
        if wants[layout.embed].any() || factors(layout.embed_factors) {
            return Some(Lowest { block: 0, embed: true });
        }
        let wanted = |range: &std::ops::Range<usize>| wants[range.clone()].iter().any(Want::any);
        if let Some(block) = layout.blocks.iter().position(|b| wanted(&b.all) || wanted(&b.factors)) {
            return Some(Lowest { block, embed: false });
        }
        let top = wants[layout.norm].any() || wants[layout.head].any() || factors(layout.head_factors);
        top.then_some(Lowest { block: layout.blocks.len(), embed: false })
    }

    fn check_wants(&self, wants: &[Want]) -> Result<()> {
        let universe = &self.layout.universe;
        if wants.len() != universe.len() {
            return Err(Error::argument(format!(
                "{} wants were given for the {} parameters of the model",
                wants.len(),
                universe.len()
            )));
        }
        for (want, spec) in wants.iter().zip(universe.specs()) {
            if let Want::At(index) = want {
                index.check(&format!("gradient of {}", spec.name), &spec.shape)?;
            }
        }
        Ok(())
    }

    fn block<'a>(&'a self, run: &'a Run<'a>, index: usize) -> Block<'a> {
        Block { run, layout: &self.layout.blocks[index], index }
    }
}

/// The lowest place of which a gradient is wanted.
struct Lowest {
    /// The lowest block; the number of blocks where only norm or head are wanted.
    block: usize,
    /// Whether it is the embedding, below all blocks.
    embed: bool,
}
