//! Files of statistics: one safetensors file with a hash at its end, like those of values.
//!
//! Each tensor is f32 `<kind>.<name of the weight>`, written row by row with one dimension. What layers share because they
//! take the same input is there once, for the first of them; the metadata under `shared` say for which others it holds.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor, TensorId};

use super::held::Stats;
use super::kind::Kind;
use crate::host::archive::{self, Archive, Kind as FileKind};
use crate::mask::file::{read_universe, universe_json};
use crate::mask::values_file::{numbers, numbers_part};
use crate::model::Universe;
use crate::{Error, Result};

const KIND: FileKind = FileKind { format: "lota-stats", noun: "statistics", version: 1 };

impl Stats {
    /// Writes the statistics beside `path` and renames the file there. Returns its size in bytes.
    pub fn save(&self, path: &Path) -> Result<u64> {
        let mut parts = Vec::new();
        let mut written: HashMap<(Kind, TensorId), String> = HashMap::new();
        let mut shared = BTreeMap::new();
        for kind in self.kinds() {
            for (_, spec, tensor) in self.of(kind) {
                let name = format!("{}.{}", kind.as_str(), spec.name);
                match written.get(&(kind, tensor.id())) {
                    Some(first) => {
                        shared.insert(name, first.clone());
                    }
                    None => {
                        written.insert((kind, tensor.id()), name.clone());
                        parts.push(numbers_part(name, tensor));
                    }
                }
            }
        }
        let json = |what: Result<String, serde_json::Error>| {
            what.map_err(|e| Error::argument(format!("statistics cannot be described: {e}")))
        };
        let kinds: Vec<&str> = self.kinds().map(Kind::as_str).collect();
        let metadata = [
            ("universe", universe_json(self.universe())?),
            ("kinds", json(serde_json::to_string(&kinds))?),
            ("shared", json(serde_json::to_string(&shared))?),
            ("about", json(serde_json::to_string(self.about()))?),
        ];
        Ok(archive::save(path, &KIND, &metadata, parts)?)
    }

    /// Reads a file of statistics to a device. With `expected`, statistics of a model of other names or shapes are refused;
    /// without, the model is the one that the file describes.
    pub fn load(path: &Path, expected: Option<&Arc<Universe>>, device: &Device) -> Result<Self> {
        let mut archive = Archive::open(path, &KIND)?;
        let universe = read_universe(&archive, expected)?;
        let about = archive.json("about")?;
        let shared: BTreeMap<String, String> = archive.json("shared")?;
        let kinds: Vec<String> = archive.json("kinds")?;
        let mut tables: BTreeMap<Kind, Vec<Option<Tensor>>> = BTreeMap::new();
        for word in &kinds {
            let kind = Kind::named(word)
                .ok_or_else(|| archive.error(format!("holds {word}, which this lota does not know")))?;
            tables.insert(kind, vec![None; universe.len()]);
        }
        archive.read::<Error>(|archive, name, dtype, _, bytes| {
            let Some((kind, weight)) = place(&universe, name).filter(|_| dtype == "F32") else {
                return Err(archive
                    .damaged(&format!("it has a tensor {name} that no statistics have"))
                    .into());
            };
            let shape = kind.shape(universe.spec(weight));
            let numbers = numbers(&bytes);
            let slot = tables.get_mut(&kind).and_then(|table| table.get_mut(weight));
            match slot.filter(|_| numbers.len() == shape.iter().product::<usize>()) {
                Some(slot) => *slot = Some(Tensor::from_vec(numbers, shape, device)?),
                None => {
                    let what = format!("its tensor {name} has another size, or a kind that is not said");
                    return Err(archive.damaged(&what).into());
                }
            }
            Ok(())
        })?;
        for (name, first) in &shared {
            let found = place(&universe, name).zip(place(&universe, first));
            let tensor = found.and_then(|(_, (kind, weight))| tables.get(&kind)?[weight].clone());
            let slot = found.and_then(|((kind, weight), _)| tables.get_mut(&kind)?.get_mut(weight));
            match (slot, tensor) {
                (Some(slot), Some(tensor)) => *slot = Some(tensor),
                _ => {
                    return Err(archive
                        .damaged(&format!("{name} is said to be {first}, which is not there"))
                        .into());
                }
            }
        }
        Self::new(universe, tables, about).map_err(|e| archive.damaged(&e.to_string()).into())
    }
}

/// The kind and the weight that a tensor's name says.
fn place(universe: &Universe, name: &str) -> Option<(Kind, usize)> {
    let (kind, weight) = name.split_once('.')?;
    Kind::named(kind).zip(universe.index_of(weight))
}
