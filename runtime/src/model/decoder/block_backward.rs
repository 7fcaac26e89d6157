//! One block, backward: gradients of what is wanted, and nothing below the lowest of it.

use candle_core::Tensor;

use super::block::{Block, Saved, SavedNorm};
use super::factors;
use super::grad::Grad;
use super::layout::{BlockLayout, GateUp, Linear, QkvIn};
use crate::Result;
use crate::ops::linear::Input;
use crate::ops::{Want, attention, elementwise, glu, linear, low_rank, rms_norm, rope};

/// The gradients of a block's parameters, until all are known.
pub(super) type Found = Vec<(usize, Grad)>;

/// The backward of one block.
pub(super) struct Backward<'a> {
    pub block: Block<'a>,
    pub wants: &'a [Want],
    /// Whether the gradient of the block's input is needed.
    pub below: bool,
}

impl Backward<'_> {
    /// From the gradient of the block's output: that of its input, if needed, and what is wanted of
    /// its parameters.
    pub fn run(&self, saved: Saved, dy: Tensor, found: &mut Found) -> Result<Option<Tensor>> {
        let reach = Reach::of(self.block.layout, self.wants, self.below);
        match self.mlp_half(&reach, &saved, dy, found)? {
            Some(dmiddle) => self.attention_half(&reach, saved, dmiddle, found),
            None => Ok(None),
        }
    }

    fn mlp_half(
        &self,
        reach: &Reach,
        saved: &Saved,
        dy: Tensor,
        found: &mut Found,
    ) -> Result<Option<Tensor>> {
        let (run, layout) = (self.block.run, self.block.layout);
        let exec = run.exec;
        let dadded = elementwise::scale(exec, &dy, run.config.residual_scale as f32)?;
        let ddown = self.norm(layout.after_mlp, saved.after_mlp.as_ref(), dadded, found)?;
        let u = if self.needs_input(layout.down) {
            let inner = self.block.gated(&saved.gate, &saved.up)?;
            let inner = Input::new(&inner);
            self.weight(layout.down, &ddown, &inner, found)?;
            self.factors(layout.down, &ddown, &inner, found)?
        } else {
            None
        };
        self.bias(layout.down, &ddown, found)?;
        if !reach.gate_up {
            return Ok(None);
        }
        let dinner = self.input(layout.down, &ddown, u)?;
        drop(ddown);
        let (dgate, dup) = glu::backward(exec, run.act, &saved.gate, &saved.up, &dinner)?;
        drop(dinner);
        let dh = match layout.gate_up {
            GateUp::Split { gate, up } => {
                let parts = [(gate, dgate), (up, dup)];
                self.projections(&parts, &saved.mlp_in, reach.mlp_input, found)?
            }
            GateUp::Fused(both) => {
                let parts = [(both, Tensor::cat(&[&dgate, &dup], 1)?)];
                self.projections(&parts, &saved.mlp_in, reach.mlp_input, found)?
            }
        };
        let Some(dh) = dh else { return Ok(None) };
        let dx = self.norm(layout.before_mlp, saved.before_mlp.as_ref(), dh, found)?;
        if reach.attention { Ok(Some(elementwise::add(exec, &dy, &dx)?)) } else { Ok(None) }
    }

    fn attention_half(
        &self,
        reach: &Reach,
        saved: Saved,
        dy: Tensor,
        found: &mut Found,
    ) -> Result<Option<Tensor>> {
        let (run, layout) = (self.block.run, self.block.layout);
        let exec = run.exec;
        let dadded = elementwise::scale(exec, &dy, run.config.residual_scale as f32)?;
        let doutput = self.norm(layout.after_attention, saved.after_attention.as_ref(), dadded, found)?;
        let attention_out = Input::new(&saved.attention_out);
        self.weight(layout.output, &doutput, &attention_out, found)?;
        let u = self.factors(layout.output, &doutput, &attention_out, found)?;
        self.bias(layout.output, &doutput, found)?;
        if !reach.qkv {
            return Ok(None);
        }
        let dout = self.input(layout.output, &doutput, u)?;
        drop(doutput);
        let kept = attention::Saved {
            q: &saved.q,
            k: &saved.k,
            v: &saved.v,
            out: &saved.attention_out,
            lse: &saved.lse,
        };
        run.cancel.check()?;
        let (dq, dk, dv) = attention::backward(exec, &self.block.attention(), kept, &dout, run.segments)?;
        drop(dout);
        let (dq, dk) = match self.block.rotation() {
            Some(rotation) => {
                let dim = run.config.head_dim;
                (rope::backward(exec, &dq, dim, rotation)?, rope::backward(exec, &dk, dim, rotation)?)
            }
            None => (dq, dk),
        };
        let dq = self.norm(layout.q_norm, saved.q_norm.as_ref(), dq, found)?;
        let dk = self.norm(layout.k_norm, saved.k_norm.as_ref(), dk, found)?;
        let dh = match layout.qkv {
            QkvIn::Split { q, k, v } => {
                let parts = [(q, dq), (k, dk), (v, dv)];
                self.projections(&parts, &saved.attention_in, reach.attention_input, found)?
            }
            QkvIn::Fused(qkv) => {
                let parts = [(qkv, Tensor::cat(&[&dq, &dk, &dv], 1)?)];
                self.projections(&parts, &saved.attention_in, reach.attention_input, found)?
            }
        };
        let Some(dh) = dh else { return Ok(None) };
        let dx = self.norm(layout.before_attention, saved.before_attention.as_ref(), dh, found)?;
        if self.below { Ok(Some(elementwise::add(exec, &dy, &dx)?)) } else { Ok(None) }
    }

    /// The gradients of linear layers that share their input, and if needed of that input.
    fn projections(
        &self,
        parts: &[(Linear, Tensor)],
        x: &Tensor,
        input: bool,
        found: &mut Found,
    ) -> Result<Option<Tensor>> {
        let exec = self.block.run.exec;
        let mut dx: Option<Tensor> = None;
        let x = Input::new(x);
        for (layer, dy) in parts {
            self.weight(*layer, dy, &x, found)?;
            let u = self.factors(*layer, dy, &x, found)?;
            self.bias(*layer, dy, found)?;
            if input {
                let part = self.input(*layer, dy, u)?;
                dx = Some(match dx {
                    Some(sum) => elementwise::add(exec, &sum, &part)?,
                    None => part,
                });
            }
        }
        Ok(dx)
    }

    /// The gradient of a linear layer's input; `u` is what [`Self::factors`] found on its way.
    fn input(&self, layer: Linear, dy: &Tensor, u: Option<Tensor>) -> Result<Tensor> {
        let run = self.block.run;
        run.cancel.check()?;
        let dx = linear::backward_input(run.exec, dy, run.params.get(layer.weight))?;
        let Some(f) = layer.factors else { return Ok(dx) };
        let u = match u {
            Some(u) => u,
            None => low_rank::inner_gradient(run.exec, dy, run.params.get(f.b), f.scale)?,
        };
        factors::add_input(run.exec, run.params, f, &u, dx, run.dropout)
    }

    /// Whether a gradient of the layer's weight or of its factors needs the layer's input.
    fn needs_input(&self, layer: Linear) -> bool {
        let any = |index: usize| self.wants[index].any();
        any(layer.weight) || layer.factors.is_some_and(|f| any(f.a) || any(f.b))
    }

    /// The gradients of a layer's factors. Returns `scale · dy B`, `[T, rank]`, if it was needed.
    fn factors(
        &self,
        layer: Linear,
        dy: &Tensor,
        x: &Input<'_>,
        found: &mut Found,
    ) -> Result<Option<Tensor>> {
        let run = self.block.run;
        let Some(f) = layer.factors.filter(|f| self.wants[f.a].any() || self.wants[f.b].any()) else {
            return Ok(None);
        };
        run.cancel.check()?;
        let dropped;
        let masked;
        let x = match run.dropout {
            Some(_) => {
                dropped = factors::dropped(run.exec, x.tensor(), f, run.dropout)?;
                masked = Input::new(&dropped);
                &masked
            }
            None => x,
        };
        let (a, b) = (run.params.get(f.a), run.params.get(f.b));
        if self.wants[f.b].any() {
            let t = low_rank::inner(run.exec, x.tensor(), a, f.scale)?;
            self.product(f.b, dy, &Input::new(&t), found)?;
        }
        if !self.wants[f.a].any() {
            return Ok(None);
        }
        let u = low_rank::inner_gradient(run.exec, dy, b, f.scale)?;
        self.product(f.a, &u, x, found)?;
        Ok(Some(u))
    }

    fn weight(&self, layer: Linear, dy: &Tensor, x: &Input<'_>, found: &mut Found) -> Result<()> {
        self.block.run.cancel.check()?;
        self.product(layer.weight, dy, x, found)
    }

    /// What is wanted of the gradient `dyᵀ x` of a parameter.
    fn product(&self, param: usize, dy: &Tensor, x: &Input<'_>, found: &mut Found) -> Result<()> {
        let exec = self.block.run.exec;
        let grad = match &self.wants[param] {
            Want::No => return Ok(()),
            Want::Dense => Grad::Dense(linear::weight_grad_dense(exec, dy, x.tensor())?),
            Want::At(index) => Grad::At(linear::weight_grad_at(exec, dy, x, index)?),
        };
        found.push((param, grad));
        Ok(())
    }

    fn bias(&self, layer: Linear, dy: &Tensor, found: &mut Found) -> Result<()> {
        let Some(bias) = layer.bias.filter(|&i| self.wants[i].any()) else { return Ok(()) };
        let exec = self.block.run.exec;
        let grad = Grad::narrowed(exec, linear::bias_grad(exec, dy)?, &self.wants[bias])?;
        found.extend(grad.map(|g| (bias, g)));
        Ok(())
    }

    /// Through a norm, if there is one: the gradient of its input.
    fn norm(
        &self,
        weight: Option<usize>,
        saved: Option<&SavedNorm>,
        dy: Tensor,
        found: &mut Found,
    ) -> Result<Tensor> {
        let (Some(index), Some(saved)) = (weight, saved) else { return Ok(dy) };
        let run = self.block.run;
        let want = &self.wants[index];
        let w = run.params.get(index);
        let (dx, dw) = rms_norm::backward(run.exec, run.norm, &saved.x, w, &saved.inv, &dy, want.any())?;
        if let Some(dw) = dw {
            found.extend(Grad::narrowed(run.exec, dw, want)?.map(|g| (index, g)));
        }
        Ok(dx)
    }
}

/// How far down a block the backward must go.
struct Reach {
    /// Through the last projection, to gate and input.
    gate_up: bool,
    /// To the input of those two.
    mlp_input: bool,
    /// Past the feed-forward layer altogether.
    attention: bool,
    /// Through attention, to queries, keys and values.
    qkv: bool,
    /// To the input of those three.
    attention_input: bool,
}

impl Reach {
    fn of(layout: &BlockLayout, wants: &[Want], below: bool) -> Self {
        let any = |index: usize| wants[index].any();
        let norm = |index: Option<usize>| index.is_some_and(any);
        let factors = |layer: Linear| layer.factors.is_some_and(|f| any(f.a) || any(f.b));
        let linear = |layer: Linear| any(layer.weight) || norm(layer.bias) || factors(layer);
        let attention_input = below || norm(layout.before_attention);
        let projections = match layout.qkv {
            QkvIn::Split { q, k, v } => linear(q) || linear(k) || linear(v),
            QkvIn::Fused(qkv) => linear(qkv),
        };
        let qkv = attention_input || projections || norm(layout.q_norm) || norm(layout.k_norm);
        let attention = qkv || linear(layout.output) || norm(layout.after_attention);
        let mlp_input = attention || norm(layout.before_mlp);
        let projections = match layout.gate_up {
            GateUp::Split { gate, up } => linear(gate) || linear(up),
            GateUp::Fused(both) => linear(both),
        };
        Self { gate_up: mlp_input || projections, mlp_input, attention, qkv, attention_input }
    }
}
