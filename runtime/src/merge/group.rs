//! One tensor of all inputs, and the two ways a method goes over it: adding something up, and
//! writing the result. Both run over pieces in parallel and give the same bits on any number of
//! threads.

use rayon::prelude::*;

use super::kernels::all_finite;
use super::{Float, Input, Reader, Resolved};
use crate::host::Host;
use crate::{Error, Result};

/// About the number of entries in a piece: a piece of five inputs fits the second-level cache.
const PIECE: usize = 1 << 15;

/// Takes the entries of a result. Called from several threads, each entry once.
pub trait Sink: Sync {
    /// The entries from the flat position `start` on.
    fn write(&self, start: usize, values: &[f32]) -> Result<()>;
}

/// A stretch of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first flat entry.
    pub start: usize,
    /// The number of entries.
    pub len: usize,
}

/// How pieces are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Anywhere.
    Entries,
    /// Between rows (the last dimension; a vector is one row).
    Rows,
}

/// One input of a group.
pub struct Entry<'a> {
    /// What messages call the input.
    pub label: &'a str,
    /// Its entries.
    pub reader: Box<dyn Reader + 'a>,
    /// Whether it is the base.
    pub base: bool,
    /// The input, for what it knows besides entries.
    pub input: &'a dyn Input,
    /// The tensor's name in this input.
    pub name: &'a str,
}

/// One tensor of all inputs, in their order.
pub struct Group<'a> {
    /// The name of the result.
    pub name: &'a str,
    /// The shape, the same for all.
    pub shape: &'a [usize],
    /// The inputs; not empty.
    pub entries: Vec<Entry<'a>>,
    /// The parameters of the method, resolved for this tensor.
    pub params: &'a Resolved,
    /// The type that inputs are rounded to before anything else.
    pub float: Float,
    /// The seed of random methods.
    pub seed: u64,
    /// The switch that stops work.
    pub host: &'a Host,
}

impl<'a> Group<'a> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of a row; 1 at least.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// The place of the base among the inputs.
    pub fn base(&self) -> Option<usize> {
        self.entries.iter().position(|e| e.base)
    }

    /// The places of the others.
    pub fn others(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|&i| !self.entries[i].base).collect()
    }

    /// The pieces in order.
    pub fn pieces(&self, unit: Unit) -> Vec<Piece> {
        let step = match unit {
            Unit::Entries => PIECE,
            Unit::Rows => (PIECE / self.cols()).max(1) * self.cols(),
        };
        let len = self.len();
        (0..len).step_by(step).map(|start| Piece { start, len: step.min(len - start) }).collect()
    }

    /// The values of one input.
    pub fn read<'s>(&'s self, entry: usize, piece: Piece, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        self.entries[entry].reader.read(piece.start, piece.len, scratch)
    }

    /// All values of one input.
    pub fn whole(&self, entry: usize) -> Result<Vec<f32>> {
        let mut scratch = Vec::new();
        let mut all = Vec::with_capacity(self.len());
        for piece in self.pieces(Unit::Entries) {
            all.extend_from_slice(self.read(entry, piece, &mut scratch)?);
            self.entries[entry].reader.release(piece.start, piece.len);
        }
        Ok(all)
    }

    /// What `f` makes of each piece of the inputs `which`, in the order of the pieces.
    pub fn fold<T: Send>(
        &self,
        unit: Unit,
        which: &[usize],
        f: impl Fn(Piece, &[&[f32]]) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let one =
            |scratch: &mut Scratch, piece: Piece| self.with(scratch, which, piece, |values| f(piece, values));
        self.pieces(unit).into_par_iter().map_init(Scratch::default, one).collect()
    }

    /// Writes what `f` makes of each piece of the inputs `which`: it gets their values and as many
    /// zeros, and leaves the result there.
    pub fn write(
        &self,
        sink: &dyn Sink,
        unit: Unit,
        which: &[usize],
        f: impl Fn(Piece, &[&[f32]], &mut [f32]) -> Result<()> + Sync,
    ) -> Result<()> {
        let one = |(scratch, out): &mut (Scratch, Vec<f32>), piece: Piece| {
            out.clear();
            out.resize(piece.len, 0.0);
            self.with(scratch, which, piece, |values| f(piece, values, out))?;
            sink.write(piece.start, out)
        };
        self.pieces(unit).into_par_iter().map_init(<(Scratch, Vec<f32>)>::default, one).collect()
    }

    /// Writes one input as it is.
    pub fn copy(&self, sink: &dyn Sink, entry: usize) -> Result<()> {
        self.write(sink, Unit::Entries, &[entry], |_, values, out| {
            out.copy_from_slice(values[0]);
            Ok(())
        })
    }

    fn with<T>(
        &self,
        scratch: &mut Scratch,
        which: &[usize],
        piece: Piece,
        f: impl FnOnce(&[&[f32]]) -> Result<T>,
    ) -> Result<T> {
        self.host.cancel.check()?;
        scratch.0.resize_with(which.len(), Vec::new);
        let mut values: Vec<&[f32]> = Vec::with_capacity(which.len());
        for (&entry, scratch) in which.iter().zip(&mut scratch.0) {
            values.push(self.entries[entry].reader.read(piece.start, piece.len, scratch)?);
        }
        let made = f(&values);
        for &entry in which {
            self.entries[entry].reader.release(piece.start, piece.len);
        }
        made
    }

    /// An error that names the input and the entry, if any value is infinite or NaN: adding, ranking, comparing or measuring
    /// entries has no meaning for such a tensor.
    pub fn check_finite(&self) -> Result<()> {
        let all: Vec<usize> = (0..self.entries.len()).collect();
        let bad = self.fold(Unit::Entries, &all, |piece, values| {
            let found = |values: &&[f32]| !all_finite(values);
            Ok(values.iter().position(found).map(|entry| {
                let at = values[entry].iter().position(|v| !v.is_finite()).unwrap_or(0);
                (entry, piece.start + at, values[entry][at])
            }))
        })?;
        match bad.into_iter().flatten().next() {
            None => Ok(()),
            Some((entry, at, value)) => Err(Error::mismatch(format!(
                "tensor {} of {} holds {value} at entry {at}: the file is damaged, or its training failed; such values \
                 would spread over what is made of it",
                self.entries[entry].name, self.entries[entry].label
            ))),
        }
    }
}

#[derive(Default)]
struct Scratch(Vec<Vec<f32>>);

/// Rounds what another reader gives.
pub(super) struct Rounded<'a> {
    pub inner: Box<dyn Reader + 'a>,
    pub float: Float,
    /// The tensor's name and its input's label, for messages.
    pub name: &'a str,
    pub label: &'a str,
}

impl Reader for Rounded<'_> {
    fn read<'s>(&'s self, start: usize, len: usize, scratch: &'s mut Vec<f32>) -> Result<&'s [f32]> {
        let mut own = Vec::new();
        let values = self.inner.read(start, len, &mut own)?;
        scratch.clear();
        scratch.extend_from_slice(values);
        if let Some(value) = self.float.overflow(scratch) {
            let tensor = format!("{} of {}", self.name, self.label);
            return Err(self.float.too_large(value, &tensor, "dtype"));
        }
        self.float.round(scratch);
        Ok(scratch)
    }

    fn release(&self, start: usize, len: usize) {
        self.inner.release(start, len);
    }
}
