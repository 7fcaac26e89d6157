//! RMSprop, as `torch.optim.RMSprop` computes it (not centered).

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::cpu::{Rule, run};
use super::method::{ANY, Method, check_ranges};
use super::reference::decayed;
use super::step::{Now, Target};
use crate::Result;

/// `g ← g + weight_decay·w`; `v ← alpha·v + (1-alpha)·g²`; `d = g / (√v + eps)`;
/// with momentum `b ← momentum·b + d`, `w ← w - lr·b`, else `w ← w - lr·d`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Decay of the mean of squares.
    pub alpha: f64,
    /// Added after the square root.
    pub eps: f64,
    /// Decay of the momentum buffer; 0 = none.
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

impl Method for RmsProp {
    const NAME: &'static str = "rmsprop";
    const DOCS: &'static [(&'static str, &'static str)] = &[
        ("alpha", "the decay of the mean of squares"),
        ("eps", "added after the square root"),
        ("momentum", "the decay of the momentum"),
        ("weight_decay", "an L2 penalty, added to the gradient"),
    ];

    fn check(&self) -> Result<()> {
        let Self { alpha, eps, momentum, weight_decay } = *self;
        check_ranges(
            Self::NAME,
            &[
                ("alpha", alpha, 1.0),
                ("eps", eps, ANY),
                ("momentum", momentum, 1.0),
                ("weight_decay", weight_decay, ANY),
            ],
        )
    }

    fn states(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &["square_avg", "momentum_buffer"] } else { &["square_avg"] }
    }

    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        let step = Step {
            lr: now.lr as f32,
            alpha: self.alpha as f32,
            rest: (1.0 - self.alpha) as f32,
            eps: self.eps as f32,
            momentum: self.momentum as f32,
            decay: self.weight_decay as f32,
        };
        match self.momentum > 0.0 {
            true => run::<_, 2>(&step, now, target, g, states),
            false => run::<_, 1>(&step, now, target, g, states),
        }
    }

    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [v, rest @ ..] = states else { return Ok(w.clone()) };
        let g = decayed(w, g, self.weight_decay)?;
        *v = ((&*v * self.alpha)? + (g.sqr()? * (1.0 - self.alpha))?)?;
        let d = (g / (v.sqrt()? + self.eps)?)?;
        let Some(b) = rest.first_mut() else { return Ok((w - (d * now.lr)?)?) };
        *b = ((&*b * self.momentum)? + d)?;
        Ok((w - (&*b * now.lr)?)?)
    }
}

/// The constants of a step.
struct Step {
    lr: f32,
    alpha: f32,
    rest: f32,
    eps: f32,
    momentum: f32,
    decay: f32,
}

impl Rule<1> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [v]: [f32; 1]) -> (f32, [f32; 1]) {
        let g = g + self.decay * w;
        let v = v * self.alpha + self.rest * g * g;
        (w - self.lr * (g / (v.sqrt() + self.eps)), [v])
    }
}

impl Rule<2> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [v, b]: [f32; 2]) -> (f32, [f32; 2]) {
        let g = g + self.decay * w;
        let v = v * self.alpha + self.rest * g * g;
        let b = b * self.momentum + g / (v.sqrt() + self.eps);
        (w - self.lr * b, [v, b])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::follows;
    use super::*;

    #[test]
    fn every_path_follows_the_formula() {
        for settings in
            [RmsProp::default(), RmsProp { alpha: 0.9, eps: 1e-3, momentum: 0.8, weight_decay: 0.1 }]
        {
            let RmsProp { alpha, eps, momentum, weight_decay } = settings;
            follows(settings, |w, g, [v, b], lr, _| {
                let g = g + weight_decay * *w;
                *v = alpha * *v + (1.0 - alpha) * g * g;
                *b = momentum * *b + g / (v.sqrt() + eps);
                *w -= lr * *b;
            });
        }
    }
}
