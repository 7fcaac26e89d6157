//! Selection of whole rows, columns or blocks by their scores.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Mask;
use super::bits::Domain;
use super::budget::{Budgets, Scope, Widest, any};
use super::build::{Block, add_block};
use super::keys::{any_nan, nan_error};
use super::select::domain;
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

    /// Where the unit `i` of a parameter lies.
    fn place(self, spec: &ParamSpec, i: usize) -> Block {
        let ((rows, cols), (height, width)) = (spec.rows_cols(), self.size(spec));
        let across = cols.div_ceil(width);
        let (row, col) = (i / across * height, i % across * width);
        Block { rows: row..rows.min(row + height), cols: col..cols.min(col + width) }
    }
}

/// Whether a unit lies within as a whole, and whether it may be selected besides.
fn standing(domain: &Domain<'_>, spec: &ParamSpec, param: usize, unit: Unit, i: usize) -> (bool, bool) {
    if domain.within.is_none() && domain.avoid.is_none() {
        return (true, true);
    }
    let Block { rows, cols } = unit.place(spec, i);
    let stride = spec.rows_cols().1;
    // Rows that are taken whole follow each other without a gap.
    let spans =
        if cols.len() == stride { vec![(rows.start, rows.len())] } else { rows.map(|r| (r, 1)).collect() };
    let shared = |set: &RoaringBitmap| -> u64 {
        let span = |&(row, count): &(usize, usize)| {
            let from = row * stride + cols.start;
            set.range_cardinality(from as u32..=(from + (count - 1) * stride + cols.len() - 1) as u32)
        };
        spans.iter().map(span).sum()
    };
    let entries = spans.iter().map(|(_, count)| (count * cols.len()) as u64).sum::<u64>();
    let lies_within = domain.within.is_none_or(|sets| shared(&sets[param]) == entries);
    (lies_within, lies_within && domain.avoid.is_none_or(|sets| shared(&sets[param]) == 0))
}

/// Selects whole units: as many as the budget says, a density being a fraction of their number.
/// They are ranked by the mean magnitude of their scores, ties by position.
///
/// A unit may be selected if it lies in `within` as a whole and shares no entry with `avoid`. A density is a fraction of the
/// units that lie within, those that are to be avoided included.
#[allow(
    clippy::too_many_arguments,
    reason = "what to choose from, how much of it and where are separate questions"
)]
pub fn top_units(
    source: &dyn Source,
    unit: Unit,
    budget: impl Into<Budgets>,
    scope: Scope,
    within: Option<&Mask>,
    avoid: Option<&Mask>,
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
    let (universe, budgets) = (source.universe(), budget.into());
    let domain = domain(universe, within, avoid)?;
    let scored: Vec<usize> = (0..universe.len()).filter(|&p| source.has(p)).collect();
    let means: Vec<_> = scored.par_iter().map(|&p| means(source, p, unit, host)).collect();
    let mut by_param: Vec<Vec<f64>> = vec![Vec::new(); universe.len()];
    for (p, means) in scored.iter().zip(means) {
        by_param[*p] = means?;
    }
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let mut widest = Widest::default();
    for (group, params) in scope.groups(universe, &scored) {
        let mut ranked: Vec<(f64, usize, usize)> = Vec::new();
        let mut inside = vec![0; universe.len()];
        for &p in &params {
            for (i, mean) in by_param[p].iter().enumerate() {
                let (lies_within, free) = standing(&domain, universe.spec(p), p, unit, i);
                inside[p] += u64::from(lies_within);
                if free {
                    ranked.push((*mean, p, i));
                }
            }
        }
        let budget = budgets.of(universe, &params, |p| inside[p] > 0)?;
        let population = params.iter().map(|&p| inside[p]).sum();
        widest.saw(budget, population);
        let k = budget.of(population)?;
        let usable = ranked.iter().filter(|unit| !largest || unit.0 > 0.0).count();
        if k > usable as u64 {
            let which = if largest { " with scores that are not all zero" } else { "" };
            return Err(Error::argument(format!(
                "asked for {k} units{group}, but only {usable}{which} may be selected"
            )));
        }
        // The sort keeps units of the same mean in their order.
        ranked.sort_by(|a, b| if largest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) });
        for &(_, p, i) in &ranked[..k as usize] {
            let spec = universe.spec(p);
            add_block(&mut sets[p], spec, &unit.place(spec, i))?;
        }
    }
    widest.check(any(&sets), "units")?;
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
