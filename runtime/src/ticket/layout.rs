//! The tensors of a ticket file: for each parameter its own in the plain codec, all together in the
//! compact one.

use std::collections::HashMap;
use std::io::Write;

use half::bf16;
use roaring::RoaringBitmap;

use super::codec::{self, Codec, Loss, Rows, ValueType};
use super::form::Form;
use crate::host::archive::{Archive, Part};
use crate::mask::Mask;
use crate::mask::file::{read_set, set_part};
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

const INDEX: &str = ".index";
pub(super) const VALUES: &str = ".values";
const SCALES: &str = ".scales";

/// The values of one parameter as they are to be written.
pub(super) struct Written<'a> {
    spec: &'a ParamSpec,
    set: &'a RoaringBitmap,
    values: &'a [f32],
    /// Instead of the values.
    differences: Option<Vec<f32>>,
    kind: ValueType,
    /// The steps and their sizes of int8 and ternary values.
    steps: Vec<i8>,
    sizes: Vec<f32>,
    rows: Rows,
}

impl<'a> Written<'a> {
    pub fn new(
        spec: &'a ParamSpec,
        set: &'a RoaringBitmap,
        values: &'a [f32],
        differences: Option<Vec<f32>>,
        kind: ValueType,
    ) -> Result<Self> {
        let (mut steps, mut sizes, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        if kind.scaled() {
            rows = codec::rows_of(spec, set);
            (steps, sizes) = codec::quantise(spec, differences.as_deref().unwrap_or(values), &rows, kind)?;
        }
        Ok(Self { spec, set, values, differences, kind, steps, sizes, rows })
    }

    fn exact(&self) -> &[f32] {
        self.differences.as_deref().unwrap_or(self.values)
    }

    /// Adds what is lost, and says how many values change.
    pub fn count_loss(&self, loss: &mut Loss) -> u64 {
        let exact = self.exact();
        let written = match self.kind {
            ValueType::F32 => return 0,
            ValueType::Bf16 => exact.iter().map(|v| bf16::from_f32(*v).to_f32()).collect(),
            _ => codec::restore(&self.steps, &self.sizes, &self.rows),
        };
        loss.add(exact, &written);
        exact.iter().zip(&written).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as u64
    }

    /// Writes the numbers; ternary ones are written elsewhere, since five share a byte.
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.kind == ValueType::Int8 {
            return out.write_all(bytemuck::cast_slice(&self.steps));
        }
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in self.exact().chunks(1 << 14) {
            buffer.clear();
            match self.kind {
                ValueType::Bf16 => buffer.extend(chunk.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes())),
                _ => buffer.extend(chunk.iter().flat_map(|v| v.to_le_bytes())),
            }
            out.write_all(&buffer)?;
        }
        Ok(())
    }
}

/// The tensor of the values of several parameters.
fn values_part<'a>(name: String, all: &'a [Written<'_>], kind: ValueType) -> Part<'a> {
    let len = all.iter().map(|w| w.values.len()).sum();
    let dtype = match kind {
        ValueType::F32 => "F32",
        ValueType::Bf16 => "BF16",
        ValueType::Int8 => "I8",
        ValueType::Ternary => {
            let steps: Vec<i8> = all.iter().flat_map(|w| w.steps.iter().copied()).collect();
            let bytes = codec::pack(&steps);
            return Part {
                name,
                dtype: "U8",
                len: bytes.len(),
                write: Box::new(move |out| out.write_all(&bytes)),
            };
        }
    };
    Part { name, dtype, len, write: Box::new(move |out| all.iter().try_for_each(|w| w.write(out))) }
}

fn scales_part<'a>(name: String, all: &'a [Written<'_>]) -> Part<'a> {
    let len = all.iter().map(|w| w.sizes.len()).sum();
    let write = move |out: &mut dyn Write| {
        let bytes: Vec<u8> = all.iter().flat_map(|w| &w.sizes).flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes)
    };
    Part { name, dtype: "F32", len, write: Box::new(write) }
}

/// The tensors of a file, and the bytes of those that say which entries.
pub(super) fn parts<'a>(mask: &Mask, written: &'a [Written<'_>], form: Form<'_>) -> (Vec<Part<'a>>, u64) {
    let mut parts = Vec::new();
    let scaled = form.values.scaled();
    match form.codec {
        Codec::Plain => {
            for one in written {
                let name = &one.spec.name;
                parts.push(set_part(format!("{name}{INDEX}"), one.set));
                let one = std::slice::from_ref(one);
                parts.push(values_part(format!("{name}{VALUES}"), one, form.values));
                if scaled {
                    parts.push(scales_part(format!("{name}{SCALES}"), one));
                }
            }
            (parts, mask.bytes())
        }
        Codec::Compact => {
            let code = codec::encode(mask);
            let len = code.len();
            let write = move |out: &mut dyn Write| out.write_all(&code);
            parts.push(Part { name: INDEX[1..].into(), dtype: "U8", len, write: Box::new(write) });
            parts.push(values_part(VALUES[1..].into(), written, form.values));
            if scaled {
                parts.push(scales_part(SCALES[1..].into(), written));
            }
            (parts, len as u64)
        }
    }
}

/// What a file holds.
pub(super) struct Contents {
    pub sets: Vec<RoaringBitmap>,
    pub numbers: Vec<Vec<f32>>,
    pub index_bytes: u64,
}

/// Reads the tensors of each parameter.
pub(super) fn read_plain(archive: &mut Archive, universe: &Universe, kind: ValueType) -> Result<Contents> {
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut raw: HashMap<String, Vec<u8>> = HashMap::new();
    let mut scales: HashMap<String, Vec<f32>> = HashMap::new();
    let mut index_bytes = 0;
    archive.read::<Error>(|archive, name, dtype, _, bytes| {
        if let Some(param) = name.strip_suffix(INDEX) {
            let (index, set) = read_set(archive, universe, param, &bytes)?;
            index_bytes += bytes.len() as u64;
            sets[index] = set;
        } else if let Some(param) = name.strip_suffix(VALUES) {
            check_type(archive, &format!("the values of parameter {param} are"), dtype, kind)?;
            raw.insert(param.to_string(), bytes);
        } else if let Some(param) = name.strip_suffix(SCALES) {
            scales.insert(param.to_string(), floats(&bytes));
        }
        Ok(())
    })?;
    let mut numbers = Vec::with_capacity(universe.len());
    for (spec, set) in universe.specs().iter().zip(&sets) {
        let bytes = raw.remove(&spec.name).unwrap_or_default();
        // A set may be of billions in some bytes: its rows are looked at when there are as many values.
        let fits = bytes.len() as u64 == kind.bytes(set.len());
        let rows = if kind.scaled() && fits { codec::rows_of(spec, set) } else { Rows::new() };
        let sizes = scales.remove(&spec.name).unwrap_or_default();
        let read = numbers_of(&bytes, set.len(), kind, &rows, &sizes).ok_or_else(|| {
            archive.damaged(&format!(
                "parameter {} has {} entries, and its values are not as many, or their scales not as many as its rows",
                spec.name,
                set.len()
            ))
        })?;
        numbers.push(read);
    }
    Ok(Contents { sets, numbers, index_bytes })
}

/// Reads the tensors that hold all parameters.
pub(super) fn read_compact(archive: &mut Archive, universe: &Universe, kind: ValueType) -> Result<Contents> {
    let (mut code, mut raw, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    archive.read::<Error>(|archive, name, dtype, _, bytes| {
        match name {
            _ if name == &INDEX[1..] => code = bytes,
            _ if name == &VALUES[1..] => {
                check_type(archive, "its values are", dtype, kind)?;
                raw = bytes;
            }
            _ if name == &SCALES[1..] => sizes = floats(&bytes),
            _ => return Err(archive.damaged(&format!("it has a tensor {name} that no codec writes")).into()),
        }
        Ok(())
    })?;
    let damaged = |what: String| archive.damaged(&what);
    let positions = codec::heads(&code, universe).map_err(damaged)?;
    let entries = positions.entries();
    // Before anything of that size is made.
    if kind.bytes(entries) != raw.len() as u64 {
        return Err(archive
            .damaged(&format!("its positions are {entries}, and its values are not as many"))
            .into());
    }
    let sets = codec::decode(&positions, universe).map_err(damaged)?;
    let rows: Vec<Rows> = universe
        .specs()
        .iter()
        .zip(&sets)
        .map(|(spec, set)| if kind.scaled() { codec::rows_of(spec, set) } else { Rows::new() })
        .collect();
    if rows.iter().map(Vec::len).sum::<usize>() != sizes.len() {
        return Err(archive.damaged("its scales are not as many as its rows").into());
    }
    let index_bytes = code.len() as u64;
    let numbers = if kind == ValueType::Ternary {
        let steps = codec::unpack(&raw, entries as usize)
            .ok_or_else(|| archive.damaged("its values are not ternary"))?;
        split(&sets, |at| &steps[at])
            .zip(split(&rows, |at| &sizes[at]))
            .zip(&rows)
            .map(|((steps, sizes), rows)| codec::restore(steps, sizes, rows))
            .collect()
    } else {
        let width = kind.bytes(1) as usize;
        let mut numbers = Vec::with_capacity(sets.len());
        let pieces = split(&sets, |at| &raw[at.start * width..at.end * width]);
        for ((bytes, sizes), (rows, set)) in
            pieces.zip(split(&rows, |at| &sizes[at])).zip(rows.iter().zip(&sets))
        {
            numbers.push(
                numbers_of(bytes, set.len(), kind, rows, sizes)
                    .ok_or_else(|| archive.damaged("its values are not as many as its positions"))?,
            );
        }
        numbers
    };
    Ok(Contents { sets, numbers, index_bytes })
}

/// Something that takes up so many of the numbers that all parameters share.
trait Length {
    fn length(&self) -> usize;
}

impl Length for RoaringBitmap {
    fn length(&self) -> usize {
        self.len() as usize
    }
}

impl Length for Rows {
    fn length(&self) -> usize {
        self.len()
    }
}

/// The part of each parameter, one after the other.
fn split<'a, L: Length, T: ?Sized + 'a>(
    lengths: &'a [L],
    part: impl Fn(std::ops::Range<usize>) -> &'a T + 'a,
) -> impl Iterator<Item = &'a T> + 'a {
    let mut from = 0;
    lengths.iter().map(move |one| {
        let to = from + one.length();
        part(std::mem::replace(&mut from, to)..to)
    })
}

fn check_type(archive: &Archive, what: &str, dtype: &str, kind: ValueType) -> Result<()> {
    let fits = match kind {
        ValueType::F32 => dtype == "F32",
        ValueType::Bf16 => dtype == "BF16",
        ValueType::Int8 => dtype == "I8",
        ValueType::Ternary => dtype == "U8",
    };
    if fits {
        Ok(())
    } else {
        Err(archive.damaged(&format!("{what} {dtype}, and should be {}", kind.as_str())).into())
    }
}

/// The numbers of one parameter; `None` if they are not `len`.
fn numbers_of(bytes: &[u8], len: u64, kind: ValueType, rows: &Rows, sizes: &[f32]) -> Option<Vec<f32>> {
    if bytes.len() as u64 != kind.bytes(len) || kind.scaled() && rows.len() != sizes.len() {
        return None;
    }
    match kind {
        ValueType::F32 => Some(floats(bytes)),
        ValueType::Bf16 => {
            Some(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect())
        }
        ValueType::Int8 => Some(codec::restore(bytemuck::cast_slice(bytes), sizes, rows)),
        ValueType::Ternary => Some(codec::restore(&codec::unpack(bytes, len as usize)?, sizes, rows)),
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
