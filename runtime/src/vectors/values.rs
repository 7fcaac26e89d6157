//! A number for each chosen entry of a model: scores, gradients, weights, Fisher information, moments, task vectors.
//!
//! Of each parameter the values are dense, a tensor of its shape, or those of some entries alone, and then as short as
//! the list of these entries. What a mask trains has its gradients, weights and moments in the second form, so that all
//! arithmetic of a method over a mask costs what the mask has.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::Source;
use super::piece::{checked_tensor, read_tensor};
use crate::model::{ParamSpec, Universe};
use crate::ops::SparseIndex;
use crate::{Error, Result};

/// The values of one parameter.
#[derive(Clone, Debug)]
pub enum Part {
    /// One for each entry, in the parameter's shape, of any floating type.
    Dense(Tensor),
    /// One for each entry of the index, in its order: f32 `[nnz]`.
    At(Arc<SparseIndex>, Tensor),
}

impl Part {
    /// The numbers, in the parameter's shape or as `[nnz]`.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Self::Dense(tensor) | Self::At(_, tensor) => tensor,
        }
    }

    /// The entries they belong to; `None` if all.
    pub fn index(&self) -> Option<&Arc<SparseIndex>> {
        match self {
            Self::Dense(_) => None,
            Self::At(index, _) => Some(index),
        }
    }

    /// Other numbers for the same entries.
    pub fn with(&self, tensor: Tensor) -> Self {
        match self {
            Self::Dense(_) => Self::Dense(tensor),
            Self::At(index, _) => Self::At(index.clone(), tensor),
        }
    }

    /// Whether both are of the same entries.
    pub fn same_entries(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(_), Self::Dense(_)) => true,
            (Self::At(a, _), Self::At(b, _)) => a.same_entries(b),
            _ => false,
        }
    }
}

/// A number for each chosen entry of a model, dense over some parameters or over some entries of them.
#[derive(Clone, Debug)]
pub struct Values {
    universe: Arc<Universe>,
    parts: Vec<Option<Part>>,
}

impl Values {
    /// Dense values: a tensor for each parameter in order, of its shape; `None` has no values.
    pub fn new(universe: Arc<Universe>, values: Vec<Option<Tensor>>) -> Result<Self> {
        let parts = values.into_iter().map(|tensor| tensor.map(Part::Dense)).collect();
        Self::of_parts(universe, parts)
    }

    /// Values of these parts, one for each parameter in order; `None` has no values.
    ///
    /// # Errors
    /// When the number of parts, a shape, an index or a type does not fit.
    pub fn of_parts(universe: Arc<Universe>, parts: Vec<Option<Part>>) -> Result<Self> {
        if parts.len() != universe.len() {
            return Err(Error::argument(format!(
                "values: the model has {} parameters, and {} were given",
                universe.len(),
                parts.len()
            )));
        }
        let check =
            |(spec, part): (&ParamSpec, Option<Part>)| part.map(|p| checked_part(spec, p)).transpose();
        let parts = universe.specs().iter().zip(parts).map(check).collect::<Result<_>>()?;
        Ok(Self { universe, parts })
    }

    /// Dense values made by calling `make` once for each parameter.
    pub fn from_fn(
        universe: Arc<Universe>,
        mut make: impl FnMut(usize, &ParamSpec) -> Result<Option<Tensor>>,
    ) -> Result<Self> {
        let values =
            universe.specs().iter().enumerate().map(|(i, spec)| make(i, spec)).collect::<Result<_>>()?;
        Self::new(universe, values)
    }

    /// The parameters they are about.
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The values of the parameter at `index`, if it has any.
    pub fn part(&self, index: usize) -> Option<&Part> {
        self.parts.get(index).and_then(Option::as_ref)
    }

    /// The values of all parameters, in order.
    pub fn parts(&self) -> &[Option<Part>] {
        &self.parts
    }

    /// Parameters that have values: index, description and values.
    pub fn present(&self) -> impl Iterator<Item = (usize, &ParamSpec, &Part)> {
        let specs = self.universe.specs().iter();
        specs.zip(&self.parts).enumerate().filter_map(|(i, (spec, part))| part.as_ref().map(|p| (i, spec, p)))
    }

    /// The values of the parameter at `index` in its shape, with 0 at the entries that have none; `None` if it has no
    /// values at all.
    pub fn dense(&self, index: usize) -> Result<Option<Tensor>> {
        let Some(part) = self.part(index) else { return Ok(None) };
        let Part::At(entries, values) = part else { return Ok(Some(part.tensor().clone())) };
        let device = values.device();
        let flat = Tensor::zeros(self.universe.spec(index).entries() as usize, DType::F32, device)?;
        if entries.nnz() > 0 {
            flat.scatter_set(&entries.flat(device)?, values, 0)?;
        }
        Ok(Some(flat.reshape(self.universe.spec(index).shape.as_slice())?))
    }

    /// How many entries have a number.
    pub fn count(&self) -> u64 {
        self.parts.iter().flatten().map(|part| part.tensor().elem_count() as u64).sum()
    }

    /// The bytes that they hold.
    pub fn bytes(&self) -> u64 {
        let tensor = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        let index = |p: &Part| p.index().map_or(0, |index| index.bytes());
        self.parts.iter().flatten().map(|p| (tensor(p.tensor()) + index(p)) as u64).sum()
    }

    /// Whether all are dense over their parameters.
    pub fn is_dense(&self) -> bool {
        self.parts.iter().flatten().all(|part| part.index().is_none())
    }
}

impl Source for Values {
    fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    fn has(&self, param: usize) -> bool {
        self.parts[param].is_some()
    }

    /// Entries without a number read as 0.
    fn read(&self, param: usize, start: usize, len: usize, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        let (index, values) = match &self.parts[param] {
            None => return Ok(()),
            Some(Part::Dense(tensor)) => return read_tensor(tensor, start, len, visit),
            Some(Part::At(index, values)) => (index, values),
        };
        let (first, last) = index.between(start, start + len);
        let mut piece = vec![0.0; len];
        let mut places = index.positions(first..last);
        read_tensor(values, first, last - first, &mut |values| {
            for (value, at) in values.iter().zip(&mut places) {
                piece[at as usize - start] = *value;
            }
        })?;
        visit(&piece);
        Ok(())
    }
}

/// The values of a parameter, contiguous and constant, once their shape and type are found right.
fn checked_part(spec: &ParamSpec, part: Part) -> Result<Part> {
    match part {
        Part::Dense(tensor) => Ok(Part::Dense(checked_tensor(spec, &spec.shape, &tensor, "values")?)),
        Part::At(index, tensor) => {
            index.check(&format!("values of {}", spec.name), &spec.shape)?;
            let tensor = checked_tensor(spec, &[index.nnz()], &tensor, "values")?.to_dtype(DType::F32)?;
            Ok(Part::At(index, tensor))
        }
    }
}
