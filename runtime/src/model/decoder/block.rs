//! One block, forward: what the configuration's flags mean, written once.

use candle_core::Tensor;

use super::factors;
use super::layout::{BlockLayout, GateUp, Linear, QkvIn};
use super::run::Run;
use crate::Result;
use crate::ops::attention::{self, Attention, Cache};
use crate::ops::{elementwise, glu, linear, rms_norm, rope};

/// A norm's input and what its forward kept.
#[derive(Debug)]
pub(super) struct SavedNorm {
    pub x: Tensor,
    pub inv: Tensor,
}

/// What the backward of a block needs of its forward. The product of gate and input, the widest of
/// all, is not kept but made again where the last projection's gradient is wanted.
#[derive(Debug)]
pub(super) struct Saved {
    pub before_attention: Option<SavedNorm>,
    pub attention_in: Tensor,
    pub q_norm: Option<SavedNorm>,
    pub k_norm: Option<SavedNorm>,
    pub q: Tensor,
    pub k: Tensor,
    pub v: Tensor,
    pub attention_out: Tensor,
    pub lse: Tensor,
    pub after_attention: Option<SavedNorm>,
    pub before_mlp: Option<SavedNorm>,
    pub mlp_in: Tensor,
    pub gate: Tensor,
    pub up: Tensor,
    pub after_mlp: Option<SavedNorm>,
}

/// How a block's attention is carried out.
pub(super) enum Attend<'c> {
    /// Over the batch, as it is trained.
    Batch,
    /// Over what is cached and the batch, which is added to the cache.
    Cached(&'c mut Cache),
}

/// One block of a run.
pub(super) struct Block<'a> {
    pub run: &'a Run<'a>,
    pub layout: &'a BlockLayout,
    pub index: usize,
}

impl Block<'_> {
    /// The shape of this block's attention.
    pub fn attention(&self) -> Attention {
        let config = self.run.config;
        Attention {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            scale: config.attention_scale as f32,
            window: config.layers[self.index].window,
            softcap: config.attention_softcap.map(|c| c as f32),
        }
    }

    /// The rotation of this block's queries and keys, if it has one.
    pub fn rotation(&self) -> Option<&rope::Rotation> {
        self.run.config.layers[self.index].rope.map(|i| &self.run.rotations[i])
    }

    /// The block's output.
    pub fn forward(&self, x: &Tensor, attend: Attend<'_>) -> Result<Tensor> {
        let (after_attention, _) = self.attention_half(x, attend)?;
        Ok(self.mlp_half(&after_attention)?.0)
    }

    /// The block's output and what its backward needs.
    pub fn forward_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (middle, attention) = self.attention_half(x, Attend::Batch)?;
        let (out, mlp) = self.mlp_half(&middle)?;
        Ok((out, Saved::join(attention, mlp)))
    }

    /// What the backward needs, without the output: the last projection is left out unless a norm
    /// follows it.
    pub fn recompute(&self, x: &Tensor) -> Result<Saved> {
        let (middle, attention) = self.attention_half(x, Attend::Batch)?;
        let mlp = match self.layout.after_mlp {
            Some(_) => self.mlp_half(&middle)?.1,
            None => self.gate_and_up(&middle)?,
        };
        Ok(Saved::join(attention, mlp))
    }

    fn linear(&self, layer: Linear, x: &Tensor) -> Result<Tensor> {
        self.run.cancel.check()?;
        let params = self.run.params;
        let bias = layer.bias.map(|i| params.get(i));
        let y = linear::forward(self.run.exec, x, params.get(layer.weight), bias)?;
        let y = match layer.factors {
            Some(factors) => factors::forward(self.run, factors, x, y)?,
            None => y,
        };
        if let Some(observer) = self.run.observer {
            observer.show(layer.weight, x, &y)?;
        }
        Ok(y)
    }

    /// A norm that may not be there.
    fn norm(&self, weight: Option<usize>, x: Tensor) -> Result<(Tensor, Option<SavedNorm>)> {
        let Some(weight) = weight else { return Ok((x, None)) };
        let (y, inv) = rms_norm::forward(self.run.exec, self.run.norm, &x, self.run.params.get(weight))?;
        Ok((y, Some(SavedNorm { x, inv })))
    }

    fn attention_half(&self, x: &Tensor, attend: Attend<'_>) -> Result<(Tensor, SavedAttention)> {
        let (exec, layout) = (self.run.exec, self.layout);
        let (h, before) = self.norm(layout.before_attention, x.clone())?;
        let (q, k, v) = match layout.qkv {
            QkvIn::Split { q, k, v } => (self.linear(q, &h)?, self.linear(k, &h)?, self.linear(v, &h)?),
            QkvIn::Fused(qkv) => {
                let (q_size, kv_size) = (self.run.config.q_size(), self.run.config.kv_size());
                let all = self.linear(qkv, &h)?;
                let part = |at: usize, len: usize| all.narrow(1, at, len)?.contiguous();
                (part(0, q_size)?, part(q_size, kv_size)?, part(q_size + kv_size, kv_size)?)
            }
        };
        let (q, q_norm) = self.norm(layout.q_norm, q)?;
        let (k, k_norm) = self.norm(layout.k_norm, k)?;
        let (q, k) = match self.rotation() {
            Some(rotation) => {
                let dim = self.run.config.head_dim;
                (rope::forward(exec, &q, dim, rotation)?, rope::forward(exec, &k, dim, rotation)?)
            }
            None => (q, k),
        };
        let spec = self.attention();
        self.run.cancel.check()?;
        let (out, lse) = match attend {
            Attend::Batch => attention::forward(exec, &spec, &q, &k, &v, self.run.segments)?,
            Attend::Cached(cache) => {
                let out = attention::decode(exec, &spec, &q, &k, &v, self.run.segments, cache)?;
                // Nothing goes backward from here, so nothing reads the log-sum-exp.
                (out.clone(), out)
            }
        };
        let (added, after) = self.norm(layout.after_attention, self.linear(layout.output, &out)?)?;
        let middle = elementwise::add_scaled(exec, x, &added, self.run.config.residual_scale as f32)?;
        Ok((middle, SavedAttention { before, h, q_norm, k_norm, q, k, v, out, lse, after }))
    }

    fn mlp_half(&self, x: &Tensor) -> Result<(Tensor, SavedMlp)> {
        let mut saved = self.gate_and_up(x)?;
        let inner = self.gated(&saved.gate, &saved.up)?;
        let (added, after) = self.norm(self.layout.after_mlp, self.linear(self.layout.down, &inner)?)?;
        saved.after = after;
        let scale = self.run.config.residual_scale as f32;
        Ok((elementwise::add_scaled(self.run.exec, x, &added, scale)?, saved))
    }

    fn gate_and_up(&self, x: &Tensor) -> Result<SavedMlp> {
        let (h, before) = self.norm(self.layout.before_mlp, x.clone())?;
        let (gate, up) = match self.layout.gate_up {
            GateUp::Split { gate, up } => (self.linear(gate, &h)?, self.linear(up, &h)?),
            GateUp::Fused(both) => {
                let inner = self.run.config.intermediate_size;
                let both = self.linear(both, &h)?;
                (both.narrow(1, 0, inner)?.contiguous()?, both.narrow(1, inner, inner)?.contiguous()?)
            }
        };
        Ok(SavedMlp { before, h, gate, up, after: None })
    }

    /// The input of the feed-forward layer's last projection.
    pub fn gated(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        glu::forward(self.run.exec, self.run.act, gate, up)
    }
}

struct SavedAttention {
    before: Option<SavedNorm>,
    h: Tensor,
    q_norm: Option<SavedNorm>,
    k_norm: Option<SavedNorm>,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    after: Option<SavedNorm>,
}

struct SavedMlp {
    before: Option<SavedNorm>,
    h: Tensor,
    gate: Tensor,
    up: Tensor,
    after: Option<SavedNorm>,
}

impl Saved {
    fn join(a: SavedAttention, m: SavedMlp) -> Self {
        Self {
            before_attention: a.before,
            attention_in: a.h,
            q_norm: a.q_norm,
            k_norm: a.k_norm,
            q: a.q,
            k: a.k,
            v: a.v,
            attention_out: a.out,
            lse: a.lse,
            after_attention: a.after,
            before_mlp: m.before,
            mlp_in: m.h,
            gate: m.gate,
            up: m.up,
            after_mlp: m.after,
        }
    }
}
