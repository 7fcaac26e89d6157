//! The code of the positions of all parameters: heads, which say how many entries each has and in
//! which blocks, and the entropy code of the gaps, in pieces of several parameters that are written
//! and read in parallel.
//!
//! As bytes: the number of pieces; for each, the parameters in it, the bytes of their heads and the
//! words of its code (all as [`super::varint`]); the heads; the words, of four bytes, lowest first.

use constriction::stream::Encode;
use constriction::stream::stack::DefaultAnsCoder;
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::gap::Decoder;
use super::param::{self, Head};
use super::shape::Shape;
use super::table::{PRECISION, Slot};
use super::varint;
use crate::mask::{Mask, whole};
use crate::model::{ParamSpec, Universe};

/// A piece ends when it has so many entries.
const PIECE: u64 = 1 << 17;

fn shape(spec: &ParamSpec) -> Shape {
    let (rows, cols) = spec.rows_cols();
    Shape { rows: rows as u64, cols: cols as u64 }
}

/// The code of a mask.
pub fn encode(mask: &Mask) -> Vec<u8> {
    let specs = mask.universe().specs();
    let mut pieces = Vec::new();
    let (mut first, mut entries) = (0, 0);
    for (i, set) in mask.sets().iter().enumerate() {
        entries += set.len();
        if entries >= PIECE || i + 1 == specs.len() {
            pieces.push(first..i + 1);
            (first, entries) = (i + 1, 0);
        }
    }
    let coded: Vec<(Vec<u8>, Vec<u32>)> = pieces
        .par_iter()
        .map(|piece| {
            let (mut head, mut slots) = (Vec::new(), Vec::new());
            for (spec, set) in specs[piece.clone()].iter().zip(&mask.sets()[piece.clone()]) {
                let shape = shape(spec);
                let positions: Vec<u32> = if set.len() > spec.entries() - set.len() {
                    (whole(spec) - set).into_iter().collect()
                } else {
                    set.iter().collect()
                };
                param::put(set.len(), &positions, shape, &mut head, &mut slots);
            }
            (head, words(&slots))
        })
        .collect();
    let mut out = Vec::new();
    varint::put(&mut out, pieces.len() as u64);
    for (piece, (head, words)) in pieces.iter().zip(&coded) {
        [piece.len(), head.len(), words.len()].into_iter().for_each(|n| varint::put(&mut out, n as u64));
    }
    coded.iter().for_each(|(head, _)| out.extend(head));
    for (_, words) in &coded {
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    out
}

/// The entropy code of symbols.
fn words(slots: &[Slot]) -> Vec<u32> {
    let mut coder = DefaultAnsCoder::new();
    for slot in slots.iter().rev() {
        // The code grows in memory, and every slot has a share: nothing can fail.
        let coded = Encode::<PRECISION>::encode_symbol(&mut coder, (), *slot);
        debug_assert!(coded.is_ok());
    }
    match coder.into_compressed() {
        Ok(words) => words,
        Err(never) => match never {},
    }
}

/// A code whose heads have been read.
pub struct Positions<'a> {
    pieces: Vec<(Vec<Head>, &'a [u8])>,
}

impl Positions<'_> {
    /// The number of entries of all parameters. Compare it with the number of values in the file before reading the
    /// positions: the cost of reading them is proportional to it.
    pub fn entries(&self) -> u64 {
        let heads = self.pieces.iter().flat_map(|(heads, _)| heads);
        heads.fold(0, |sum, head| head.entries.saturating_add(sum))
    }
}

/// Reads the heads of a code; the error says what is wrong.
pub fn heads<'a>(mut bytes: &'a [u8], universe: &Universe) -> Result<Positions<'a>, String> {
    let short = || "the code of the positions ends early".to_string();
    let pieces = varint::take(&mut bytes).ok_or_else(short)?;
    let mut sizes = Vec::new();
    for _ in 0..pieces {
        let mut number = || varint::take(&mut bytes).and_then(|n| usize::try_from(n).ok()).ok_or_else(short);
        sizes.push([number()?, number()?, number()?]);
    }
    let mut specs = universe.specs();
    let mut pieces = Vec::new();
    for &[params, head_bytes, _] in &sizes {
        let (here, rest) = specs
            .split_at_checked(params)
            .ok_or("the code of the positions is of more parameters than the model has")?;
        let (mut head, after) = bytes.split_at_checked(head_bytes).ok_or_else(short)?;
        (specs, bytes) = (rest, after);
        let mut heads = Vec::with_capacity(here.len());
        for spec in here {
            let read = Head::take(shape(spec), &mut head);
            heads
                .push(read.map_err(|e| format!("the code of the positions of parameter {} {e}", spec.name))?);
        }
        if !head.is_empty() {
            return Err("the code of the positions has heads of no parameter".to_string());
        }
        pieces.push((heads, &bytes[..0]));
    }
    for ((_, code), [.., words]) in pieces.iter_mut().zip(sizes) {
        let len = words.checked_mul(4).ok_or_else(short)?;
        (*code, bytes) = bytes.split_at_checked(len).ok_or_else(short)?;
    }
    if !specs.is_empty() {
        return Err("the code of the positions is of fewer parameters than the model has".to_string());
    }
    if !bytes.is_empty() {
        return Err("the code of the positions has bytes after its end".to_string());
    }
    Ok(Positions { pieces })
}

/// The sets of all parameters; the error says what is wrong.
pub fn decode(positions: &Positions<'_>, universe: &Universe) -> Result<Vec<RoaringBitmap>, String> {
    let mut specs = universe.specs();
    let mut work = Vec::new();
    for (heads, code) in &positions.pieces {
        let (here, rest) = specs.split_at_checked(heads.len()).ok_or("the model is another")?;
        specs = rest;
        work.push((here, heads, *code));
    }
    let sets = work.into_par_iter().map(|(specs, heads, code)| {
        let (code, _) = code.as_chunks::<4>();
        let words: Vec<u32> = code.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let mut decoder: Decoder<'_> = DefaultAnsCoder::from_compressed_slice(&words)
            .map_err(|_| "the code of the positions ends in a word that no coder writes".to_string())?;
        let mut sets = Vec::with_capacity(specs.len());
        for (spec, head) in specs.iter().zip(heads) {
            let shape = shape(spec);
            let set = head.positions(shape, &mut decoder).ok_or_else(|| {
                format!("the code of the positions of parameter {} makes no sense", spec.name)
            })?;
            sets.push(if head.flipped(shape) { whole(spec) - set } else { set });
        }
        match decoder.is_empty() {
            true => Ok(sets),
            false => Err("the code of the positions holds more than its heads say".to_string()),
        }
    });
    Ok(sets.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect())
}
