//! Stochastic gradient descent with momentum, as `torch.optim.SGD` computes it.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::cpu::{Rule, run};
use super::method::{ANY, Method, check_ranges};
use super::reference::decayed;
use super::step::{Now, Target};
use crate::{Error, Result};

/// `g ← g + weight_decay·w`; with momentum `b ← momentum·b + (1-dampening)·g` (`b ← g` at the first step),
/// `d = g + momentum·b` if nesterov, else `b`; without momentum `d = g`; `w ← w - lr·d`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Decay of the momentum buffer; 0 = none.
    pub momentum: f64,
    /// What a gradient loses when it enters the buffer, from the second step on.
    pub dampening: f64,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Method for Sgd {
    const NAME: &'static str = "sgd";
    const DOCS: &'static [(&'static str, &'static str)] = &[
        ("momentum", "the decay of the momentum"),
        ("dampening", "the fraction of a gradient that does not enter the momentum, from the second step on"),
        ("nesterov", "look ahead (Nesterov momentum)"),
        ("weight_decay", "an L2 penalty, added to the gradient"),
    ];

    fn check(&self) -> Result<()> {
        let Self { momentum, dampening, nesterov, weight_decay } = *self;
        check_ranges(Self::NAME, &[("momentum", momentum, 1.0), ("weight_decay", weight_decay, ANY)])?;
        if !(0.0..=1.0).contains(&dampening) {
            return Err(Error::argument(format!("sgd: dampening must be from 0 to 1, not {dampening}")));
        }
        if dampening != 0.0 && momentum == 0.0 {
            return Err(Error::argument(
                "sgd: dampening acts on the momentum, and there is none: set momentum above 0, or leave dampening out",
            ));
        }
        if nesterov && (momentum == 0.0 || dampening != 0.0) {
            return Err(Error::argument("sgd: nesterov needs a momentum above 0 and a dampening of 0"));
        }
        Ok(())
    }

    fn states(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &["momentum_buffer"] } else { &[] }
    }

    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        let step = Step {
            lr: now.lr as f32,
            decay: self.weight_decay as f32,
            keep: self.momentum as f32,
            add: self.entering(now.t) as f32,
            from_g: if self.nesterov { 1.0 } else { 0.0 },
            from_b: if self.nesterov { self.momentum as f32 } else { 1.0 },
        };
        match self.momentum > 0.0 {
            true => run::<_, 1>(&step, now, target, g, states),
            false => run::<_, 0>(&step, now, target, g, states),
        }
    }

    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let g = decayed(w, g, self.weight_decay)?;
        let Some(b) = states.first_mut() else { return Ok((w - (g * now.lr)?)?) };
        *b = ((&*b * self.momentum)? + (&g * self.entering(now.t))?)?;
        let d = if self.nesterov { (g + (&*b * self.momentum)?)? } else { b.clone() };
        Ok((w - (d * now.lr)?)?)
    }
}

impl Sgd {
    /// The fraction of a gradient that enters the buffer at step `t`.
    fn entering(&self, t: u64) -> f64 {
        if t == 1 { 1.0 } else { 1.0 - self.dampening }
    }
}

/// The constants of a step.
struct Step {
    lr: f32,
    decay: f32,
    /// What the buffer keeps, and what the gradient adds to it.
    keep: f32,
    add: f32,
    /// Weights of gradient and buffer in the step.
    from_g: f32,
    from_b: f32,
}

impl Rule<0> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, _: [f32; 0]) -> (f32, [f32; 0]) {
        (w - self.lr * (g + self.decay * w), [])
    }
}

impl Rule<1> for Step {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [b]: [f32; 1]) -> (f32, [f32; 1]) {
        let g = g + self.decay * w;
        let b = b * self.keep + g * self.add;
        (w - self.lr * (g * self.from_g + b * self.from_b), [b])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::follows;
    use super::*;

    #[test]
    fn every_path_follows_the_formula() {
        for settings in [
            Sgd { momentum: 0.0, weight_decay: 0.2, ..Sgd::default() },
            Sgd { dampening: 0.3, weight_decay: 0.2, ..Sgd::default() },
            Sgd { nesterov: true, ..Sgd::default() },
        ] {
            let Sgd { momentum, dampening, nesterov, weight_decay } = settings;
            follows(settings, |w, g, [b, _], lr, t| {
                let g = g + weight_decay * *w;
                *b = if t == 1.0 { g } else { momentum * *b + (1.0 - dampening) * g };
                *w -= lr * if nesterov { g + momentum * *b } else { *b };
            });
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let text = |sgd: Sgd| sgd.check().expect_err("is wrong").to_string();
        let nesterov = Sgd { nesterov: true, dampening: 0.1, ..Sgd::default() };
        assert!(text(nesterov).contains("dampening of 0"));
        assert!(text(Sgd { momentum: 0.0, nesterov: true, ..Sgd::default() }).contains("nesterov"));
        assert!(text(Sgd { momentum: 0.0, dampening: 0.1, ..Sgd::default() }).contains("there is none"));
        for dampening in [f64::NAN, -5.0, 1.5] {
            let told = text(Sgd { dampening, ..Sgd::default() });
            assert_eq!(told, format!("sgd: dampening must be from 0 to 1, not {dampening}"));
        }
    }
}
