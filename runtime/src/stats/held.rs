//! Statistics that were gathered or read from a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::model::{ParamSpec, Universe};
use crate::vectors::{Part, Values};
use crate::{Error, Result};

/// What statistics were gathered from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The fingerprint of the model's weights ([`crate::model::Params::fingerprint`]).
    pub model: String,
    /// A hash (BLAKE3, hexadecimal) of the tokens and labels of all sequences in order.
    pub data: String,
    /// Tokens, padding left out.
    pub tokens: u64,
    /// Sequences.
    pub sequences: u64,
}

/// Statistics of the linear layers of a model: for each kind, a tensor for each layer, by the index of its weight.
#[derive(Clone, Debug)]
pub struct Stats {
    universe: Arc<Universe>,
    tables: BTreeMap<Kind, Vec<Option<Tensor>>>,
    about: About,
}

impl Stats {
    /// Statistics of these tensors, one or none for each parameter in order.
    ///
    /// # Errors
    /// When a table has another length, or a tensor another shape ([`Kind::shape`]) or type than f32.
    pub fn new(
        universe: Arc<Universe>,
        tables: BTreeMap<Kind, Vec<Option<Tensor>>>,
        about: About,
    ) -> Result<Self> {
        for (&kind, table) in &tables {
            if table.len() != universe.len() {
                return Err(Error::argument(format!(
                    "statistics: {} tensors of {} for the {} parameters of the model",
                    table.len(),
                    kind.as_str(),
                    universe.len()
                )));
            }
            for (spec, tensor) in universe.specs().iter().zip(table) {
                let Some(tensor) = tensor else { continue };
                let shape = kind.shape(spec);
                if tensor.dims() != shape || tensor.dtype() != DType::F32 {
                    return Err(Error::argument(format!(
                        "statistics: {} of {} must be f32 of shape {shape:?}, and is {} of {:?}",
                        kind.as_str(),
                        spec.name,
                        tensor.dtype().as_str(),
                        tensor.dims()
                    )));
                }
            }
        }
        Ok(Self { universe, tables, about })
    }

    /// The same with Fisher information, dense over its parameters.
    pub fn with_fisher(mut self, fisher: &Values) -> Result<Self> {
        self.universe.check_same(fisher.universe())?;
        let dense = |part: &Option<Part>| {
            part.as_ref().map(|part| Ok(part.tensor().to_dtype(DType::F32)?)).transpose()
        };
        self.tables.insert(Kind::Fisher, fisher.parts().iter().map(dense).collect::<Result<_>>()?);
        Self::new(self.universe, self.tables, self.about)
    }

    /// The parameters of the model.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// What they were gathered from.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The kinds there are.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.tables.keys().copied()
    }

    /// The tensors of a kind: index and description of the weight, and the tensor.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (usize, &ParamSpec, &Tensor)> {
        let table = self.tables.get(&kind).into_iter().flatten();
        let specs = self.universe.specs().iter().enumerate();
        specs.zip(table).filter_map(|((i, spec), tensor)| tensor.as_ref().map(|tensor| (i, spec, tensor)))
    }

    /// The statistics of a kind of one layer.
    pub fn get(&self, kind: Kind, weight: usize) -> Option<&Tensor> {
        self.tables.get(&kind)?.get(weight)?.as_ref()
    }

    /// The indices of the weights of all layers that have statistics, of any kind but Fisher information, ascending; where
    /// that is the only kind, of its parameters.
    pub fn modules(&self) -> Vec<usize> {
        let alone = self.tables.len() == 1;
        let tables: Vec<_> =
            self.tables.iter().filter(|(kind, _)| alone || **kind != Kind::Fisher).map(|(_, t)| t).collect();
        (0..self.universe.len()).filter(|&i| tables.iter().any(|table| table[i].is_some())).collect()
    }

    /// The Fisher information, if it is among them.
    pub fn fisher(&self) -> Result<Option<Values>> {
        let table = self.tables.get(&Kind::Fisher);
        table.map(|table| Values::new(self.universe.clone(), table.clone())).transpose()
    }

    /// The bytes that they hold; tensors that layers share count once.
    pub fn bytes(&self) -> u64 {
        let mut seen = std::collections::HashSet::new();
        let tensors = self.tables.values().flatten().flatten().filter(|tensor| seen.insert(tensor.id()));
        tensors.map(|tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64).sum()
    }
}
