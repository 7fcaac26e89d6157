//! Optimizers: the formulas of their sources, over any flat list of trainable entries.
//!
//! An optimizer knows nothing of masks. It is given the entries that may change, their gradients
//! and as many numbers of state for each, so weight decay cannot touch a frozen entry and the state
//! is as small as the mask.

mod cpu;
mod reference;
mod rule;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub(super) use cpu::{Target, update};
pub(super) use reference::updated;

/// An optimizer and its settings. `w` is an entry, `g` its gradient, `lr` the step size, `t` the
/// number of the step from 1; states begin at 0. All sums are carried out in f32, in the order
/// written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimizer {
    /// RMSprop as `torch.optim.RMSprop` computes it (not centered):
    ///
    /// `g ← g + weight_decay·w`; `v ← alpha·v + (1-alpha)·g²`; `d = g / (√v + eps)`;
    /// with momentum `b ← momentum·b + d`, `w ← w - lr·b`, else `w ← w - lr·d`.
    RmsProp {
        /// Decay of the mean of squares.
        alpha: f64,
        /// Added after the square root.
        eps: f64,
        /// Decay of the momentum buffer; 0 = none.
        momentum: f64,
        /// L2 penalty, added to the gradient.
        weight_decay: f64,
    },
    /// AdamW as `torch.optim.AdamW` computes it (Loshchilov & Hutter, arXiv 1711.05101):
    ///
    /// `w ← w·(1 - lr·weight_decay)`; `m ← m + (1-beta1)·(g - m)`; `v ← beta2·v + (1-beta2)·g²`;
    /// `w ← w - lr/(1-beta1ᵗ) · m / (√v/√(1-beta2ᵗ) + eps)`.
    AdamW {
        /// Decays of the two means.
        betas: (f64, f64),
        /// Added after the square root and its correction.
        eps: f64,
        /// Decoupled weight decay.
        weight_decay: f64,
    },
    /// SGD with momentum as `torch.optim.SGD` computes it:
    ///
    /// `g ← g + weight_decay·w`; with momentum `b ← momentum·b + (1-dampening)·g` (`b ← g` at the
    /// first step), `d = g + momentum·b` if nesterov, else `b`; without momentum `d = g`;
    /// `w ← w - lr·d`.
    Sgd {
        /// Decay of the momentum buffer; 0 = none.
        momentum: f64,
        /// What the gradient loses when it enters the buffer.
        dampening: f64,
        /// Whether to look ahead.
        nesterov: bool,
        /// L2 penalty, added to the gradient.
        weight_decay: f64,
    },
    /// Lion, algorithm 2 of Chen et al. (arXiv 2302.06675):
    ///
    /// `c = beta1·m + (1-beta1)·g`; `w ← w - lr·(sign(c) + weight_decay·w)`;
    /// `m ← beta2·m + (1-beta2)·g`.
    Lion {
        /// Weight of the past in the step, and decay of the mean.
        betas: (f64, f64),
        /// Decoupled weight decay.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The names scripts use.
    pub const NAMES: [&str; 4] = ["rmsprop", "adamw", "sgd", "lion"];

    /// The optimizer of a name, with its source's default settings (for SGD: momentum 0.9).
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "rmsprop" => Self::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0, weight_decay: 0.0 },
            "adamw" => Self::AdamW { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01 },
            "sgd" => Self::Sgd { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 0.0 },
            "lion" => Self::Lion { betas: (0.9, 0.99), weight_decay: 0.0 },
            other => {
                let known = Self::NAMES.join(", ");
                return Err(Error::argument(format!("unknown optimizer `{other}`; known: {known}")));
            }
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RmsProp { .. } => "rmsprop",
            Self::AdamW { .. } => "adamw",
            Self::Sgd { .. } => "sgd",
            Self::Lion { .. } => "lion",
        }
    }

    /// Numbers of state it keeps for each entry.
    pub fn states(&self) -> usize {
        match *self {
            Self::RmsProp { momentum, .. } => 1 + usize::from(momentum > 0.0),
            Self::AdamW { .. } => 2,
            Self::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Self::Lion { .. } => 1,
        }
    }

    /// An error that names the setting which is out of range.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, below: f64| {
            if value >= 0.0 && value < below {
                return Ok(());
            }
            let limit = if below.is_finite() { format!(" and below {below}") } else { String::new() };
            Err(Error::argument(format!("{}: {name} must be at least 0{limit}, not {value}", self.name())))
        };
        let any = f64::INFINITY;
        match *self {
            Self::RmsProp { alpha, eps, momentum, weight_decay } => {
                within("alpha", alpha, 1.0)?;
                within("eps", eps, any)?;
                within("momentum", momentum, any)?;
                within("weight_decay", weight_decay, any)
            }
            Self::AdamW { betas, eps, weight_decay } => {
                within("betas[1]", betas.0, 1.0)?;
                within("betas[2]", betas.1, 1.0)?;
                within("eps", eps, any)?;
                within("weight_decay", weight_decay, any)
            }
            Self::Sgd { momentum, dampening, nesterov, weight_decay } => {
                within("momentum", momentum, any)?;
                within("weight_decay", weight_decay, any)?;
                if nesterov && (momentum <= 0.0 || dampening != 0.0) {
                    return Err(Error::argument(
                        "sgd: nesterov needs a momentum above 0 and a dampening of 0",
                    ));
                }
                if !dampening.is_finite() {
                    return Err(Error::argument("sgd: dampening must be finite"));
                }
                Ok(())
            }
            Self::Lion { betas, weight_decay } => {
                within("betas[1]", betas.0, 1.0)?;
                within("betas[2]", betas.1, 1.0)?;
                within("weight_decay", weight_decay, any)
            }
        }
    }
}

/// What changes from step to step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The step size.
    pub lr: f64,
    /// The number of this step, from 1.
    pub t: u64,
    /// What gradients are multiplied by first (clipping).
    pub scale: f64,
}

#[cfg(test)]
mod tests;
