//! AdamW, as `torch.optim.AdamW` computes it (Loshchilov & Hutter, arXiv 1711.05101).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::cpu::{Rule, run};
use super::method::{ANY, Method, check_ranges};
use super::step::{Now, Target};
use crate::Result;

/// `w ← w·(1 - lr·weight_decay)`; `m ← m + (1-beta1)·(g - m)`; `v ← beta2·v + (1-beta2)·g²`;
/// `w ← w - lr/(1-beta1ᵗ) · m / (√v/√(1-beta2ᵗ) + eps)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Decays of the two means.
    pub betas: [f64; 2],
    /// Added after the square root and its correction.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

impl Method for AdamW {
    const NAME: &'static str = "adamw";
    const DOCS: &'static [(&'static str, &'static str)] = &[
        ("betas", "the decays of the two means"),
        ("eps", "added after the square root"),
        ("weight_decay", "decoupled weight decay, of the trained entries alone"),
    ];

    fn check(&self) -> Result<()> {
        let Self { betas, eps, weight_decay } = *self;
        check_ranges(
            Self::NAME,
            &[
                ("the first of betas", betas[0], 1.0),
                ("the second of betas", betas[1], 1.0),
                ("eps", eps, ANY),
                ("weight_decay", weight_decay, ANY),
            ],
        )
    }

    fn states(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        let Now { lr, t, .. } = now;
        let [beta1, beta2] = self.betas;
        let step = Step {
            shrink: (1.0 - lr * self.weight_decay) as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            root: (1.0 - beta2.powf(t as f64)).sqrt() as f32,
            eps: self.eps as f32,
            size: (lr / (1.0 - beta1.powf(t as f64))) as f32,
        };
        run::<_, 2>(&step, now, target, g, states);
    }

    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m, v, ..] = states else { return Ok(w.clone()) };
        let Now { lr, t, .. } = now;
        let [beta1, beta2] = self.betas;
        *m = (&*m + ((g - &*m)? * (1.0 - beta1))?)?;
        *v = ((&*v * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
        let root = (1.0 - beta2.powf(t as f64)).sqrt();
        let size = lr / (1.0 - beta1.powf(t as f64));
        let d = (&*m / ((v.sqrt()? / root)? + self.eps)?)?;
        Ok(((w * (1.0 - lr * self.weight_decay))? - (d * size)?)?)
    }
}

/// The constants of a step.
struct Step {
    shrink: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    root: f32,
    eps: f32,
    size: f32,
}

impl Rule<2> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [m, v]: [f32; 2]) -> (f32, [f32; 2]) {
        let m = m + self.rest1 * (g - m);
        let v = v * self.beta2 + self.rest2 * g * g;
        (w * self.shrink - self.size * (m / (v.sqrt() / self.root + self.eps)), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::follows;
    use super::*;

    #[test]
    fn every_path_follows_the_formula() {
        for settings in [AdamW::default(), AdamW { betas: [0.8, 0.95], eps: 1e-4, weight_decay: 0.3 }] {
            let AdamW { betas: [b1, b2], eps, weight_decay } = settings;
            follows(settings, |w, g, [m, v], lr, t| {
                *w -= lr * weight_decay * *w;
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                let (m, v) = (*m / (1.0 - b1.powf(t)), *v / (1.0 - b2.powf(t)));
                *w -= lr * m / (v.sqrt() + eps);
            });
        }
    }
}
