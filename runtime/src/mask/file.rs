//! Mask files: one safetensors file, whose byte tensors are the portable roaring sets.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Mask;
use crate::host::archive::{self, Archive, Kind, Part};
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

const KIND: Kind = Kind { format: "lota-mask", noun: "mask", version: 1 };

impl Mask {
    /// Writes the mask beside `path` and renames it there. Returns the size in bytes.
    ///
    /// The file is readable wherever safetensors and roaring are: each parameter with selected
    /// entries is a byte tensor of its name that holds the portable serialisation of its set, and
    /// the metadata hold the names and shapes of all parameters.
    pub fn save(&self, path: &Path) -> Result<u64> {
        let metadata = [
            ("universe", universe_json(self.universe())?),
            ("selected", self.count().to_string()),
            ("entries", self.universe().entries().to_string()),
        ];
        let parts = self.selected().map(|(_, spec, set)| set_part(spec.name.clone(), set)).collect();
        Ok(archive::save(path, &KIND, &metadata, parts)?)
    }

    /// Reads a mask file. With `expected`, a mask of another model is refused; without, the model
    /// is the one that the file describes.
    pub fn load(path: &Path, expected: Option<&Arc<Universe>>) -> Result<Self> {
        let mut archive = Archive::open(path, &KIND)?;
        let universe = read_universe(&archive, expected)?;
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        archive.read::<Error>(|archive, name, _, _, bytes| {
            let (index, set) = read_set(archive, &universe, name, &bytes)?;
            sets[index] = set;
            Ok(())
        })?;
        Ok(Self::from_sets(universe, sets))
    }
}

/// A set as a tensor to be written.
pub(crate) fn set_part(name: String, set: &RoaringBitmap) -> Part<'_> {
    Part {
        name,
        dtype: "U8",
        len: set.serialized_size(),
        write: Box::new(move |out| set.serialize_into(out)),
    }
}

/// The set of the parameter called `name`, and its index.
pub(crate) fn read_set(
    archive: &Archive,
    universe: &Universe,
    name: &str,
    bytes: &[u8],
) -> Result<(usize, RoaringBitmap)> {
    let index =
        universe.index_of(name).ok_or_else(|| archive.damaged(&format!("it has no parameter {name}")))?;
    let set = RoaringBitmap::deserialize_from(bytes)
        .map_err(|e| archive.damaged(&format!("the set of parameter {name} cannot be read ({e})")))?;
    if set.max().is_some_and(|max| u64::from(max) >= universe.spec(index).entries()) {
        return Err(archive.damaged(&format!("the set of parameter {name} goes past its end")).into());
    }
    Ok((index, set))
}

/// The names and shapes for the metadata.
pub(crate) fn universe_json(universe: &Universe) -> Result<String> {
    serde_json::to_string(universe.specs())
        .map_err(|e| Error::argument(format!("the names of the parameters cannot be written: {e}")))
}

/// The universe that a file is about, which must be the expected one if there is one.
pub(crate) fn read_universe(archive: &Archive, expected: Option<&Arc<Universe>>) -> Result<Arc<Universe>> {
    let specs: Vec<ParamSpec> = archive.json("universe")?;
    let universe = Universe::new(specs).map_err(|e| archive.damaged(&e.to_string()))?;
    let Some(expected) = expected else { return Ok(universe) };
    match expected.check_same(&universe) {
        Ok(()) => Ok(expected.clone()),
        Err(e) => Err(Error::mismatch(format!("{}: {e}", archive.path().display()))),
    }
}
