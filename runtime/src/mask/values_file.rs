//! Files of values: one safetensors file with a hash at its end, like those of masks and tickets.
//!
//! Each parameter with values is an f32 tensor `values.<name>`; if they are of some entries alone, the byte tensor
//! `entries.<name>` holds the set of these, as in a mask's file.

use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use roaring::RoaringBitmap;

use super::Mask;
use super::file::{read_set, read_universe, set_part, universe_json};
use crate::host::archive::{self, Archive, Kind, Part as FilePart};
use crate::model::Universe;
use crate::ops::SparseIndex;
use crate::vectors::{Part, Values, read_tensor};
use crate::{Error, Result};

const KIND: Kind = Kind { format: "lota-values", noun: "values", version: 1 };

impl Values {
    /// Writes the values beside `path` and renames the file there. Returns its size in bytes. They are stored in f32.
    pub fn save(&self, path: &Path) -> Result<u64> {
        let universe = self.universe();
        let metadata = [("universe", universe_json(universe)?), ("count", self.count().to_string())];
        let entries: Mask = self.entries();
        let mut parts = Vec::new();
        for (i, spec, part) in self.present() {
            parts.push(numbers_part(format!("values.{}", spec.name), part.tensor()));
            if part.index().is_some() {
                parts.push(set_part(format!("entries.{}", spec.name), entries.set(i)));
            }
        }
        Ok(archive::save(path, &KIND, &metadata, parts)?)
    }

    /// Reads a file of values. With `expected`, values of another model are refused; without, the model is the one that
    /// the file describes.
    pub fn load(path: &Path, expected: Option<&Arc<Universe>>) -> Result<Self> {
        let mut archive = Archive::open(path, &KIND)?;
        let universe = read_universe(&archive, expected)?;
        let mut found: Vec<Option<Vec<f32>>> = vec![None; universe.len()];
        let mut sets: Vec<Option<RoaringBitmap>> = vec![None; universe.len()];
        archive.read::<Error>(|archive, name, dtype, _, bytes| {
            if let Some(name) = name.strip_prefix("entries.") {
                let (index, set) = read_set(archive, &universe, name, &bytes)?;
                sets[index] = Some(set);
                return Ok(());
            }
            let index = name.strip_prefix("values.").and_then(|name| universe.index_of(name));
            let Some(index) = index.filter(|_| dtype == "F32") else {
                return Err(archive.damaged(&format!("it has a tensor {name} that no values have")).into());
            };
            found[index] = Some(numbers(&bytes));
            Ok(())
        })?;
        let mut parts = Vec::with_capacity(universe.len());
        for (i, (numbers, set)) in found.into_iter().zip(sets).enumerate() {
            let spec = universe.spec(i);
            let Some(numbers) = numbers else {
                if set.is_some() {
                    return Err(archive.damaged(&format!("the values of {} are missing", spec.name)).into());
                }
                parts.push(None);
                continue;
            };
            let entries = set.as_ref().map_or(spec.entries(), RoaringBitmap::len);
            if entries != numbers.len() as u64 {
                let what = format!("{} has {} values for {entries} entries", spec.name, numbers.len());
                return Err(archive.damaged(&what).into());
            }
            let device = candle_core::Device::Cpu;
            let tensor = Tensor::from_vec(numbers, entries as usize, &device)?;
            parts.push(Some(match set {
                None => Part::Dense(tensor.reshape(spec.shape.as_slice())?),
                Some(set) => {
                    let (rows, cols) = spec.rows_cols();
                    Part::At(Arc::new(SparseIndex::from_sorted(rows, cols, set.iter())?), tensor)
                }
            }));
        }
        Self::of_parts(universe, parts)
    }
}

/// A tensor's numbers, to be written as f32 with one dimension.
pub(crate) fn numbers_part(name: String, tensor: &Tensor) -> FilePart<'_> {
    let len = tensor.elem_count();
    let write = Box::new(move |out: &mut dyn std::io::Write| {
        let mut written = Ok(());
        read_tensor(tensor, 0, len, &mut |values| written = out.write_all(bytemuck::cast_slice(values)))
            .map_err(std::io::Error::other)?;
        written
    });
    FilePart { name, dtype: "F32", len, write }
}

/// The numbers of the bytes of an f32 tensor.
pub(crate) fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
