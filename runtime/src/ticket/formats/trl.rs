//! The layout of TRL's patches (huggingface/trl, pull request 5937): for each parameter that changes its positions,
//! `NAME.idx`, and its new values, `NAME.val`. The arrays for vLLM are kept in it too, with shapes.

use std::path::Path;

use half::bf16;
use roaring::RoaringBitmap;
use serde_json::{Map, json};

use super::super::codec::{Loss, ValueType, entropy_bound};
use super::super::file::Saved;
use super::tensors::{Tensor, save as save_tensors, write_chunks, write_i32};
use super::{Base, Meta, Ticket, about, metadata};
use crate::host::Host;
use crate::mask::Mask;
use crate::model::Universe;
use crate::model::weights::{Raw, Shards, Source as _};
use crate::{Error, Result};

/// What the metadata have under `format`.
pub(super) const FORMAT: &str = "sparse_weight_patch";
const VERSION: &str = "1";
const INDEX: &str = ".idx";
const VALUES: &str = ".val";
const SHAPES: &str = "shapes";

/// How positions are written, and what else the file says.
pub(super) struct Layout {
    gaps: bool,
    shapes: bool,
    nan: bool,
}

/// A patch as TRL writes it.
pub(super) const PATCH: Layout = Layout { gaps: true, shapes: false, nan: true };
/// The arrays of vLLM's sparse update, which refuses NaN.
pub(super) const ARRAYS: Layout = Layout { gaps: false, shapes: true, nan: false };

/// The places between the positions of a set, before each as many as are left out.
fn gaps(set: &RoaringBitmap) -> impl Iterator<Item = u32> + '_ {
    set.iter().scan(0, |next, position| {
        let gap = position - *next;
        *next = position.wrapping_add(1);
        Some(gap)
    })
}

/// The tensor of the positions of a parameter.
fn index_tensor<'a>(name: &str, set: &'a RoaringBitmap, layout: &Layout) -> Tensor<'a> {
    let (name, shape) = (format!("{name}{INDEX}"), vec![set.len() as usize]);
    if !layout.gaps {
        return Tensor { name, dtype: "I32", shape, write: Box::new(move |out| write_i32(out, set.iter())) };
    }
    if gaps(set).any(|gap| gap > u32::from(u16::MAX)) {
        return Tensor { name, dtype: "U32", shape, write: Box::new(move |out| write_i32(out, gaps(set))) };
    }
    let write = move |out: &mut dyn std::io::Write| {
        write_chunks(out, gaps(set).map(|gap| (gap as u16).to_le_bytes()))
    };
    Tensor { name, dtype: "U16", shape, write: Box::new(write) }
}

fn value_tensor<'a>(name: &str, values: &'a [f32], kind: ValueType) -> Tensor<'a> {
    let (name, shape) = (format!("{name}{VALUES}"), vec![values.len()]);
    if kind == ValueType::Bf16 {
        let narrow = |v: &f32| bf16::from_f32(*v).to_le_bytes();
        let write = move |out: &mut dyn std::io::Write| write_chunks(out, values.iter().map(narrow));
        return Tensor { name, dtype: "BF16", shape, write: Box::new(write) };
    }
    let write = move |out: &mut dyn std::io::Write| write_chunks(out, values.iter().map(|v| v.to_le_bytes()));
    Tensor { name, dtype: "F32", shape, write: Box::new(write) }
}

/// Writes a ticket in this layout.
pub(super) fn save(
    ticket: &Ticket,
    path: &Path,
    layout: &Layout,
    kind: ValueType,
    host: &Host,
) -> Result<Saved> {
    let mask = ticket.mask();
    let (mut loss, mut rounded) = (Loss::default(), 0);
    let (mut index, mut values, mut shapes) = (Vec::new(), Vec::new(), Map::new());
    for (i, spec, set) in mask.selected() {
        let exact = ticket.values(i);
        if let (false, Some(at)) = (layout.nan, exact.iter().position(|v| v.is_nan())) {
            let entry = set.select(at as u32).unwrap_or_default();
            return Err(Error::argument(format!(
                "parameter {} is to hold NaN at entry {entry}, which vLLM refuses",
                spec.name
            )));
        }
        if kind == ValueType::Bf16 {
            let written: Vec<f32> = exact.iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
            loss.add(exact, &written);
            rounded += exact.iter().zip(&written).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as u64;
        }
        index.push(index_tensor(&spec.name, set, layout));
        values.push(value_tensor(&spec.name, exact, kind));
        shapes.insert(spec.name.clone(), json!(spec.shape));
    }
    let bytes = |tensors: &[Tensor<'_>]| tensors.iter().map(Tensor::bytes).sum::<u64>();
    let (index_bytes, value_bytes) = (bytes(&index), bytes(&values));
    let version = ticket.meta().settings.get("model_version").map_or("1".to_string(), |v| v.to_string());
    let texts = [
        ("format", FORMAT.to_string()),
        ("version", VERSION.to_string()),
        ("sparse", "True".to_string()),
        ("model_version", version),
        ("num_changed_params", index.len().to_string()),
        ("total_changed_elements", ticket.entries().to_string()),
        ("total_elements", mask.universe().entries().to_string()),
        ("sparsity", format!("{:?}", 1.0 - mask.density())),
        ("encoding", if layout.gaps { "gap_delta" } else { "raw" }.to_string()),
        (about::KEY, about::text(ticket.meta())?),
        (SHAPES, json!(shapes).to_string()),
    ];
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .filter(|(key, _)| *key != SHAPES || layout.shapes)
        .map(|(key, text)| (*key, text.as_str()))
        .collect();
    let bytes = save_tensors(path, &texts, index.into_iter().chain(values).collect(), host)?;
    Ok(Saved {
        bytes,
        index_bytes,
        bound_bytes: entropy_bound(mask),
        value_bytes,
        entries: ticket.entries(),
        rounded,
        max_error: loss.max,
        relative_error: loss.relative(),
    })
}

/// How the positions of a file are written.
#[derive(Clone, Copy)]
enum Encoding {
    Raw,
    Gaps,
}

/// Reads a file in this layout.
pub(super) fn read(path: &Path, base: Base<'_>, host: &Host) -> Result<(Mask, Vec<Vec<f32>>, Option<Meta>)> {
    let bad = |what: String| Error::format(path, what);
    let texts = metadata(path)?.unwrap_or_default();
    let text = |key: &str| texts.get(key).map(String::as_str);
    let shards = Shards::file_alone(path)?;
    match (text("format"), text("version"), text("sparse")) {
        (Some(FORMAT), Some(VERSION), Some("True" | "true")) => {}
        (Some(FORMAT), Some(VERSION), _) => {
            return Err(bad(
                "holds whole weights (an anchor), not a sparse change of them: make a model's folder of it, and \
                 `lota ticket from` a ticket"
                    .to_string(),
            ));
        }
        (Some(FORMAT), version, _) => {
            return Err(bad(format!(
                "is a patch of version {}, and version {VERSION} is read",
                version.unwrap_or("(none)")
            )));
        }
        _ => return Err(bad(format!("is no patch of TRL's: its metadata lack format = {FORMAT}"))),
    }
    let encoding = match text("encoding") {
        Some("raw") => Encoding::Raw,
        Some("gap_delta") => Encoding::Gaps,
        other => {
            return Err(bad(format!(
                "has positions in the encoding {:?}; raw and gap_delta are read",
                other.unwrap_or("(none)")
            )));
        }
    };
    let universe = base.params.universe();
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut values = vec![Vec::new(); universe.len()];
    let (mut entries, mut params) = (0, 0);
    for name in shards.names() {
        let Some(param) = name.strip_suffix(VALUES) else {
            let of = name.strip_suffix(INDEX).map(|param| format!("{param}{VALUES}"));
            match of {
                Some(of) if shards.raw(&of).is_some() => continue,
                Some(of) => return Err(bad(format!("has a tensor {name} and no {of}"))),
                None => return Err(bad(format!("has a tensor {name}, which is of no patch"))),
            }
        };
        host.cancel.check()?;
        let at = universe.get(param).map_err(|e| bad(format!("does not fit the base: {e}")))?;
        let index = shards.raw(&format!("{param}{INDEX}"));
        let index = index.ok_or_else(|| bad(format!("has a tensor {name} and no {param}{INDEX}")))?;
        let shape = shards.shape(&name).unwrap_or_default();
        if index.shape != shape || shape.len() != 1 {
            return Err(bad(format!(
                "parameter {param} has positions of shape {:?} and values of shape {shape:?}: one list of each is read",
                index.shape
            )));
        }
        let count = shape[0];
        // What is kept, and while this one is read its positions twice.
        host.room.ask_for((entries as usize).saturating_add(count), 8)?;
        host.room.ask_for(count, 16)?;
        let positions = positions(&index, encoding, universe.spec(at).entries())
            .map_err(|what| bad(format!("the positions of parameter {param} {what}")))?;
        shards.piece(&name, 0, count, &mut values[at])?;
        sets[at] = RoaringBitmap::from_sorted_iter(positions)
            .map_err(|_| bad(format!("the positions of parameter {param} do not rise")))?;
        entries += count as u64;
        params += 1;
    }
    for (key, found) in [("num_changed_params", params), ("total_changed_elements", entries)] {
        if let Some(said) = text(key).filter(|said| said.parse() != Ok(found)) {
            return Err(bad(format!(
                "is damaged: its metadata have {said} for {key}, and there are {found}"
            )));
        }
    }
    check_shapes(path, text(SHAPES), universe)?;
    let about = text(about::KEY).map(|text| about::read(path, text)).transpose()?;
    Ok((Mask::new(universe.clone(), sets)?, values, about))
}

/// An error if the file says shapes and the base has others.
fn check_shapes(path: &Path, text: Option<&str>, universe: &Universe) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let shapes: std::collections::BTreeMap<String, Vec<usize>> = serde_json::from_str(text)
        .map_err(|e| Error::format(path, format!("is damaged: its metadata under {SHAPES:?}: {e}")))?;
    for (name, shape) in shapes {
        let spec = universe.spec(
            universe.get(&name).map_err(|e| Error::format(path, format!("does not fit the base: {e}")))?,
        );
        if spec.shape != shape {
            return Err(Error::format(
                path,
                format!(
                    "changes parameter {name} of shape {shape:?}, which has {:?} in the base",
                    spec.shape
                ),
            ));
        }
    }
    Ok(())
}

/// Positions that rise and lie in a parameter of so many entries; the error says what they do.
fn positions(index: &Raw<'_>, encoding: Encoding, entries: u64) -> std::result::Result<Vec<u32>, String> {
    let two = || index.bytes.as_chunks::<2>().0.iter().map(|&b| i64::from(u16::from_le_bytes(b)));
    let four = || index.bytes.as_chunks::<4>().0.iter();
    let found: Vec<u32> = match (encoding, index.dtype) {
        (Encoding::Raw, "I32") => {
            rising(four().map(|&b| i64::from(i32::from_le_bytes(b))), entries, |_, at| at)?
        }
        (Encoding::Gaps, "U16") => rising(two(), entries, |next, gap| next + gap)?,
        (Encoding::Gaps, "U32") => {
            rising(four().map(|&b| i64::from(u32::from_le_bytes(b))), entries, |next, gap| next + gap)?
        }
        (encoding, dtype) => {
            let (word, types) = match encoding {
                Encoding::Raw => ("raw", "I32"),
                Encoding::Gaps => ("gap_delta", "U16 or U32"),
            };
            return Err(format!("are {dtype}, and {types} in the encoding {word}"));
        }
    };
    Ok(found)
}

/// The positions that `place` makes of the least one that may come next and a number.
fn rising(
    numbers: impl ExactSizeIterator<Item = i64>,
    entries: u64,
    place: impl Fn(i64, i64) -> i64,
) -> std::result::Result<Vec<u32>, String> {
    let mut next = 0;
    let mut found = Vec::with_capacity(numbers.len());
    for number in numbers {
        let at = place(next, number);
        if at < next {
            return Err(format!("do not rise: {at} comes after {}", next - 1));
        }
        if at as u64 >= entries {
            return Err(format!("go past its end: {at} of {entries} entries"));
        }
        found.push(at as u32);
        next = at + 1;
    }
    Ok(found)
}
