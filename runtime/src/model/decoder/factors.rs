//! Factors of low rank beside the weights of a decoder (LoRA, Hu et al. 2021, arXiv 2106.09685): which modules have them,
//! their names, and the decoder that runs them.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::Tensor;

use super::layout::{Factors, Layout};
use super::run::Run;
use super::{Config, Decoder, Params, Universe};
use crate::data::Batch;
use crate::model::{ParamSpec, Role};
use crate::ops::dropout::{self, Dropout};
use crate::ops::{Exec, elementwise, linear, low_rank};
use crate::{Error, Result};

/// The factors of one module.
#[derive(Clone, Debug, PartialEq)]
pub struct Factored {
    /// The module whose output they change: `model.layers.0.self_attn.q_proj`. Of a model whose head is the embedding,
    /// `lm_head` and `model.embed_tokens` still are two modules: each one's factors change that use of the weight alone.
    pub module: String,
    /// Rows of A and columns of B.
    pub rank: usize,
    /// What the product `B A` is multiplied with.
    pub scale: f64,
}

/// All factors of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// The modules, in the order of their weights.
    pub modules: Vec<Factored>,
    /// The chance that an entry of A's input is dropped in a training step.
    pub dropout: f64,
    /// What the masks of dropout are drawn from, with the number of the step.
    pub seed: u64,
}

impl Factored {
    /// Whether it is the embedding, whose factors have names of their own and no dropout, as in peft.
    pub fn embedding(&self) -> bool {
        self.module == "model.embed_tokens"
    }

    /// The names of its parameters: A, `[rank, in]`, and B, `[out, rank]`.
    pub fn names(&self) -> [String; 2] {
        let end = if self.embedding() {
            ["lora_embedding_A", "lora_embedding_B"]
        } else {
            ["lora_A.weight", "lora_B.weight"]
        };
        end.map(|end| format!("{}.{end}", self.module))
    }
}

impl Decoder {
    /// The decoder with factors beside some of its weights. Its universe is this one's, followed by A and B of each module.
    pub fn attach(&self, mut attached: Attached) -> Result<Self> {
        if self.attached.is_some() {
            return Err(Error::argument(
                "the model has factors of low rank already: merge them into its weights before others are attached",
            ));
        }
        if !(0.0..1.0).contains(&attached.dropout) {
            return Err(Error::argument(format!(
                "dropout must be at least 0 and below 1, not {}",
                attached.dropout
            )));
        }
        let layout = self.layout.attach(&self.config, &mut attached.modules)?;
        Ok(Self { config: self.config.clone(), layout, attached: Some(Arc::new(attached)), step: None })
    }

    /// Its factors, if it has any.
    pub fn attached(&self) -> Option<&Attached> {
        self.attached.as_deref()
    }

    /// The decoder as a training step runs it: with dropout, if it has any. The masks depend on the seed, the number of the
    /// step, the module and the batch, so that a step that is computed again draws the same ones.
    pub fn in_training(&self, step: u64) -> Cow<'_, Self> {
        match &self.attached {
            Some(attached) if attached.dropout > 0.0 => Cow::Owned(Self { step: Some(step), ..self.clone() }),
            _ => Cow::Borrowed(self),
        }
    }

    /// The dropout of a pass over a batch.
    pub(super) fn dropout(&self, batch: &Batch) -> Option<Dropout> {
        let (attached, step) = (self.attached.as_ref()?, self.step?);
        let dropout = Dropout { rate: attached.dropout, key: attached.seed }.part(step);
        let ids = batch.tokens.iter().chain(&batch.segments);
        Some(ids.fold(dropout, |dropout, &id| dropout.part(u64::from(id))))
    }

    /// What the embedding's factors add to it: the scaled rows of A that the tokens choose, `[T, rank]`.
    pub(super) fn embed_inner(
        &self,
        exec: &Exec,
        params: &Params,
        factors: Factors,
        tokens: &[u32],
    ) -> Result<Tensor> {
        let ids = Tensor::new(tokens, exec.device())?;
        let rows = params.get(factors.a).index_select(&ids, 1)?.t()?.contiguous()?;
        let scale = f64::from(factors.scale * self.embed_scale().unwrap_or(1.0));
        Ok((rows * scale)?)
    }

    /// The hidden states and the weight that the head multiplies. Factors of the head stand beside both, `[T, hidden + rank]`
    /// and `[vocab, hidden + rank]`, so that logits are still one product.
    pub(super) fn head_operands(
        &self,
        exec: &Exec,
        params: &Params,
        h: &Tensor,
        dropout: Option<Dropout>,
    ) -> Result<(Tensor, Tensor)> {
        let w = params.get(self.layout.head);
        let Some(factors) = self.layout.head_factors else { return Ok((h.clone(), w.clone())) };
        let (a, b) = (params.get(factors.a), params.get(factors.b));
        let inner = low_rank::inner(exec, &dropped(exec, h, factors, dropout)?, a, factors.scale)?;
        let w = w.to_dtype(b.dtype())?;
        Ok((Tensor::cat(&[h, &inner], 1)?, Tensor::cat(&[&w, b], 1)?))
    }
}

/// The input of A in this pass.
pub(super) fn dropped(exec: &Exec, x: &Tensor, factors: Factors, dropout: Option<Dropout>) -> Result<Tensor> {
    match dropout {
        Some(dropout) => dropout::apply(exec, x, dropout.part(factors.a as u64)),
        None => Ok(x.clone()),
    }
}

/// The output `y` of a layer with what its factors add, from its input `x`.
pub(super) fn forward(run: &Run<'_>, factors: Factors, x: &Tensor, y: Tensor) -> Result<Tensor> {
    let (a, b) = (run.params.get(factors.a), run.params.get(factors.b));
    let x = dropped(run.exec, x, factors, run.dropout)?;
    low_rank::add_output(run.exec, y, &low_rank::inner(run.exec, &x, a, factors.scale)?, b)
}

/// Adds to the gradient `dx` of a layer's input what comes through its factors, from `u = scale · dy B`.
pub(super) fn add_input(
    exec: &Exec,
    params: &Params,
    factors: Factors,
    u: &Tensor,
    dx: Tensor,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    let a = params.get(factors.a);
    match dropout {
        None => low_rank::add_input(exec, dx, u, a),
        Some(_) => {
            let through = linear::backward_input(exec, u, a)?;
            elementwise::add(exec, &dx, &dropped(exec, &through, factors, dropout)?)
        }
    }
}

impl Layout {
    /// The layout with factors beside the weights of `modules`, which come to be in the order of the weights.
    fn attach(&self, config: &Config, modules: &mut [Factored]) -> Result<Self> {
        let weight = |m: &Factored| self.universe.index_of(&format!("{}.weight", m.module));
        // A head that is the embedding comes last, where a head of its own would be.
        modules.sort_by_key(|m| weight(m).unwrap_or(usize::MAX));
        let mut layout = self.clone();
        let mut specs = self.universe.specs().to_vec();
        for module in modules.iter() {
            let tied_head = config.tied && module.module == "lm_head";
            let index = match weight(module) {
                Some(index) => index,
                None if tied_head => self.head,
                None => self.universe.get(&format!("{}.weight", module.module))?,
            };
            let spec = self.universe.spec(index);
            if module.rank == 0 || !(module.scale.is_finite()) {
                return Err(Error::argument(format!(
                    "module {} has factors of rank {} and scale {}: a rank is at least 1, and a scale a finite number",
                    module.module, module.rank, module.scale
                )));
            }
            let [rows, cols] = spec.shape[..] else {
                return Err(Error::argument(format!(
                    "module {} has a weight of shape {:?}; only matrices have factors of low rank",
                    module.module, spec.shape
                )));
            };
            let (out, inner) = if module.embedding() { (cols, rows) } else { (rows, cols) };
            let layer = if tied_head { None } else { spec.layer };
            let first = specs.len();
            let [a, b] = module.names();
            for (name, shape) in [(a, vec![module.rank, inner]), (b, vec![out, module.rank])] {
                specs.push(ParamSpec { name, shape, role: Role::Lora, layer });
            }
            let factors = Factors { a: first, b: first + 1, scale: module.scale as f32 };
            if module.embedding() {
                layout.embed_factors = Some(factors);
            } else if index == self.head {
                layout.head_factors = Some(factors);
            } else {
                let found = layout.blocks.iter_mut().any(|block| block.attach(index, factors));
                if !found {
                    return Err(Error::argument(format!("module {} is no linear layer", module.module)));
                }
            }
        }
        layout.universe = Universe::new(specs)?;
        Ok(layout)
    }
}
