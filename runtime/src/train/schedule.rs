//! How the learning rate changes from step to step.

use crate::{Error, Result};

/// The factor of a step, given how many came before it and the total number of steps.
pub type Factor = Box<dyn FnMut(u64, Option<u64>) -> Result<f64> + Send>;

/// The shape of the learning rate after warm-up.
#[derive(Default)]
pub enum Schedule {
    /// Always the full rate.
    #[default]
    Constant,
    /// Falls in a line from 1 after warm-up to 0 just after the last step.
    Linear,
    /// Falls along half a cosine from 1 after warm-up to 0 just after the last step.
    Cosine,
    /// Whatever a callback says; warm-up still applies.
    Custom(Factor),
}

impl Schedule {
    /// The names scripts use.
    pub const NAMES: [&str; 3] = ["constant", "linear", "cosine"];

    /// The schedule of a name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            "cosine" => Ok(Self::Cosine),
            other => {
                let known = Self::NAMES.join(", ");
                Err(Error::argument(format!("unknown schedule `{other}`; known: {known}, or a function")))
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Custom(_) => "custom",
        }
    }

    /// An error if the schedule needs a total number of steps and has none, or the warm-up does not
    /// fit into it.
    pub fn check(&self, warmup: u64, total: Option<u64>) -> Result<()> {
        match total {
            Some(0) => Err(Error::argument("a training of 0 steps trains nothing: steps must be at least 1")),
            None if matches!(self, Self::Linear | Self::Cosine) => Err(Error::argument(format!(
                "the {} schedule must know how many steps there will be: give steps",
                self.name()
            ))),
            Some(total) if warmup > total => {
                Err(Error::argument(format!("warmup ({warmup}) is longer than the training ({total} steps)")))
            }
            _ => Ok(()),
        }
    }

    /// An error if a training of `steps` steps goes on where the schedule has ended at a rate of 0.
    pub fn check_end(&self, total: Option<u64>, steps: u64) -> Result<()> {
        match total {
            Some(total) if steps > total && matches!(self, Self::Linear | Self::Cosine) => {
                Err(Error::argument(format!(
                    "the {} schedule ends after {total} steps, and {steps} are to be taken: the others would have a rate of 0. \
                     Make the trainer for {steps} steps",
                    self.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// The factor of the step after `step` others.
    ///
    /// In warm-up it is `(step + 1) / (warmup + 1)`: no step is wasted at 0, and the first one
    /// after warm-up has 1. From there, with `p = (step - warmup) / (total - warmup)`, linear is
    /// `1 - p` and cosine `(1 + cos πp) / 2` (the decays of Hugging Face's `get_*_schedule_with_warmup`).
    /// Past the total, both stay at 0.
    pub fn factor(&mut self, step: u64, warmup: u64, total: Option<u64>) -> Result<f64> {
        let rise = if step < warmup { (step + 1) as f64 / (warmup + 1) as f64 } else { 1.0 };
        let progress = match total {
            Some(total) if total > warmup && step >= warmup => {
                ((step - warmup) as f64 / (total - warmup) as f64).min(1.0)
            }
            Some(total) if step >= total => 1.0,
            _ => 0.0,
        };
        let factor = match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Custom(factor) => factor(step, total)?,
        };
        if !factor.is_finite() || factor < 0.0 {
            return Err(Error::argument(format!(
                "the schedule gave {factor} for step {}; a factor must be at least 0",
                step + 1
            )));
        }
        Ok(rise * factor)
    }
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
