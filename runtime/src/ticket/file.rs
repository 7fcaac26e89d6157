//! Ticket files: one safetensors file of roaring sets, values and provenance.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use half::bf16;
use roaring::RoaringBitmap;

use super::{Meta, Ticket};
use crate::mask::Mask;
use crate::mask::archive::{self, Archive, Kind, Part};
use crate::mask::file::{read_set, read_universe, set_part, universe_json};
use crate::model::Universe;
use crate::{Error, Result};

const KIND: Kind = Kind { format: "lota-ticket", noun: "ticket", version: 1 };
const INDEX: &str = ".index";
const VALUES: &str = ".values";

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValueType {
    /// Four bytes, exact.
    #[default]
    F32,
    /// Two bytes. Nothing is lost for a model whose weights are bf16 anyway.
    Bf16,
}

/// What a saved ticket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The size of the file.
    pub bytes: u64,
    /// Of that, what says which entries.
    pub index_bytes: u64,
    /// Of that, the values.
    pub value_bytes: u64,
    /// The number of entries.
    pub entries: u64,
    /// Values that rounding changed; 0 in f32.
    pub rounded: u64,
}

impl Saved {
    /// Bytes of the file per entry.
    pub fn per_entry(&self) -> f64 {
        if self.entries == 0 { 0.0 } else { self.bytes as f64 / self.entries as f64 }
    }
}

impl Ticket {
    /// Writes the ticket beside `path` and renames it there.
    ///
    /// For each parameter with entries, `<name>.index` holds the portable roaring serialisation of
    /// the set and `<name>.values` the values in rising order of the entries.
    pub fn save(&self, path: &Path, values: ValueType) -> Result<Saved> {
        let text = |value: &serde_json::Map<_, _>| {
            serde_json::to_string(value)
                .map_err(|e| Error::argument(format!("the settings of the ticket cannot be written: {e}")))
        };
        let mut metadata = vec![
            ("base", self.meta.base.clone()),
            ("method", self.meta.method.clone()),
            ("settings", text(&self.meta.settings)?),
            ("made_by", self.meta.lota.clone()),
            ("universe", universe_json(self.mask.universe())?),
            ("entries", self.entries().to_string()),
        ];
        metadata.extend(self.meta.seed.map(|seed| ("seed", seed.to_string())));
        metadata.extend(self.meta.data.clone().map(|data| ("data", data)));
        let mut parts = Vec::new();
        for (i, spec, set) in self.mask.selected() {
            parts.push(set_part(format!("{}{INDEX}", spec.name), set));
            parts.push(values_part(format!("{}{VALUES}", spec.name), &self.values[i], values));
        }
        let bytes = archive::save(path, &KIND, &metadata, parts)?;
        let width = if values == ValueType::F32 { 4 } else { 2 };
        let lost = |v: &&f32| bf16::from_f32(**v).to_f32().to_bits() != v.to_bits();
        let rounded = match values {
            ValueType::F32 => 0,
            ValueType::Bf16 => self.values.iter().flatten().filter(lost).count() as u64,
        };
        let entries = self.entries();
        Ok(Saved { bytes, index_bytes: self.mask.bytes(), value_bytes: width * entries, entries, rounded })
    }

    /// Reads a ticket file. With `expected`, a ticket of another model is refused; without, the
    /// model is the one that the file describes.
    pub fn load(path: &Path, expected: Option<&Arc<Universe>>) -> Result<Self> {
        let mut archive = Archive::open(path, &KIND)?;
        let universe = read_universe(&archive, expected)?;
        let meta = Meta {
            base: archive.meta("base")?.to_string(),
            method: archive.meta("method")?.to_string(),
            settings: archive.json("settings")?,
            seed: archive.optional("seed").map(|_| archive.parse("seed")).transpose()?,
            data: archive.optional("data").map(str::to_string),
            lota: archive.meta("made_by")?.to_string(),
        };
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        let mut values: HashMap<String, Vec<f32>> = HashMap::new();
        archive.read(|archive, name, dtype, _, bytes| {
            if let Some(param) = name.strip_suffix(INDEX) {
                let (index, set) = read_set(archive, &universe, param, &bytes)?;
                sets[index] = set;
            } else if let Some(param) = name.strip_suffix(VALUES) {
                let read = read_values(dtype, &bytes);
                let read = read.ok_or_else(|| {
                    archive.damaged(&format!("the values of parameter {param} are {dtype}"))
                })?;
                values.insert(param.to_string(), read);
            }
            Ok(())
        })?;
        let values =
            universe.specs().iter().map(|spec| values.remove(&spec.name).unwrap_or_default()).collect();
        Self::new(Mask::from_sets(universe, sets), values, meta).map_err(|e| archive.damaged(&e.to_string()))
    }
}

/// How the values in a ticket file are stored; f32 if there are none.
pub fn stored_as(path: &Path) -> Result<ValueType> {
    let archive = Archive::open(path, &KIND)?;
    let narrow = archive.types().any(|(name, dtype)| name.ends_with(VALUES) && dtype == "BF16");
    Ok(if narrow { ValueType::Bf16 } else { ValueType::F32 })
}

fn values_part(name: String, values: &[f32], kind: ValueType) -> Part<'_> {
    let dtype = if kind == ValueType::F32 { "F32" } else { "BF16" };
    let write = move |out: &mut dyn std::io::Write| {
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in values.chunks(1 << 14) {
            buffer.clear();
            match kind {
                ValueType::F32 => buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes())),
                ValueType::Bf16 => buffer.extend(chunk.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
            }
            out.write_all(&buffer)?;
        }
        Ok(())
    };
    Part { name, dtype, len: values.len(), write: Box::new(write) }
}

fn read_values(dtype: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        "F32" => Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        "BF16" => Some(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
        _ => None,
    }
}
