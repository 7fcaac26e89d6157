//! Masks made of whole parameters, rows, columns and blocks.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Mask;
use super::glob::matching_params;
use crate::model::{ParamSpec, Universe};
use crate::{Error, Result};

/// A rectangle of a matrix. An end of `usize::MAX` means the last row or column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The rows.
    pub rows: Range<usize>,
    /// The columns.
    pub cols: Range<usize>,
}

impl Mask {
    /// Nothing.
    pub fn none(universe: Arc<Universe>) -> Self {
        Self::of_params(universe, |_| false)
    }

    /// Every entry of every parameter.
    pub fn all(universe: Arc<Universe>) -> Self {
        Self::of_params(universe, |_| true)
    }

    /// Every entry of the parameters for which `keep` holds.
    pub fn of_params(universe: Arc<Universe>, mut keep: impl FnMut(&ParamSpec) -> bool) -> Self {
        let set = |spec: &ParamSpec| if keep(spec) { whole(spec) } else { RoaringBitmap::new() };
        let sets = universe.specs().iter().map(set).collect();
        Self::from_sets(universe, sets)
    }

    /// Every entry of the parameters at these indices.
    pub fn of_indices(universe: Arc<Universe>, params: &[usize]) -> Self {
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        params.iter().for_each(|&p| sets[p] = whole(universe.spec(p)));
        Self::from_sets(universe, sets)
    }

    /// Every entry of the parameters that match a pattern, as in [`matching_params`].
    pub fn matching<S: AsRef<str>>(universe: Arc<Universe>, patterns: &[S]) -> Result<Self> {
        let params = matching_params(&universe, patterns)?;
        Ok(Self::of_indices(universe, &params))
    }

    /// These rows of each of these parameters.
    pub fn rows(universe: Arc<Universe>, params: &[usize], rows: &[usize]) -> Result<Self> {
        let block = |&r: &usize| Block { rows: r..r + 1, cols: 0..usize::MAX };
        Self::blocks(universe, params, &rows.iter().map(block).collect::<Vec<_>>())
    }

    /// These columns of each of these parameters.
    pub fn columns(universe: Arc<Universe>, params: &[usize], columns: &[usize]) -> Result<Self> {
        let block = |&c: &usize| Block { rows: 0..usize::MAX, cols: c..c + 1 };
        Self::blocks(universe, params, &columns.iter().map(block).collect::<Vec<_>>())
    }

    /// These rectangles of each of these parameters.
    pub fn blocks(universe: Arc<Universe>, params: &[usize], blocks: &[Block]) -> Result<Self> {
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        for &p in params {
            for block in blocks {
                add_block(&mut sets[p], universe.spec(p), block)?;
            }
        }
        Ok(Self::from_sets(universe, sets))
    }
}

/// Adds a rectangle of a parameter to its set.
pub(super) fn add_block(set: &mut RoaringBitmap, spec: &ParamSpec, block: &Block) -> Result<()> {
    let (rows, cols) = spec.rows_cols();
    let fit = |range: &Range<usize>, size: usize, what: &str| -> Result<Range<usize>> {
        let end = if range.end == usize::MAX { size } else { range.end };
        if range.start >= end || end > size {
            return Err(Error::argument(format!(
                "parameter {} has {size} {what}s, counted from 0: {}..{end} are not among them",
                spec.name, range.start
            )));
        }
        Ok(range.start..end)
    };
    let (r, c) = (fit(&block.rows, rows, "row")?, fit(&block.cols, cols, "column")?);
    if c.len() == cols {
        insert(set, r.start * cols, r.end * cols);
    } else {
        r.for_each(|row| insert(set, row * cols + c.start, row * cols + c.end));
    }
    Ok(())
}

/// Every entry of a parameter.
pub(crate) fn whole(spec: &ParamSpec) -> RoaringBitmap {
    let mut set = RoaringBitmap::new();
    insert(&mut set, 0, spec.entries() as usize);
    set
}

fn insert(set: &mut RoaringBitmap, from: usize, to: usize) {
    set.insert_range(from as u32..=(to - 1) as u32);
}
