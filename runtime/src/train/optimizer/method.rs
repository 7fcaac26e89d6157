//! What an optimizer is made of.

use std::fmt::Debug;

use candle_core::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::step::{Now, Target};
use crate::{Error, Result};

/// An optimizer with its settings, which are the fields of the type. In the formulas of the implementations `w` is an
/// entry, `g` its gradient, `lr` the step size, `t` the number of the step from 1; states begin at 0. All sums are carried out
/// in f32, in the order written.
///
/// The type's `Default` has the default settings of its source; deserializing takes them for what is not given.
pub trait Method: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in scripts and files.
    const NAME: &'static str;

    /// Name and documentation of each setting, one line each.
    const DOCS: &'static [(&'static str, &'static str)];

    /// An error that names the setting which is out of range.
    fn check(&self) -> Result<()>;

    /// The names of the numbers kept for each entry, in the words of PyTorch where it has the optimizer.
    fn states(&self) -> &'static [&'static str];

    /// One step on the CPU, in place: [`super::cpu::run`] with a rule for one entry. Constants of a step are computed in f64
    /// and rounded once.
    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]);

    /// The same step in candle's operations, for any device. `g` is scaled already.
    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor>;
}

/// [`Method`] without its type.
pub(super) trait AnyMethod: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn docs(&self) -> &'static [(&'static str, &'static str)];
    fn json(&self) -> Map<String, Value>;
    fn check(&self) -> Result<()>;
    fn states(&self) -> &'static [&'static str];
    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]);
    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor>;
}

impl<M: Method> AnyMethod for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn docs(&self) -> &'static [(&'static str, &'static str)] {
        M::DOCS
    }

    fn json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    fn check(&self) -> Result<()> {
        Method::check(self)
    }

    fn states(&self) -> &'static [&'static str] {
        Method::states(self)
    }

    fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        Method::update(self, now, target, g, states);
    }

    fn updated(&self, now: Now, w: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        Method::updated(self, now, w, g, states)
    }
}

/// An error unless each setting is a number that is at least 0 and below its limit.
pub(super) fn check_ranges(name: &str, settings: &[(&str, f64, f64)]) -> Result<()> {
    for &(setting, value, below) in settings {
        if !(value >= 0.0 && value < below) {
            let limit = if below.is_finite() { format!(" and below {below}") } else { String::new() };
            return Err(Error::argument(format!("{name}: {setting} must be at least 0{limit}, not {value}")));
        }
    }
    Ok(())
}

/// No upper limit.
pub(super) const ANY: f64 = f64::INFINITY;
