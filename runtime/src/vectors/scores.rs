//! Numbers for each entry that are held as tensors.

use std::sync::Arc;

use candle_core::Tensor;

use super::Source;
use super::piece::{checked, read_tensor};
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

/// Scores held as tensors of the parameters' shapes, on any device and of any floating type.
#[derive(Clone, Debug)]
pub struct Scores {
    universe: Arc<Universe>,
    values: Vec<Option<Tensor>>,
}

impl Scores {
    /// Scores of these tensors, one for each parameter in order; `None` is not scored.
    pub fn new(universe: Arc<Universe>, values: Vec<Option<Tensor>>) -> Result<Self> {
        let values = checked(&universe, values, "scores")?;
        Ok(Self { universe, values })
    }

    /// Scores made by calling `score` once for each parameter.
    pub fn from_fn(
        universe: Arc<Universe>,
        mut score: impl FnMut(usize, &ParamSpec) -> Result<Option<Tensor>>,
    ) -> Result<Self> {
        let values =
            universe.specs().iter().enumerate().map(|(i, spec)| score(i, spec)).collect::<Result<_>>()?;
        Self::new(universe, values)
    }

    /// The scores of the parameter at `index`, if it has any.
    pub fn get(&self, index: usize) -> Option<&Tensor> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// The scores of all parameters, in order.
    pub fn values(&self) -> &[Option<Tensor>] {
        &self.values
    }

    /// New scores made from the tensor of each scored parameter.
    pub fn map(&self, mut f: impl FnMut(&ParamSpec, &Tensor) -> Result<Tensor>) -> Result<Self> {
        Self::from_fn(self.universe.clone(), |i, spec| self.get(i).map(|t| f(spec, t)).transpose())
    }

    /// New scores made from the two tensors of each parameter. A parameter that is scored in only one of the two is an
    /// error.
    pub fn zip(
        &self,
        other: &Self,
        mut f: impl FnMut(&ParamSpec, &Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        self.universe.check_same(&other.universe)?;
        Self::from_fn(self.universe.clone(), |i, spec| match (self.get(i), other.get(i)) {
            (Some(a), Some(b)) => f(spec, a, b).map(Some),
            (None, None) => Ok(None),
            _ => Err(Error::argument(format!("parameter {} is scored in only one of the two", spec.name))),
        })
    }
}

impl Source for Scores {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn scored(&self, param: usize) -> bool {
        self.values[param].is_some()
    }

    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        match &self.values[param] {
            Some(tensor) => read_tensor(tensor, start, len, visit),
            None => Ok(()),
        }
    }
}
