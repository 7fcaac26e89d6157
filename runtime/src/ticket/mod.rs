//! Tickets: a mask with the values of its entries, and where they came from. The unit that is
//! stored, shared, applied to its base model, taken off it again and merged.

mod codec;
mod file;
mod form;
mod from;
mod layout;
mod stack;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::mask::Mask;
use crate::model::Params;
use crate::ops::{Exec, scatter};
use crate::vectors::{Part, Values};
use crate::{Error, Result};

pub use codec::{Codec, ValueType, entropy_bound};
pub use file::{Saved, TicketFile};
pub use form::Form;
pub(crate) use from::named;
pub use from::{FileDelta, FromOptions};
pub use stack::{Applied, Stack};

/// Where a ticket came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The fingerprint of the model it was trained on, and must be applied to.
    pub base: String,
    /// The method that made it, `lota` for example.
    pub method: String,
    /// The method's settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The seed of the run.
    pub seed: Option<u64>,
    /// A fingerprint of the data it was trained on.
    pub data: Option<String>,
    /// The version of lota that made it.
    pub lota: String,
}

impl Meta {
    /// The provenance of a ticket made now, by this version, on the base with this fingerprint.
    pub fn new(base: impl Into<String>, method: impl Into<String>) -> Self {
        let lota = env!("CARGO_PKG_VERSION").to_string();
        Self { base: base.into(), method: method.into(), lota, ..Self::default() }
    }
}

/// A mask, a value for each of its entries, and their provenance.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    mask: Mask,
    /// By parameter, in the order of the entries; empty where the mask is.
    values: Vec<Vec<f32>>,
    meta: Meta,
}

impl Ticket {
    /// A ticket of these values: for each parameter as many as the mask has entries in it, in
    /// rising order of the entries.
    pub fn new(mask: Mask, values: Vec<Vec<f32>>, meta: Meta) -> Result<Self> {
        if values.len() != mask.universe().len() {
            return Err(Error::argument(format!(
                "a ticket of this model needs {} lists of values, one for each parameter, and got {}",
                mask.universe().len(),
                values.len()
            )));
        }
        for ((spec, set), values) in mask.universe().specs().iter().zip(mask.sets()).zip(&values) {
            if set.len() != values.len() as u64 {
                return Err(Error::argument(format!(
                    "parameter {} has {} entries in the mask and {} values",
                    spec.name,
                    set.len(),
                    values.len()
                )));
            }
        }
        Ok(Self { mask, values, meta })
    }

    /// The values that a model has at the entries of a mask.
    pub fn extract(exec: &Exec, params: &Params, mask: &Mask, meta: Meta) -> Result<Self> {
        params.universe().check_same(mask.universe())?;
        let mut values = vec![Vec::new(); mask.universe().len()];
        for (i, ..) in mask.selected() {
            values[i] = scatter::gather(exec, params.get(i), &mask.index(i)?)?.to_vec1()?;
        }
        Ok(Self { mask: mask.clone(), values, meta })
    }

    /// A ticket that sets these values. They are absolute: what the weights become, not differences.
    pub fn of_values(values: &Values, meta: Meta) -> Result<Self> {
        let mut lists = vec![Vec::new(); values.universe().len()];
        for (i, _, part) in values.present() {
            lists[i] = part.tensor().flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        }
        Self::new(values.entries(), lists, meta)
    }

    /// The values that it sets, on a device.
    pub fn to_values(&self, device: &Device) -> Result<Values> {
        let universe = self.mask.universe();
        let mut parts = vec![None; universe.len()];
        for (i, spec, set) in self.mask.selected() {
            let values = Tensor::from_slice(&self.values[i], self.values[i].len(), device)?;
            parts[i] = Some(if set.len() == spec.entries() {
                Part::Dense(values.reshape(spec.shape.as_slice())?)
            } else {
                Part::At(Arc::new(self.mask.index(i)?), values)
            });
        }
        Values::of_parts(universe.clone(), parts)
    }

    /// The entries it sets.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The values of the parameter at an index, in rising order of its entries.
    ///
    /// # Panics
    /// When `index` is not below the number of parameters.
    pub fn values(&self, index: usize) -> &[f32] {
        &self.values[index]
    }

    /// Where it came from.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The number of entries it sets.
    pub fn entries(&self) -> u64 {
        self.mask.count()
    }

    /// An error unless it belongs to a model of these parameters, and to the base with this
    /// fingerprint.
    pub fn check(&self, params: &Params, fingerprint: &str) -> Result<()> {
        params.universe().check_same(self.mask.universe())?;
        if self.meta.base == fingerprint {
            return Ok(());
        }
        Err(Error::mismatch(format!(
            "the ticket was made on another base: the fingerprint of that model is {}, and that of this one is {}",
            short(&self.meta.base),
            short(fingerprint)
        )))
    }
}

/// The beginning of a fingerprint, enough to tell it from others.
fn short(fingerprint: &str) -> String {
    if fingerprint.is_empty() { "not known".to_string() } else { fingerprint.chars().take(16).collect() }
}

#[cfg(test)]
mod tests;
