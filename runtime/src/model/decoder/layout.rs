//! Which parameter does what: the names and shapes a configuration implies, in the order Hugging
//! Face lists them, and their indices.

use std::sync::Arc;

use crate::Result;
use crate::model::config::{Config, NormPlacement, QkNorm};
use crate::model::{ParamSpec, Role, Universe};

/// The factors of low rank beside a weight: the indices of A and B, and what their product is multiplied with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factors {
    pub a: usize,
    pub b: usize,
    pub scale: f32,
}

/// A linear layer: the indices of its weight, its bias and its factors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub weight: usize,
    pub bias: Option<usize>,
    pub factors: Option<Factors>,
}

/// The projections into attention.
#[derive(Clone, Copy, Debug)]
pub(super) enum QkvIn {
    Split { q: Linear, k: Linear, v: Linear },
    Fused(Linear),
}

/// The projections into the feed-forward layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum GateUp {
    Split { gate: Linear, up: Linear },
    Fused(Linear),
}

/// The parameters of one block.
#[derive(Clone, Debug)]
pub(super) struct BlockLayout {
    pub qkv: QkvIn,
    pub output: Linear,
    pub q_norm: Option<usize>,
    pub k_norm: Option<usize>,
    pub gate_up: GateUp,
    pub down: Linear,
    pub before_attention: Option<usize>,
    pub after_attention: Option<usize>,
    pub before_mlp: Option<usize>,
    pub after_mlp: Option<usize>,
    /// All of the block's parameters: the indices from the first to the one past the last.
    pub all: std::ops::Range<usize>,
    /// The same of its factors, which come after all weights.
    pub factors: std::ops::Range<usize>,
}

impl BlockLayout {
    fn linears(&mut self) -> Vec<&mut Linear> {
        let mut all = match &mut self.qkv {
            QkvIn::Split { q, k, v } => vec![q, k, v],
            QkvIn::Fused(qkv) => vec![qkv],
        };
        match &mut self.gate_up {
            GateUp::Split { gate, up } => all.extend([gate, up]),
            GateUp::Fused(both) => all.push(both),
        }
        all.extend([&mut self.output, &mut self.down]);
        all
    }

    /// The linear layers, each with the first that takes the same input.
    pub fn inputs(&self) -> Vec<(Linear, Linear)> {
        let mut all = match self.qkv {
            QkvIn::Split { q, k, v } => vec![(q, q), (k, q), (v, q)],
            QkvIn::Fused(qkv) => vec![(qkv, qkv)],
        };
        all.push((self.output, self.output));
        match self.gate_up {
            GateUp::Split { gate, up } => all.extend([(gate, gate), (up, gate)]),
            GateUp::Fused(both) => all.push((both, both)),
        }
        all.push((self.down, self.down));
        all
    }

    /// Puts factors beside the weight at an index; false if it is of no linear layer here. A block's factors are given one
    /// after the other, A and B of each.
    pub fn attach(&mut self, weight: usize, factors: Factors) -> bool {
        let Some(linear) = self.linears().into_iter().find(|l| l.weight == weight) else { return false };
        linear.factors = Some(factors);
        let first = if self.factors.is_empty() { factors.a } else { self.factors.start };
        self.factors = first..factors.b + 1;
        true
    }
}

/// The parameters of a model.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub universe: Arc<Universe>,
    pub embed: usize,
    pub blocks: Vec<BlockLayout>,
    pub norm: usize,
    /// The head's weight; the embedding where they are tied.
    pub head: usize,
    pub embed_factors: Option<Factors>,
    pub head_factors: Option<Factors>,
}

struct Builder {
    specs: Vec<ParamSpec>,
    layer: Option<usize>,
}

impl Builder {
    fn add(&mut self, name: &str, shape: &[usize], role: Role) -> usize {
        let name = match self.layer {
            Some(i) => format!("model.layers.{i}.{name}"),
            None => name.to_string(),
        };
        self.specs.push(ParamSpec { name, shape: shape.to_vec(), role, layer: self.layer });
        self.specs.len() - 1
    }

    fn linear(&mut self, name: &str, out: usize, inner: usize, role: Role, bias: bool) -> Linear {
        let weight = self.add(&format!("{name}.weight"), &[out, inner], role);
        let bias = bias.then(|| self.add(&format!("{name}.bias"), &[out], Role::Bias));
        Linear { weight, bias, factors: None }
    }

    fn norm(&mut self, name: &str, size: usize) -> usize {
        self.add(&format!("{name}.weight"), &[size], Role::Norm)
    }
}

impl Layout {
    pub fn new(config: &Config) -> Result<Self> {
        let mut b = Builder { specs: Vec::new(), layer: None };
        let embed = b.add("model.embed_tokens.weight", &[config.vocab_size, config.hidden_size], Role::Embed);
        let blocks = (0..config.layers.len()).map(|i| block(&mut b, config, i)).collect();
        b.layer = None;
        let norm = b.norm("model.norm", config.hidden_size);
        let head = if config.tied {
            embed
        } else {
            b.linear("lm_head", config.vocab_size, config.hidden_size, Role::Head, false).weight
        };
        let universe = Universe::new(b.specs)?;
        Ok(Self { universe, embed, blocks, norm, head, embed_factors: None, head_factors: None })
    }
}

fn block(b: &mut Builder, config: &Config, index: usize) -> BlockLayout {
    b.layer = Some(index);
    let first = b.specs.len();
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let (q_size, kv_size, biases) = (config.q_size(), config.kv_size(), config.biases);
    let attention = |b: &mut Builder, name: &str, out: usize, inner: usize, bias: bool| {
        b.linear(&format!("self_attn.{name}"), out, inner, Role::Attention, bias)
    };
    let (qkv, output) = if config.fused {
        let output = attention(b, "o_proj", hidden, q_size, biases.output);
        (QkvIn::Fused(attention(b, "qkv_proj", q_size + 2 * kv_size, hidden, biases.qkv)), output)
    } else {
        let q = attention(b, "q_proj", q_size, hidden, biases.qkv);
        let k = attention(b, "k_proj", kv_size, hidden, biases.qkv);
        let v = attention(b, "v_proj", kv_size, hidden, biases.qkv);
        (QkvIn::Split { q, k, v }, attention(b, "o_proj", hidden, q_size, biases.output))
    };
    let norm_sizes = match config.qk_norm {
        QkNorm::None => None,
        QkNorm::Head => Some((config.head_dim, config.head_dim)),
        QkNorm::Projection => Some((q_size, kv_size)),
    };
    let q_norm = norm_sizes.map(|(q, _)| b.norm("self_attn.q_norm", q));
    let k_norm = norm_sizes.map(|(_, k)| b.norm("self_attn.k_norm", k));
    let mlp = |b: &mut Builder, name: &str, out: usize, inner: usize| {
        b.linear(&format!("mlp.{name}"), out, inner, Role::Mlp, biases.mlp)
    };
    let gate_up = if config.fused {
        GateUp::Fused(mlp(b, "gate_up_proj", 2 * inner, hidden))
    } else {
        let gate = mlp(b, "gate_proj", inner, hidden);
        GateUp::Split { gate, up: mlp(b, "up_proj", inner, hidden) }
    };
    let down = mlp(b, "down_proj", hidden, inner);
    let mut norm = |name: &str| Some(b.norm(name, hidden));
    // The same name stands for different places: `post_attention_layernorm` comes before the
    // feed-forward layer in the common placement, and after attention in the others.
    let (before_attention, after_attention, before_mlp, after_mlp) = match config.norms {
        NormPlacement::Pre => {
            let first = norm("input_layernorm");
            (first, None, norm("post_attention_layernorm"), None)
        }
        NormPlacement::PreAndPost => {
            let first = norm("input_layernorm");
            let second = norm("post_attention_layernorm");
            let third = norm("pre_feedforward_layernorm");
            (first, second, third, norm("post_feedforward_layernorm"))
        }
        NormPlacement::Post => {
            let first = norm("post_attention_layernorm");
            (None, first, None, norm("post_feedforward_layernorm"))
        }
    };
    BlockLayout {
        qkv,
        output,
        q_norm,
        k_norm,
        gate_up,
        down,
        before_attention,
        after_attention,
        before_mlp,
        after_mlp,
        all: first..b.specs.len(),
        factors: 0..0,
    }
}
