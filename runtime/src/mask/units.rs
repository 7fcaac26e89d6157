//! Selection of whole rows, columns or blocks by their scores.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Mask;
use super::budget::{Budget, Scope};
use super::build::{Block, add_block};
use super::keys::{any_nan, nan_error};
use crate::host::Host;
use crate::model::ParamSpec;
use crate::vectors::Source;
use crate::{Error, Result};

/// What is selected as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A row of a matrix.
    Row,
    /// A column of a matrix.
    Column,
    /// A rectangle of this many rows and columns; those at the edges may be smaller.
    Block(usize, usize),
}

impl Unit {
    /// The height and width of a whole unit in a parameter.
    fn size(self, spec: &ParamSpec) -> (usize, usize) {
        let (rows, cols) = spec.rows_cols();
        match self {
            Self::Row => (1, cols),
            Self::Column => (rows, 1),
            Self::Block(height, width) => (height, width),
        }
    }
}

/// Selects whole units: as many as the budget says, a density being a fraction of their number.
/// They are ranked by the mean magnitude of their scores, ties by position.
pub fn top_units(
    source: &dyn Source,
    unit: Unit,
    budget: Budget,
    scope: Scope,
    largest: bool,
    host: &Host,
) -> Result<Mask> {
    if let Unit::Block(height, width) = unit
        && (height == 0 || width == 0)
    {
        return Err(Error::argument(format!("a block of {height} by {width} has no entries")));
    }
    if scope == Scope::PerRow {
        return Err(Error::argument(
            "whole rows, columns and blocks are chosen globally, by parameter or by layer",
        ));
    }
    let universe = source.universe();
    let scored: Vec<usize> = (0..universe.len()).filter(|&p| source.scored(p)).collect();
    let means: Vec<_> = scored.par_iter().map(|&p| means(source, p, unit, host)).collect();
    let mut by_param: Vec<Vec<f64>> = vec![Vec::new(); universe.len()];
    for (p, means) in scored.iter().zip(means) {
        by_param[*p] = means?;
    }
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    for (group, params) in scope.groups(universe, &scored) {
        let mut ranked: Vec<(f64, usize, usize)> = Vec::new();
        for p in params {
            ranked.extend(by_param[p].iter().enumerate().map(|(i, mean)| (*mean, p, i)));
        }
        let k = budget.of(ranked.len() as u64)?;
        let usable = ranked.iter().filter(|unit| !largest || unit.0 > 0.0).count();
        if k > usable as u64 {
            let which = if largest { " with a score that is not zero" } else { "" };
            return Err(Error::argument(format!(
                "asked for {k} units{group}, but there are only {usable}{which}"
            )));
        }
        // The sort keeps units of the same mean in their order.
        ranked.sort_by(|a, b| if largest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) });
        for &(_, p, i) in &ranked[..k as usize] {
            let spec = universe.spec(p);
            let ((rows, cols), (height, width)) = (spec.rows_cols(), unit.size(spec));
            let across = cols.div_ceil(width);
            let (row, col) = (i / across * height, i % across * width);
            let block = Block { rows: row..rows.min(row + height), cols: col..cols.min(col + width) };
            add_block(&mut sets[p], spec, &block)?;
        }
    }
    Ok(Mask::from_sets(universe.clone(), sets))
}

/// The mean magnitude of each unit of a parameter, in row-major order of the units.
fn means(source: &dyn Source, param: usize, unit: Unit, host: &Host) -> Result<Vec<f64>> {
    let spec = source.universe().spec(param);
    let ((rows, cols), (height, width)) = (spec.rows_cols(), unit.size(spec));
    let across = cols.div_ceil(width);
    let mut sums = vec![0f64; rows.div_ceil(height) * across];
    let some = ((1usize << 18) / cols).max(1);
    for first in (0..rows).step_by(some) {
        host.cancel.check()?;
        let count = some.min(rows - first);
        let mut nan = false;
        source.read(param, first * cols, count * cols, &mut |scores| {
            nan = any_nan(scores);
            for (r, row) in scores.chunks(cols).enumerate() {
                let sums = &mut sums[(first + r) / height * across..][..across];
                for (sum, part) in sums.iter_mut().zip(row.chunks(width)) {
                    *sum += part.iter().map(|s| f64::from(s.abs())).sum::<f64>();
                }
            }
        })?;
        if nan {
            return Err(nan_error(&spec.name));
        }
    }
    for (i, sum) in sums.iter_mut().enumerate() {
        let (row, col) = (i / across * height, i % across * width);
        *sum /= (height.min(rows - row) * width.min(cols - col)) as f64;
    }
    Ok(sums)
}
