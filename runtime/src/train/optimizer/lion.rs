//! Lion: algorithm 2 of Chen et al. (arXiv 2302.06675).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::cpu::{Rule, run};
use super::method::{ANY, Method, check_ranges};
use super::step::{Now, Target};
use crate::Result;

/// `c = beta1·m + (1-beta1)·g`; `w ← w - lr·(sign(c) + weight_decay·w)`; `m ← beta2·m + (1-beta2)·g`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Weight of the past in the step, and decay of the mean.
    pub betas: [f64; 2],
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

impl Method for Lion {
    const NAME: &'static str = "lion";
    const DOCS: &'static [(&'static str, &'static str)] = &[
        ("betas", "the weight of the past in a step, and the decay of the mean"),
        ("weight_decay", "decoupled weight decay, of the trained entries alone"),
    ];

    fn check(&self) -> Result<()> {
        let Self { betas, weight_decay } = *self;
        check_ranges(
            Self::NAME,
            &[
                ("the first of betas", betas[0], 1.0),
                ("the second of betas", betas[1], 1.0),
                ("weight_decay", weight_decay, ANY),
            ],
        )
    }

    fn states(&self) -> &'static [&'static str] {
        &["exp_avg"]
    }

    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        let [beta1, beta2] = self.betas;
        let step = Step {
            lr: now.lr as f32,
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            decay: self.weight_decay as f32,
        };
        run::<_, 1>(&step, now, target, g, states);
    }

    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let Some(m) = states.first_mut() else { return Ok(w.clone()) };
        let [beta1, beta2] = self.betas;
        let c = ((&*m * beta1)? + (g * (1.0 - beta1))?)?;
        *m = ((&*m * beta2)? + (g * (1.0 - beta2))?)?;
        Ok((w - ((c.sign()? + (w * self.weight_decay)?)? * now.lr)?)?)
    }
}

/// The constants of a step.
struct Step {
    lr: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    decay: f32,
}

impl Rule<1> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [m]: [f32; 1]) -> (f32, [f32; 1]) {
        let c = m * self.beta1 + g * self.rest1;
        let sign = if c > 0.0 {
            1.0
        } else if c < 0.0 {
            -1.0
        } else {
            c
        };
        (w - self.lr * (sign + self.decay * w), [m * self.beta2 + g * self.rest2])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::follows;
    use super::*;

    #[test]
    fn every_path_follows_the_formula() {
        let settings = Lion { betas: [0.9, 0.99], weight_decay: 0.1 };
        let Lion { betas: [b1, b2], weight_decay } = settings;
        follows(settings, |w, g, [m, _], lr, _| {
            let c = b1 * *m + (1.0 - b1) * g;
            let sign = if c == 0.0 { 0.0 } else { c.signum() };
            *w -= lr * (sign + weight_decay * *w);
            *m = b2 * *m + (1.0 - b2) * g;
        });
    }
}
