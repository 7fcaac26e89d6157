//! Work on rows of output buffers, shared among threads in pieces that do not depend on their number.

use rayon::prelude::*;

use super::Exec;

/// Values a piece of work should have at least, so that handing it over is worth it.
const PIECE: usize = 1 << 14;

/// Rows per piece.
fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Calls `work(first_row, rows)` for pieces of `out`, whose rows have `width` values.
pub(crate) fn rows(
    exec: &Exec,
    out: &mut [f32],
    width: usize,
    work: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    let block = rows_per_piece(width);
    if out.len() <= PIECE || exec.threads() == 1 {
        for (i, piece) in out.chunks_mut((block * width).max(1)).enumerate() {
            work(i * block, piece);
        }
        return;
    }
    exec.run(|| {
        out.par_chunks_mut(block * width).enumerate().for_each(|(i, piece)| work(i * block, piece));
    });
}

/// Calls `work(first_row, rows_a, rows_b)` for pieces of two outputs with as many rows.
pub(crate) fn rows2(
    exec: &Exec,
    (a, a_width): (&mut [f32], usize),
    (b, b_width): (&mut [f32], usize),
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync + Send,
) {
    let block = rows_per_piece(a_width.max(b_width));
    let (a_piece, b_piece) = ((block * a_width).max(1), (block * b_width).max(1));
    if a.len().max(b.len()) <= PIECE || exec.threads() == 1 {
        for (i, (a, b)) in a.chunks_mut(a_piece).zip(b.chunks_mut(b_piece)).enumerate() {
            work(i * block, a, b);
        }
        return;
    }
    exec.run(|| {
        let pieces = a.par_chunks_mut(a_piece).zip(b.par_chunks_mut(b_piece));
        pieces.enumerate().for_each(|(i, (a, b))| work(i * block, a, b));
    });
}

/// Rows that one partial sum of [`column_sums`] covers.
const SUM_ROWS: usize = 64;

/// Sums over rows: `add(row, sums)` adds row `row` to `sums` (`width` values). Partial sums of fixed blocks of rows
/// are added in order, so the result does not depend on the number of threads.
pub(crate) fn column_sums(
    exec: &Exec,
    rows: usize,
    width: usize,
    add: impl Fn(usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let partial = |block: usize| {
        let mut sums = vec![0.0; width];
        for row in block * SUM_ROWS..((block + 1) * SUM_ROWS).min(rows) {
            add(row, &mut sums);
        }
        sums
    };
    let blocks = rows.div_ceil(SUM_ROWS);
    let partials: Vec<Vec<f32>> = exec.run(|| (0..blocks).into_par_iter().map(partial).collect());
    let mut parts = partials.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; width]);
    for part in parts {
        for (sum, value) in total.iter_mut().zip(part) {
            *sum += value;
        }
    }
    total
}
