//! Masks as tensors and lists of positions, and back.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use roaring::RoaringBitmap;

use super::Mask;
use super::bits::{PIECE, to_bitmap};
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

impl Mask {
    /// The mask of one parameter as a tensor of its shape: u8, 1 for an entry in the mask and 0 for all others.
    ///
    /// # Panics
    /// When `index` is not below the length of the universe.
    pub fn tensor(&self, index: usize) -> Result<Tensor> {
        let spec = self.universe().spec(index);
        let mut ones = vec![0u8; spec.entries() as usize];
        self.set(index).iter().for_each(|entry| ones[entry as usize] = 1);
        Ok(Tensor::from_vec(ones, spec.shape.clone(), &Device::Cpu)?)
    }

    /// The entries of one parameter that are in the mask: u32, flat row-major positions from 0, ascending.
    ///
    /// # Panics
    /// When `index` is not below the length of the universe.
    pub fn positions(&self, index: usize) -> Result<Tensor> {
        let entries: Vec<u32> = self.set(index).iter().collect();
        let count = entries.len();
        Ok(Tensor::from_vec(entries, count, &Device::Cpu)?)
    }

    /// The mask of the entries that are not zero in the tensors that `of` gives for parameters, each of the parameter's
    /// shape; of a parameter without a tensor nothing is in the mask. A value that is not a number is an error.
    pub fn of_tensors<E: From<Error>>(
        universe: Arc<Universe>,
        mut of: impl FnMut(usize, &ParamSpec) -> Result<Option<Tensor>, E>,
    ) -> Result<Self, E> {
        let mut sets = Vec::with_capacity(universe.len());
        for (i, spec) in universe.specs().iter().enumerate() {
            sets.push(match of(i, spec)? {
                Some(tensor) => nonzero_entries(spec, &tensor)?,
                None => RoaringBitmap::new(),
            });
        }
        Ok(Self::from_sets(universe, sets))
    }

    /// The mask of the flat row-major positions from 0 that `of` gives for each parameter, in any order. A position past the
    /// end of its parameter is an error.
    pub fn of_positions<E: From<Error>>(
        universe: Arc<Universe>,
        mut of: impl FnMut(usize, &ParamSpec) -> Result<Vec<u32>, E>,
    ) -> Result<Self, E> {
        let mut sets = Vec::with_capacity(universe.len());
        for (i, spec) in universe.specs().iter().enumerate() {
            sets.push(of(i, spec)?.into_iter().collect());
        }
        Ok(Self::new(universe, sets)?)
    }
}

/// The entries of a tensor that are not zero.
fn nonzero_entries(spec: &ParamSpec, tensor: &Tensor) -> Result<RoaringBitmap> {
    if tensor.dims() != spec.shape {
        return Err(Error::argument(format!(
            "parameter {} has shape {:?}, and its tensor has {:?}",
            spec.name,
            spec.shape,
            tensor.dims()
        )));
    }
    let flat = tensor.flatten_all()?;
    let entries = flat.dim(D::Minus1)?;
    let mut set = RoaringBitmap::new();
    for start in (0..entries).step_by(PIECE) {
        let piece = flat.narrow(0, start, PIECE.min(entries - start))?;
        if piece.dtype().is_float() && ones(&piece.ne(&piece)?)?.contains(&1) {
            return Err(Error::argument(format!(
                "the tensor of parameter {} holds a value that is not a number (NaN)",
                spec.name
            )));
        }
        let chosen = ones(&piece.ne(&piece.zeros_like()?)?)?;
        let word =
            |bits: &[u8]| bits.iter().enumerate().fold(0, |word, (i, &bit)| word | u64::from(bit) << i);
        set |= to_bitmap(start, chosen.chunks(64).map(word).collect());
    }
    Ok(set)
}

/// The numbers of a comparison.
fn ones(compared: &Tensor) -> Result<Vec<u8>> {
    Ok(compared.to_dtype(DType::U8)?.to_device(&Device::Cpu)?.to_vec1()?)
}
