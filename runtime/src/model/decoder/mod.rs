//! The decoder: every family in one, driven by its [`Config`].
//!
//! It holds no tensors, only which parameter does what, so that one decoder runs any number of
//! [`Params`]. Forward and backward are written out over [`crate::ops`]; there is no tape, so what is
//! kept, computed again or not computed at all is decided here.

mod backward;
mod block;
mod block_backward;
mod generate;
mod grad;
mod layout;
mod loss;
mod run;

use std::sync::Arc;

use candle_core::Tensor;

use self::block::{Attend, Block};
use self::layout::Layout;
use self::run::Run;
use super::{Config, Params, Universe};
use crate::data::Batch;
use crate::host::Host;
use crate::ops::{Exec, embedding, head, rms_norm};
use crate::{Error, Result};

pub use generate::KvCache;
pub use grad::{Checkpoint, Grad, GradSink};
pub use loss::{CrossEntropy, LossFn, LossOut, Reduction};

pub use crate::ops::Want;

/// A decoder of one configuration. Cloning is cheap beside any use of it.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: Config,
    layout: Layout,
}

impl Decoder {
    /// The decoder of a configuration.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { config: config.clone(), layout: Layout::new(config)? })
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
        let run = Run::new(exec, host, &self.config, params, &batch.segments, &batch.positions)?;
        let mut x = self.embed(exec, params, &batch.tokens)?;
        for (index, layout) in self.layout.blocks.iter().enumerate() {
            x = Block { run: &run, layout, index }.forward(&x, Attend::Batch)?;
        }
        Ok(rms_norm::forward(exec, run.norm, &x, params.get(self.layout.norm))?.0)
    }

    /// The logits of every position, `[T, vocab]`.
    pub fn logits(&self, exec: &Exec, host: &Host, params: &Params, batch: &Batch) -> Result<Tensor> {
        let h = self.hidden(exec, host, params, batch)?;
        host.cancel.check()?;
        head::logits(exec, self.head(), &h, params.get(self.layout.head))
    }

    /// The natural log-probability of the label at each labelled position, `[n]`.
    pub fn logp(&self, exec: &Exec, host: &Host, params: &Params, batch: &Batch) -> Result<Tensor> {
        let h = self.hidden(exec, host, params, batch)?;
        host.cancel.check()?;
        let labels = head::Labels::new(&batch.labels);
        head::logp(exec, self.head(), &h, params.get(self.layout.head), &labels)
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
        let logp = self.logp(exec, host, params, batch)?;
        let (value, weights) = loss.weights(batch, &logp)?;
        let value = if loss.needs_logp() { value } else { loss::weighted_sum(&weights, &logp)? };
        Ok(LossOut { loss: value, logp })
    }

    fn embed(&self, exec: &Exec, params: &Params, tokens: &[u32]) -> Result<Tensor> {
        embedding::forward(exec, params.get(self.layout.embed), tokens, self.embed_scale())
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
