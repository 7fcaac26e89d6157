//! The formulas, a handful of entries at a time so that the compiler turns them into vectors.

use super::{Now, Optimizer};

/// Entries worked on together.
pub(super) const LANES: usize = 16;

/// An optimizer with its settings of this step, over `N` numbers of state.
pub(super) trait Rule<const N: usize>: Sync {
    /// The next value of an entry and its state.
    fn entry(&self, w: f32, g: f32, state: [f32; N]) -> (f32, [f32; N]);
}

/// See [`Optimizer::RmsProp`]. The second state, if any, is the momentum buffer.
pub(super) struct RmsProp {
    lr: f32,
    alpha: f32,
    rest: f32,
    eps: f32,
    momentum: f32,
    decay: f32,
}

impl Rule<1> for RmsProp {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [v]: [f32; 1]) -> (f32, [f32; 1]) {
        let g = g + self.decay * w;
        let v = v * self.alpha + self.rest * g * g;
        (w - self.lr * (g / (v.sqrt() + self.eps)), [v])
    }
}

impl Rule<2> for RmsProp {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [v, b]: [f32; 2]) -> (f32, [f32; 2]) {
        let g = g + self.decay * w;
        let v = v * self.alpha + self.rest * g * g;
        let b = b * self.momentum + g / (v.sqrt() + self.eps);
        (w - self.lr * b, [v, b])
    }
}

/// See [`Optimizer::AdamW`].
pub(super) struct AdamW {
    shrink: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    root: f32,
    eps: f32,
    size: f32,
}

impl Rule<2> for AdamW {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [m, v]: [f32; 2]) -> (f32, [f32; 2]) {
        let m = m + self.rest1 * (g - m);
        let v = v * self.beta2 + self.rest2 * g * g;
        (w * self.shrink - self.size * (m / (v.sqrt() / self.root + self.eps)), [m, v])
    }
}

/// See [`Optimizer::Sgd`].
pub(super) struct Sgd {
    lr: f32,
    decay: f32,
    /// What the buffer keeps, and what the gradient adds to it.
    keep: f32,
    add: f32,
    /// Weights of gradient and buffer in the step.
    from_g: f32,
    from_b: f32,
}

impl Rule<0> for Sgd {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, _: [f32; 0]) -> (f32, [f32; 0]) {
        (w - self.lr * (g + self.decay * w), [])
    }
}

impl Rule<1> for Sgd {
    #[inline(always)]
    fn entry(&self, w: f32, g: f32, [b]: [f32; 1]) -> (f32, [f32; 1]) {
        let g = g + self.decay * w;
        let b = b * self.keep + g * self.add;
        (w - self.lr * (g * self.from_g + b * self.from_b), [b])
    }
}

/// See [`Optimizer::Lion`].
pub(super) struct Lion {
    lr: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    decay: f32,
}

impl Rule<1> for Lion {
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

/// The rule of an optimizer at a step.
pub(super) enum Made {
    /// One state.
    RmsProp(RmsProp),
    /// Two states.
    RmsPropMomentum(RmsProp),
    /// Two states.
    AdamW(AdamW),
    /// No state.
    Sgd(Sgd),
    /// One state.
    SgdMomentum(Sgd),
    /// One state.
    Lion(Lion),
}

impl Made {
    /// Settings of this step; every constant is computed in f64 and rounded once.
    pub(super) fn new(optimizer: &Optimizer, now: Now) -> Self {
        let Now { lr, t, .. } = now;
        match *optimizer {
            Optimizer::RmsProp { alpha, eps, momentum, weight_decay } => {
                let rule = RmsProp {
                    lr: lr as f32,
                    alpha: alpha as f32,
                    rest: (1.0 - alpha) as f32,
                    eps: eps as f32,
                    momentum: momentum as f32,
                    decay: weight_decay as f32,
                };
                if momentum > 0.0 { Self::RmsPropMomentum(rule) } else { Self::RmsProp(rule) }
            }
            Optimizer::AdamW { betas, eps, weight_decay } => Self::AdamW(AdamW {
                shrink: (1.0 - lr * weight_decay) as f32,
                rest1: (1.0 - betas.0) as f32,
                beta2: betas.1 as f32,
                rest2: (1.0 - betas.1) as f32,
                root: (1.0 - betas.1.powf(t as f64)).sqrt() as f32,
                eps: eps as f32,
                size: (lr / (1.0 - betas.0.powf(t as f64))) as f32,
            }),
            Optimizer::Sgd { momentum, dampening, nesterov, weight_decay } => {
                let rule = Sgd {
                    lr: lr as f32,
                    decay: weight_decay as f32,
                    keep: momentum as f32,
                    add: if t == 1 { 1.0 } else { (1.0 - dampening) as f32 },
                    from_g: if nesterov { 1.0 } else { 0.0 },
                    from_b: if nesterov { momentum as f32 } else { 1.0 },
                };
                if momentum > 0.0 { Self::SgdMomentum(rule) } else { Self::Sgd(rule) }
            }
            Optimizer::Lion { betas, weight_decay } => Self::Lion(Lion {
                lr: lr as f32,
                beta1: betas.0 as f32,
                rest1: (1.0 - betas.0) as f32,
                beta2: betas.1 as f32,
                rest2: (1.0 - betas.1) as f32,
                decay: weight_decay as f32,
            }),
        }
    }
}
