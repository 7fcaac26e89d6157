//! Values of the entries of a mask, and the mask of the entries that values are of.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use roaring::RoaringBitmap;

use super::Mask;
use crate::Result;
use crate::model::{Params, Universe};
use crate::ops::{Exec, SparseIndex, scatter};
use crate::vectors::{Part, Values};

impl Values {
    /// The entries that have a number, whatever it is.
    pub fn entries(&self) -> Mask {
        let set = |(spec, part): (&crate::model::ParamSpec, &Option<Part>)| match part {
            None => RoaringBitmap::new(),
            Some(Part::Dense(_)) => super::whole(spec),
            Some(Part::At(index, _)) => RoaringBitmap::from_sorted_iter(index.iter()).unwrap_or_default(),
        };
        let sets = self.universe().specs().iter().zip(self.parts()).map(set).collect();
        Mask::from_sets(self.universe().clone(), sets)
    }

    /// The values of the entries that are in the mask, and no others.
    pub fn within(&self, mask: &Mask) -> Result<Self> {
        self.universe().check_same(mask.universe())?;
        let mut parts = vec![None; self.universe().len()];
        for (i, spec, part) in self.present() {
            let set = mask.set(i);
            let kept = match part {
                Part::Dense(_) => set.clone(),
                Part::At(index, _) => set & RoaringBitmap::from_sorted_iter(index.iter()).unwrap_or_default(),
            };
            parts[i] = if kept.is_empty() {
                None
            } else if kept.len() == spec.entries() {
                Some(part.clone())
            } else {
                let index = index_of(self.universe(), i, &kept)?;
                let values = gathered(self, i, part, &index)?;
                Some(Part::At(index, values))
            };
        }
        Self::of_parts(self.universe().clone(), parts)
    }

    /// The values with 0 at all other entries of their parameters.
    pub fn to_dense(&self) -> Result<Self> {
        Self::from_fn(self.universe().clone(), |i, _| self.dense(i))
    }

    /// The weights that a model has at the entries of a mask, f32.
    pub fn of_weights(exec: &Exec, params: &Params, mask: &Mask) -> Result<Self> {
        params.universe().check_same(mask.universe())?;
        let universe = params.universe();
        let mut parts = vec![None; universe.len()];
        for (i, spec, set) in mask.selected() {
            let w = params.get(i);
            parts[i] = Some(if set.len() == spec.entries() {
                Part::Dense(w.to_dtype(DType::F32)?.copy()?)
            } else {
                let index = index_of(universe, i, set)?;
                let values = scatter::gather(exec, w, &index)?;
                Part::At(index, values)
            });
        }
        Self::of_parts(universe.clone(), parts)
    }

    /// The same number for every entry of a mask.
    pub fn full(mask: &Mask, value: f64, device: &Device) -> Result<Self> {
        let universe = mask.universe();
        let mut parts = vec![None; universe.len()];
        for (i, spec, set) in mask.selected() {
            parts[i] = Some(if set.len() == spec.entries() {
                Part::Dense(Tensor::full(value as f32, spec.shape.as_slice(), device)?)
            } else {
                let index = index_of(universe, i, set)?;
                let values = Tensor::full(value as f32, index.nnz(), device)?;
                Part::At(index, values)
            });
        }
        Self::of_parts(universe.clone(), parts)
    }
}

fn index_of(universe: &Arc<Universe>, param: usize, set: &RoaringBitmap) -> Result<Arc<SparseIndex>> {
    let (rows, cols) = universe.spec(param).rows_cols();
    Ok(Arc::new(SparseIndex::from_sorted(rows, cols, set.iter())?))
}

/// The values of the entries of `index`, all of which `part` has.
fn gathered(values: &Values, param: usize, part: &Part, index: &SparseIndex) -> Result<Tensor> {
    let device = part.tensor().device();
    let dense = match part {
        Part::Dense(tensor) => tensor.clone(),
        Part::At(..) => match values.dense(param)? {
            Some(dense) => dense,
            None => return Ok(Tensor::zeros(0, DType::F32, device)?),
        },
    };
    Ok(dense.flatten_all()?.index_select(&index.flat(device)?, 0)?.to_dtype(DType::F32)?)
}
