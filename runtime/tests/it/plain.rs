//! A decoder in the plainest candle operations, one sequence at a time, with candle's autograd: what
//! the families mean, written from their definitions and not from the code under test.

use std::collections::HashMap;
use std::f64::consts::PI;

use candle_core::{D, Device, Result, Tensor, Var};

/// The parts of a family, stated by each test by hand.
#[derive(Clone, Debug)]
pub struct Plain {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub eps: f64,
    /// `1 + weight`.
    pub offset: bool,
    /// "pre", "both" or "post".
    pub norms: &'static str,
    /// "silu", "gelu" or "gelu_tanh".
    pub act: &'static str,
    pub scale: f64,
    pub score_cap: Option<f64>,
    pub logit_cap: Option<f64>,
    pub logit_divisor: f64,
    pub embed_scale: f64,
    pub residual: f64,
    /// Each layer's window and rotary frequencies.
    pub layers: Vec<(Option<usize>, Option<Vec<f64>>)>,
}

/// `theta^(-2i/dims)`.
pub fn frequencies(theta: f64, dims: usize) -> Vec<f64> {
    (0..dims / 2).map(|i| theta.powf(-2.0 * i as f64 / dims as f64)).collect()
}

/// Llama 3's change of frequencies, as its authors wrote it.
pub fn llama3(frequencies: &[f64], factor: f64, low: f64, high: f64, original: f64) -> Vec<f64> {
    let change = |f: &f64| {
        let wavelength = 2.0 * PI / f;
        if wavelength < original / high {
            *f
        } else if wavelength > original / low {
            f / factor
        } else {
            let smooth = (original / wavelength - low) / (high - low);
            (1.0 - smooth) * f / factor + smooth * f
        }
    };
    frequencies.iter().map(change).collect()
}

/// Parameters by name, as autograd variables.
pub type Weights = HashMap<String, Var>;

impl Plain {
    fn norm(&self, w: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = w[name].as_tensor();
        let weight = if self.offset { (weight + 1.0)? } else { weight.clone() };
        let root = (x.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(&weight)
    }

    fn linear(&self, w: &Weights, name: &str, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&w[&format!("{name}.weight")].as_tensor().t()?)?;
        match w.get(&format!("{name}.bias")) {
            Some(bias) => y.broadcast_add(bias.as_tensor()),
            None => Ok(y),
        }
    }

    fn turn(&self, x: &Tensor, frequencies: &[f64]) -> Result<Tensor> {
        // x: [heads, T, D]
        let (_, t, dim) = x.dims3()?;
        let half = frequencies.len();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f64> =
                (0..t).flat_map(|p| frequencies.iter().map(move |w| f(p as f64 * w))).collect();
            Tensor::from_vec(values, (1, t, half), x.device())?.to_dtype(x.dtype())
        };
        let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
        let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        let mut parts = vec![first, second];
        if dim > 2 * half {
            parts.push(x.narrow(2, 2 * half, dim - 2 * half)?);
        }
        Tensor::cat(&parts, 2)
    }

    fn attention(&self, w: &Weights, layer: usize, x: &Tensor) -> Result<Tensor> {
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}");
        let t = x.dim(0)?;
        let (qs, ks) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (mut q, mut k, v) = if w.contains_key(&name("qkv_proj.weight")) {
            let all = self.linear(w, &name("qkv_proj"), x)?;
            (all.narrow(1, 0, qs)?, all.narrow(1, qs, ks)?, all.narrow(1, qs + ks, ks)?)
        } else {
            let of = |part: &str| self.linear(w, &name(part), x);
            (of("q_proj")?, of("k_proj")?, of("v_proj")?)
        };
        let norm_size = w.get(&name("q_norm.weight")).map(|w| w.elem_count());
        if norm_size.is_some_and(|n| n != self.head_dim) {
            q = self.norm(w, &name("q_norm.weight"), &q)?;
            k = self.norm(w, &name("k_norm.weight"), &k)?;
        }
        let split =
            |x: &Tensor, heads: usize| x.reshape((t, heads, self.head_dim))?.transpose(0, 1)?.contiguous();
        let (mut q, mut k) = (split(&q, self.heads)?, split(&k, self.kv_heads)?);
        if norm_size == Some(self.head_dim) {
            q = self.norm(w, &name("q_norm.weight"), &q)?;
            k = self.norm(w, &name("k_norm.weight"), &k)?;
        }
        let (window, frequencies) = &self.layers[layer];
        if let Some(frequencies) = frequencies {
            (q, k) = (self.turn(&q, frequencies)?, self.turn(&k, frequencies)?);
        }
        let v = split(&v.contiguous()?, self.kv_heads)?;
        let group = self.heads / self.kv_heads;
        let repeat = |x: &Tensor| {
            let x = x.reshape((self.kv_heads, 1, t, self.head_dim))?;
            x.repeat((1, group, 1, 1))?.reshape((self.heads, t, self.head_dim))
        };
        let (k, v) = (repeat(&k)?, repeat(&v)?);
        let mut scores = (q.matmul(&k.transpose(1, 2)?)? * self.scale)?;
        if let Some(cap) = self.score_cap {
            scores = ((scores / cap)?.tanh()? * cap)?;
        }
        let window = window.unwrap_or(usize::MAX);
        let mask: Vec<f32> = (0..t)
            .flat_map(|i| (0..t).map(move |j| if j <= i && i - j < window { 0.0 } else { f32::NEG_INFINITY }))
            .collect();
        let mask = Tensor::from_vec(mask, (1, t, t), x.device())?.to_dtype(x.dtype())?;
        let scores = scores.broadcast_add(&mask)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let out = weights.matmul(&v)?.transpose(0, 1)?.contiguous()?.reshape((t, qs))?;
        self.linear(w, &name("o_proj"), &out)
    }

    fn mlp(&self, w: &Weights, layer: usize, x: &Tensor) -> Result<Tensor> {
        let name = |part: &str| format!("model.layers.{layer}.mlp.{part}");
        let (gate, up) = if w.contains_key(&name("gate_up_proj.weight")) {
            let both = self.linear(w, &name("gate_up_proj"), x)?;
            let half = both.dim(1)? / 2;
            (both.narrow(1, 0, half)?, both.narrow(1, half, half)?)
        } else {
            (self.linear(w, &name("gate_proj"), x)?, self.linear(w, &name("up_proj"), x)?)
        };
        let gate = gate.contiguous()?;
        let gate = match self.act {
            "silu" => (&gate / ((gate.neg()?.exp()? + 1.0)?))?,
            "gelu" => gate.gelu_erf()?,
            _ => gate.gelu()?,
        };
        self.linear(w, &name("down_proj"), &(gate * up)?)
    }

    /// The logits of one sequence, `[T, vocab]`.
    pub fn logits(&self, w: &Weights, tokens: &[u32]) -> Result<Tensor> {
        let embed = w["model.embed_tokens.weight"].as_tensor();
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = (embed.index_select(&ids, 0)? * self.embed_scale)?;
        for layer in 0..self.layers.len() {
            let norm = |part: &str, x: &Tensor| {
                self.norm(w, &format!("model.layers.{layer}.{part}_layernorm.weight"), x)
            };
            let (h, m);
            match self.norms {
                "pre" => {
                    h = (&x + (self.attention(w, layer, &norm("input", &x)?)? * self.residual)?)?;
                    m = self.mlp(w, layer, &norm("post_attention", &h)?)?;
                }
                "both" => {
                    let a = self.attention(w, layer, &norm("input", &x)?)?;
                    h = (&x + norm("post_attention", &a)?)?;
                    m = norm("post_feedforward", &self.mlp(w, layer, &norm("pre_feedforward", &h)?)?)?;
                }
                _ => {
                    h = (&x + norm("post_attention", &self.attention(w, layer, &x)?)?)?;
                    m = norm("post_feedforward", &self.mlp(w, layer, &h)?)?;
                }
            }
            x = (h + (m * self.residual)?)?;
        }
        let x = self.norm(w, "model.norm.weight", &x)?;
        let head = w.get("lm_head.weight").map_or(embed, |v| v.as_tensor());
        let logits = (x.matmul(&head.t()?)? / self.logit_divisor)?;
        match self.logit_cap {
            Some(cap) => (logits / cap)?.tanh()? * cap,
            None => Ok(logits),
        }
    }

    /// The log-probabilities of the labels (negative labels: none).
    pub fn logp(&self, w: &Weights, tokens: &[u32], labels: &[i32]) -> Result<Tensor> {
        let logits = self.logits(w, tokens)?;
        let logp = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
        let rows: Vec<u32> = (0..labels.len() as u32).filter(|&i| labels[i as usize] >= 0).collect();
        let picked: Vec<u32> = rows.iter().map(|&i| labels[i as usize] as u32).collect();
        let logp = logp.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?;
        logp.gather(&Tensor::new(picked, &Device::Cpu)?.unsqueeze(1)?, 1)?.squeeze(1)
    }
}
