//! Selection within each row of each parameter.

use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::bits::Piece;
use super::budget::{Budget, Budgets, Widest, any, check_enough};
use super::keys::{Keys, any_nan, magnitude, nan_error};
use crate::Result;

/// The sets of all parameters, each row of the scored ones filled to the budget.
pub fn select(keys: &Keys<'_>, budgets: &Budgets, scored: &[usize]) -> Result<Vec<RoaringBitmap>> {
    let universe = keys.source.universe();
    let mut sets = vec![RoaringBitmap::new(); universe.len()];
    let populated = |p: usize| keys.domain.population(p, universe.spec(p).entries()) > 0;
    let budget = |param: usize| budgets.of(universe, &[param], populated);
    for &param in scored {
        let budget = budget(param)?;
        let (rows, cols) = universe.spec(param).rows_cols();
        let some = (1usize << 16).div_ceil(cols);
        let firsts: Vec<usize> = (0..rows).step_by(some).collect();
        let block = |&first: &usize| block(keys, budget, param, first, some.min(rows - first));
        // Results are looked at in order, so that an error names the first row that has one.
        for chosen in firsts.par_iter().map(block).collect::<Vec<_>>() {
            let sorted = sets[param].append(chosen?);
            debug_assert!(sorted.is_ok());
        }
    }
    if !any(&sets) {
        let mut widest = Widest::default();
        for &param in scored {
            let (budget, (rows, _)) = (budget(param)?, universe.spec(param).rows_cols());
            (0..rows).for_each(|row| widest.saw(budget, population(keys, param, row)));
        }
        widest.check(false, "entries")?;
    }
    Ok(sets)
}

/// How many entries of a row lie within.
fn population(keys: &Keys<'_>, param: usize, row: usize) -> u64 {
    let (_, cols) = keys.source.universe().spec(param).rows_cols();
    keys.domain.within.map_or(cols as u64, |sets| {
        sets[param].range_cardinality((row * cols) as u32..=((row + 1) * cols - 1) as u32)
    })
}

/// The chosen entries of some rows of a parameter, ascending.
fn block(keys: &Keys<'_>, budget: Budget, param: usize, first: usize, rows: usize) -> Result<Vec<u32>> {
    keys.host.cancel.check()?;
    let spec = keys.source.universe().spec(param);
    let (_, cols) = spec.rows_cols();
    let piece = Piece { param, start: first * cols, len: rows * cols };
    let domain = keys.domain.words(&piece);
    let flip = keys.flip();
    let mut chosen = Vec::new();
    let mut result = Ok(());
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(cols);
    let mut choose = |r: usize, row: &[f32]| -> Result<()> {
        if any_nan(row) {
            return Err(nan_error(&spec.name));
        }
        let start = piece.start + r * cols;
        let population = population(keys, param, first + r);
        order.clear();
        let mut zeros = 0;
        for (i, &score) in row.iter().enumerate() {
            let at = r * cols + i;
            if domain.as_ref().is_none_or(|words| words[at / 64] >> (at % 64) & 1 == 1) {
                zeros += u64::from(magnitude(score) == 0);
                order.push((!(magnitude(score) ^ flip), (start + i) as u32));
            }
        }
        let k = budget.of(population)?;
        let group = format_args!(" of row {} of parameter {}", first + r, spec.name).to_string();
        check_enough(k, order.len() as u64, zeros, keys.largest, &group)?;
        if k > 0 {
            // No two pairs of inverted key and position are equal, so the k smallest are certain.
            order.select_nth_unstable(k as usize - 1);
            let from = chosen.len();
            chosen.extend(order[..k as usize].iter().map(|&(_, position)| position));
            chosen[from..].sort_unstable();
        }
        Ok(())
    };
    keys.source.read(param, piece.start, piece.len, &mut |scores| {
        result = scores.chunks(cols).enumerate().try_for_each(|(r, row)| choose(r, row));
    })?;
    result.map(|()| chosen)
}
