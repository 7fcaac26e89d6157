//! Optimizers: the formulas of their sources, over any flat list of trainable entries.
//!
//! An optimizer knows nothing of masks. It is given the entries that may change, their gradients and as many numbers of
//! state for each, so weight decay cannot touch a frozen entry and the state is as small as the mask.
//!
//! Each optimizer is one file: its settings with their defaults and documentation, the names of its state, its formula
//! for the CPU and its formula in candle's operations. A new one needs that file and a line in [`ALL`]; scripts, checkpoints
//! and documentation follow from it.

mod adamw;
mod cpu;
mod lion;
mod method;
mod reference;
mod rmsprop;
mod sgd;
mod step;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Error, Result};

pub use adamw::AdamW;
pub use lion::Lion;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

pub(super) use method::Method;
pub(super) use step::{Now, Target};

/// The optimizers there are, in the order they are listed in.
const ALL: &[Kind] = &[Kind::of::<RmsProp>(), Kind::of::<AdamW>(), Kind::of::<Sgd>(), Kind::of::<Lion>()];

/// An optimizer that can be chosen by name.
struct Kind {
    name: &'static str,
    docs: &'static [(&'static str, &'static str)],
    read: fn(Map<String, Value>) -> Result<Optimizer>,
}

impl Kind {
    const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            docs: M::DOCS,
            read: |settings| {
                let read = serde_json::from_value::<M>(Value::Object(settings));
                read.map(Optimizer::from).map_err(|e| Error::argument(format!("{}: {e}", M::NAME)))
            },
        }
    }

    fn named(name: &str) -> Result<&'static Self> {
        ALL.iter().find(|kind| kind.name == name).ok_or_else(|| {
            let known: Vec<&str> = Optimizer::names().collect();
            Error::argument(format!("unknown optimizer `{name}`; known: {}", known.join(", ")))
        })
    }
}

/// One setting of an optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Its value: a number, a truth value, or a list of numbers.
    pub value: Value,
}

/// An optimizer and its settings.
#[derive(Clone, Debug)]
pub struct Optimizer(Arc<dyn method::AnyMethod>);

impl Optimizer {
    /// The names of all optimizers.
    pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
        ALL.iter().map(|kind| kind.name)
    }

    /// The optimizer of a name, with its source's default settings (for SGD: momentum 0.9).
    pub fn named(name: &str) -> Result<Self> {
        Self::with(name, Map::new())
    }

    /// The optimizer of a name, with these settings and the defaults of the others. An error names a setting that it does
    /// not have, or one that is out of range.
    pub fn with(name: &str, settings: Map<String, Value>) -> Result<Self> {
        let kind = Kind::named(name)?;
        if let Some(unknown) = settings.keys().find(|key| kind.docs.iter().all(|(name, _)| name != key)) {
            let known: Vec<&str> = kind.docs.iter().map(|(name, _)| *name).collect();
            return Err(Error::argument(format!(
                "'{unknown}' does not belong to {name}, which has {}",
                known.join(", ")
            )));
        }
        let optimizer = (kind.read)(settings)?;
        optimizer.check()?;
        Ok(optimizer)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Its settings, in the order of its documentation.
    pub fn settings(&self) -> Vec<Setting> {
        let json = self.0.json();
        let value = |name: &str| json.get(name).cloned().unwrap_or_default();
        self.0.docs().iter().map(|&(name, doc)| Setting { name, doc, value: value(name) }).collect()
    }

    /// The names of the numbers that it keeps for each entry.
    pub fn states(&self) -> &'static [&'static str] {
        self.0.states()
    }

    /// An error that names the setting which is out of range.
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// Updates the entries of `target` in place with their gradients `g`, in the order of its index.
    pub(super) fn update(&self, now: Now, target: Target<'_>, g: &[f32], states: &mut [Vec<f32>]) {
        self.0.update(now, target, g, states);
    }

    /// The next values of the flat entries `w` with gradients `g`, in candle's operations; `states` are replaced.
    pub(super) fn updated(
        &self,
        now: Now,
        w: &candle_core::Tensor,
        g: &candle_core::Tensor,
        states: &mut [candle_core::Tensor],
    ) -> Result<candle_core::Tensor> {
        if states.len() != self.states().len() {
            return Err(Error::argument(format!("{} was not given its state", self.name())));
        }
        let g = if now.scale == 1.0 { g.clone() } else { (g * now.scale)? };
        self.0.updated(now, w, &g, states)
    }
}

impl<M: Method> From<M> for Optimizer {
    fn from(method: M) -> Self {
        Self(Arc::new(method))
    }
}

impl PartialEq for Optimizer {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.0.json() == other.0.json()
    }
}

impl Serialize for Optimizer {
    /// A map of its name and its settings.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = Map::new();
        json.insert("name".to_string(), self.name().into());
        json.extend(self.0.json());
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Optimizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = Map::<String, Value>::deserialize(deserializer)?;
        let Some(Value::String(name)) = json.remove("name") else {
            return Err(serde::de::Error::missing_field("name"));
        };
        Self::with(&name, json).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
