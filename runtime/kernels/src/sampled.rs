//! Products of two activations at the masked entries only: `values[k] = Σ_t dy[t, row_k] · x[t, col_k]`.
//!
//! Tokens are cut into panels of at most 256 words. Of a panel, `x` is transposed once (`[features][words]`), so that an
//! entry's column is a short run of memory; `dy` is transposed a few rows at a time just before they are used. One row
//! of `dy` stays in registers for all of its masked entries. A word is a token's value, or, where products are of bf16
//! and the processor can, the values of two tokens.

use std::borrow::Cow;
use std::cell::RefCell;

use rayon::prelude::*;

use super::index::Cols;
use super::simd::multiversion;
use super::transpose::{Strip, turn};
use super::{Compute, Exec, SparseIndex, par};

/// Above this density one dense product and a gather are faster, in either numeric mode (docs/performance.md has the
/// measurement: 1024 tokens, a matrix of 1536×576, AVX-512).
pub(super) const BREAK_EVEN: f64 = 0.36;

/// Most words of a panel: a row of them fills sixteen registers of sixteen words.
const PANEL: usize = 256;
/// Words of a register; panels are padded to whole registers.
const LANES: usize = 16;
/// Rows of `dy` transposed at a time: a cache line of each token.
const GROUP: usize = 16;

thread_local! {
    /// The transposed input, kept between calls: fresh memory costs more than the turn.
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The tokens of a batch cut into equal panels.
#[derive(Clone, Copy)]
struct Cut {
    tokens: usize,
    step: usize,
    padded: usize,
}

impl Cut {
    fn new(tokens: usize) -> Self {
        let panels = tokens.div_ceil(PANEL).max(1);
        let step = tokens.div_ceil(panels);
        Self { tokens, step, padded: step.next_multiple_of(LANES) }
    }

    fn panels(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.tokens).step_by(self.step.max(1)).map(move |at| (at, self.step.min(self.tokens - at)))
    }
}

/// An input `[tokens, features]` turned into columns, for any number of products with it.
pub(super) struct Columns {
    words: Vec<f32>,
    cut: Cut,
    tokens: usize,
    features: usize,
    pairs: bool,
}

impl Drop for Columns {
    fn drop(&mut self) {
        COLUMNS.replace(std::mem::take(&mut self.words));
    }
}

impl Columns {
    pub(super) fn new(exec: &Exec, x: &[f32], features: usize) -> Self {
        let tokens = x.len() / features.max(1);
        let pairs = in_pairs(exec);
        let (x, count) = words(exec, pairs, x, tokens, features);
        let cut = Cut::new(count);
        let mut columns = COLUMNS.take();
        transpose(exec, &x, features, cut, &mut columns);
        Self { words: columns, cut, tokens, features, pairs }
    }

    /// With `dy [tokens, index.rows()]`: the products at the masked entries, `[nnz]`.
    pub(super) fn product(&self, exec: &Exec, dy: &[f32], index: &SparseIndex) -> Vec<f32> {
        assert!(
            index.cols() == self.features && dy.len() == self.tokens * index.rows(),
            "a gradient and an index that fit the input"
        );
        let mut values = vec![0.0; index.nnz()];
        if values.is_empty() || self.tokens == 0 {
            return values;
        }
        let (dy, _) = words(exec, self.pairs, dy, self.tokens, index.rows());
        pieces(exec, index, &mut values, |first, last, values| match index.col_idx() {
            Cols::U16(cols) => rows(&dy, self, index, cols, (first, last), values),
            Cols::U32(cols) => rows(&dy, self, index, cols, (first, last), values),
        });
        values
    }
}

/// Whether a word holds two tokens.
pub(super) fn in_pairs(exec: &Exec) -> bool {
    #[cfg(target_arch = "x86_64")]
    return exec.compute() == Compute::BF16 && super::pairs::available();
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = exec;
        false
    }
}

/// Values `[tokens, features]` as rows of words, and how many rows there are.
fn words<'a>(
    exec: &Exec,
    pairs: bool,
    x: &'a [f32],
    tokens: usize,
    features: usize,
) -> (Cow<'a, [f32]>, usize) {
    #[cfg(target_arch = "x86_64")]
    if pairs {
        let count = tokens.div_ceil(2);
        // SAFETY: every row is written below.
        let mut words = unsafe { super::slice::uninit(count * features) };
        par::rows(exec, &mut words, features, |first, lines| {
            for (i, line) in (first..).zip(lines.chunks_exact_mut(features)) {
                let row = |t: usize| {
                    (t < tokens).then(|| super::slice::Weight::F32(&x[t * features..(t + 1) * features]))
                };
                super::pairs::interleave(row(2 * i), row(2 * i + 1), line);
            }
        });
        return (Cow::Owned(words), count);
    }
    let _ = (exec, pairs, features);
    (Cow::Borrowed(x), tokens)
}

/// Rows of words `[count, features]` as panels `[panel][feature][padded words]`.
fn transpose(exec: &Exec, x: &[f32], features: usize, cut: Cut, columns: &mut Vec<f32>) {
    columns.resize(cut.panels().count() * features * cut.padded, 0.0);
    if cut.panels().any(|(_, count)| count < cut.padded) {
        columns.fill(0.0);
    }
    for ((at, count), panel) in cut.panels().zip(columns.chunks_exact_mut((features * cut.padded).max(1))) {
        par::rows(exec, panel, cut.padded, |first, rows| {
            for (i, rows) in rows.chunks_mut(LANES * cut.padded).enumerate() {
                let width = rows.len() / cut.padded;
                let strip = Strip { stride: features, first: first + i * LANES, width, tokens: count };
                turn(&x[at * features..], strip, rows, cut.padded);
            }
        });
    }
}

/// Calls `work(first_row, last_row, values)` for pieces of the rows with about equally many entries, each with its part
/// of `values`. An entry's value must not depend on where the cuts are: they follow the number of threads.
pub(super) fn pieces(
    exec: &Exec,
    index: &SparseIndex,
    mut values: &mut [f32],
    work: impl Fn(usize, usize, &mut [f32]) + Sync + Send,
) {
    if exec.threads() == 1 {
        return work(0, index.rows(), values);
    }
    let target = index.nnz().div_ceil(exec.threads() * 4).max(1);
    let (mut pieces, mut first, mut start) = (Vec::new(), 0, 0);
    for last in 1..=index.rows() {
        let end = index.row_ptr()[last] as usize;
        if (end - start >= target && last % GROUP == 0) || last == index.rows() {
            let (part, rest) = values.split_at_mut(end - start);
            pieces.push((first, last, part));
            values = rest;
            (first, start) = (last, end);
        }
    }
    exec.run(|| pieces.into_par_iter().for_each(|(first, last, values)| work(first, last, values)));
}

/// The entries of rows `first..last`.
fn rows<C: Copy + Into<u32>>(
    dy: &[f32],
    columns: &Columns,
    index: &SparseIndex,
    cols: &[C],
    (first, last): (usize, usize),
    values: &mut [f32],
) {
    let (width, cut) = (index.rows(), columns.cut);
    let padded = cut.padded;
    let start = index.row_ptr()[first] as usize;
    let mut group = vec![0.0; GROUP * padded];
    let mut found: Vec<u32> = Vec::new();
    for ((at, count), panel) in cut.panels().zip(columns.words.chunks_exact(index.cols() * padded)) {
        if count < padded {
            group.fill(0.0);
        }
        for from in (first..last).step_by(GROUP) {
            let to = (from + GROUP).min(last);
            if index.row_ptr()[from] == index.row_ptr()[to] {
                continue;
            }
            let strip = Strip { stride: width, first: from, width: to - from, tokens: count };
            turn(&dy[at * width..], strip, &mut group, padded);
            for (row, line) in (from..to).zip(group.chunks_exact(padded)) {
                let entries = index.row(row);
                if entries.is_empty() {
                    continue;
                }
                found.clear();
                found.extend(cols[entries.clone()].iter().map(|&col| col.into()));
                let values = &mut values[entries.start - start..entries.end - start];
                dots(columns.pairs, line, panel, &found, values);
            }
        }
    }
}

/// Adds to `values` the products of `line` with the columns `cols` of a panel, of words that are values or `pairs`.
fn dots(pairs: bool, line: &[f32], panel: &[f32], cols: &[u32], values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::simd::has_avx512() {
        return super::sampled_avx512::dots(pairs, line, panel, cols, values);
    }
    assert!(!pairs, "pairs are only made where they can be multiplied");
    dots_plain(line, panel, cols, values);
}

multiversion! {
    /// [`dots`] on any machine.
    fn dots_plain<I>(line: &[f32], panel: &[f32], cols: &[u32], values: &mut [f32]) {
        for (&col, value) in cols.iter().zip(values) {
            let column = &panel[col as usize * line.len()..][..line.len()];
            let mut sums = [0.0f32; LANES];
            for (a, b) in line.chunks_exact(LANES).zip(column.chunks_exact(LANES)) {
                for i in 0..LANES {
                    sums[i] = I::madd(a[i], b[i], sums[i]);
                }
            }
            let mut width = LANES / 2;
            while width > 0 {
                for i in 0..width {
                    sums[i] += sums[i + width];
                }
                width /= 2;
            }
            *value += sums[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::Result;
    use crate::testing::{alone, fast, random, values};

    #[test]
    fn every_panel_size_and_mode_agrees_with_f64_sums() -> Result<()> {
        for (tokens, cols, rows) in [
            (1, 3, 5),
            (16, 40, 33),
            (33, 20, 17),
            (100, 19, 70),
            (255, 65, 17),
            (257, 33, 40),
            (513, 17, 20),
            (777, 18, 35),
        ] {
            let (x, dy) = (values(&random(1, &[tokens, cols])), values(&random(2, &[tokens, rows])));
            let kept = (0..(rows * cols) as u32).filter(|i| i % 3 == 0 && i / 50 % 4 != 1);
            let index = SparseIndex::from_sorted(rows, cols, kept)?;
            for compute in [Compute::F32, Compute::BF16] {
                let (two, one) = (fast().with_compute(compute), alone().with_compute(compute));
                let found = Columns::new(&two, &x, cols).product(&two, &dy, &index);
                assert_eq!(found, Columns::new(&one, &x, cols).product(&one, &dy, &index));
                let round = |v: f32| match in_pairs(&two) {
                    true => bf16::from_f32(v).to_f64(),
                    false => f64::from(v),
                };
                for (at, value) in index.iter().zip(found) {
                    let (row, col) = (at as usize / cols, at as usize % cols);
                    let exact: f64 =
                        (0..tokens).map(|t| round(dy[t * rows + row]) * round(x[t * cols + col])).sum();
                    let error = (f64::from(value) - exact).abs();
                    assert!(error < 1e-5 * (tokens as f64).sqrt(), "{compute:?} {row}, {col}");
                }
            }
            let columns = Columns::new(&alone(), &x, cols);
            let line = vec![0.5; columns.cut.padded];
            let wanted: Vec<u32> = (0..cols as u32).collect();
            let (mut chosen, mut plain) = (vec![1.0; cols], vec![1.0; cols]);
            let panel = &columns.words[..cols * columns.cut.padded];
            dots(false, &line, panel, &wanted, &mut chosen);
            dots_plain(&line, panel, &wanted, &mut plain);
            assert!(chosen.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-4));
        }
        Ok(())
    }
}
