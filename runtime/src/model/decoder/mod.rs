//! The decoder: every family in one, driven by its [`Config`].
//!
//! It holds no tensors, only which parameter does what, so that one decoder runs any number of
//! [`Params`]. Forward and backward are written out over [`crate::ops`]; there is no tape, so what is
//! kept, computed again or not computed at all is decided here.

mod backward;
mod block;
mod block_backward;
mod factors;
mod generate;
mod grad;
mod head_factors;
mod head_pass;
mod layout;
mod length;
mod loss;
mod observe;
mod observed;
mod run;

use std::sync::Arc;

use candle_core::Tensor;

use self::block::{Attend, Block};
use self::head_pass::HeadPass;
use self::layout::Layout;
use self::run::Run;
use super::{Config, Params, Universe};
use crate::data::Batch;
use crate::host::Host;
use crate::ops::{Exec, embedding, head, low_rank, rms_norm};
use crate::{Error, Result};

pub use factors::{Attached, Factored};
pub use generate::{KvCache, Read};
pub use grad::{Checkpoint, Grad, GradSink};
pub use loss::{CrossEntropy, LogitsLoss, LossFn, LossOut, OverLogits, Reduction, Rows};
pub use observe::Observer;
pub use observed::LinearLayer;

pub use crate::ops::Want;
pub use crate::ops::head::Terms;

/// A decoder of one configuration. Cloning is cheap beside any use of it.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: Config,
    layout: Layout,
    attached: Option<Arc<Attached>>,
    /// In a training step, its number: what dropout is drawn from.
    step: Option<u64>,
}

impl Decoder {
    /// The decoder of a configuration.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { config: config.clone(), layout: Layout::new(config)?, attached: None, step: None })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The parameters it needs.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.layout.universe
    }

    /// The hidden state of every position after the final norm, `[T, hidden]`.
    pub fn hidden(&self, exec: &Exec, host: &Host, params: &Params, batch: &Batch) -> Result<Tensor> {
        self.check(params, batch)?;
        let mut run = Run::new(exec, host, &self.config, params, &batch.segments, &batch.positions)?;
        run.dropout = self.dropout(batch);
        let mut x = self.embed(exec, params, &batch.tokens)?;
        for (index, layout) in self.layout.blocks.iter().enumerate() {
            x = Block { run: &run, layout, index }.forward(&x, Attend::Batch)?;
        }
        Ok(rms_norm::forward(exec, run.norm, &x, params.get(self.layout.norm))?.0)
    }

    /// The logits of every position, `[T, vocab]`.
    pub fn logits(&self, exec: &Exec, host: &Host, params: &Params, batch: &Batch) -> Result<Tensor> {
        let (h, w) = self.head_inputs(exec, host, params, batch)?;
        head::logits(exec, self.head(), &h, &w)
    }

    /// The hidden states of the labelled positions after the final norm, `[n, hidden]`, for [`Decoder::logits_of`].
    pub fn labelled_hidden(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        batch: &Batch,
    ) -> Result<Tensor> {
        let h = self.hidden(exec, host, params, batch)?;
        let labels = head::Labels::new(&batch.labels);
        Ok(h.index_select(&Tensor::new(labels.rows(), h.device())?, 0)?)
    }

    /// The logits of hidden states after the final norm, `[n, hidden]` → `[n, vocab]`.
    pub fn logits_of(&self, exec: &Exec, params: &Params, h: &Tensor) -> Result<Tensor> {
        self.check_params(params)?;
        let (h, w) = self.head_operands(exec, params, h, None)?;
        head::logits(exec, self.head(), &h, &w)
    }

    /// The natural log-probability of the label at each labelled position, `[n]`.
    pub fn logp(&self, exec: &Exec, host: &Host, params: &Params, batch: &Batch) -> Result<Tensor> {
        let (h, w) = self.head_inputs(exec, host, params, batch)?;
        head::logp(exec, self.head(), &h, &w, &head::Labels::new(&batch.labels))
    }

    /// The loss of a batch, without any gradient.
    pub fn loss(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        batch: &Batch,
        loss: &mut dyn LossFn,
    ) -> Result<LossOut> {
        let (h, w) = self.head_inputs(exec, host, params, batch)?;
        let labels = head::Labels::new(&batch.labels).with_terms(loss.terms());
        let values = if loss.of_logits().is_some() {
            let weights = Tensor::zeros(labels.len(), candle_core::DType::F32, h.device())?;
            let pass = HeadPass { head: self.head(), labels: &labels, weights: &weights, batch };
            pass.backward(exec, &host.cancel, loss, (&h, &w), &Want::No)?.values
        } else {
            head::logp(exec, self.head(), &h, &w, &labels)?
        };
        let (value, weights) = loss.weights(batch, &values)?;
        let value = if loss.needs_logp() { value } else { loss::weighted_sum(&weights, &values)? };
        Ok(LossOut { loss: value, values })
    }

    /// What the head multiplies in a pass over a batch: hidden states and weight.
    fn head_inputs(
        &self,
        exec: &Exec,
        host: &Host,
        params: &Params,
        batch: &Batch,
    ) -> Result<(Tensor, Tensor)> {
        let h = self.hidden(exec, host, params, batch)?;
        host.cancel.check()?;
        self.head_operands(exec, params, &h, self.dropout(batch))
    }

    fn embed(&self, exec: &Exec, params: &Params, tokens: &[u32]) -> Result<Tensor> {
        let x = embedding::forward(exec, params.get(self.layout.embed), tokens, self.embed_scale())?;
        match self.layout.embed_factors {
            Some(f) => {
                low_rank::add_output(exec, x, &self.embed_inner(exec, params, f, tokens)?, params.get(f.b))
            }
            None => Ok(x),
        }
    }

    fn embed_scale(&self) -> Option<f32> {
        (self.config.embed_scale != 1.0).then_some(self.config.embed_scale as f32)
    }

    fn head(&self) -> head::Head {
        let scale = self.config.logit_scale;
        head::Head {
            scale: (scale != 1.0).then_some(scale as f32),
            softcap: self.config.logit_softcap.map(|c| c as f32),
        }
    }

    fn check(&self, params: &Params, batch: &Batch) -> Result<()> {
        self.check_params(params)?;
        batch.check(self.config.vocab_size)
    }

    fn check_params(&self, params: &Params) -> Result<()> {
        if Arc::ptr_eq(params.universe(), &self.layout.universe) {
            return Ok(());
        }
        self.layout
            .universe
            .check_same(params.universe())
            .map_err(|e| Error::mismatch(format!("these parameters do not belong to this decoder: {e}")))
    }
}
