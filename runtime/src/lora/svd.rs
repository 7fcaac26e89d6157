//! The best approximation of a matrix by one of low rank, by a randomized range finder.
//!
//! Halko, Martinsson and Tropp 2011 (arXiv 0909.4061), algorithms 4.4 and 5.1: the matrix times a few more random
//! vectors than the rank spans nearly the wanted space; each power iteration, with an orthonormal
//! basis made after every product, brings it nearer; the small matrix in that basis is decomposed
//! exactly.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use crate::host::Rng;
use crate::linalg;

/// Rows of the remainder computed at a time.
const ROWS: usize = 256;

/// A matrix as `left * right`, and how far that is off.
pub struct LowRank {
    /// The rank of the factors.
    pub rank: usize,
    /// `[rows, rank]`, row by row: left singular vectors times the roots of their values.
    pub left: Vec<f32>,
    /// `[rank, columns]`, row by row: the roots of the values times right singular vectors.
    pub right: Vec<f32>,
    /// The Frobenius norm of what is not in the product.
    pub error: f64,
    /// The Frobenius norm of the matrix.
    pub norm: f64,
}

/// How the space is found.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How many random vectors more than the rank.
    pub oversample: usize,
    /// How many power iterations.
    pub power: usize,
}

/// Approximates a matrix given row by row, of finite numbers; `None` if the decomposition does not converge.
pub fn low_rank(
    data: &[f32],
    rows: usize,
    cols: usize,
    rank: usize,
    search: Search,
    rng: &mut Rng,
) -> Option<LowRank> {
    let least = rows.min(cols);
    let rank = rank.min(least);
    let largest = data.iter().fold(0f32, |m, v| m.max(v.abs()));
    if largest == 0.0 {
        let (left, right) = (vec![0.0; rows * rank], vec![0.0; rank * cols]);
        return Some(LowRank { rank, left, right, error: 0.0, norm: 0.0 });
    }
    // Entries near 1, so that squares neither vanish nor overflow.
    let given = MatRef::from_row_major_slice(data, rows, cols);
    let matrix = Mat::from_fn(rows, cols, |i, j| given[(i, j)] / largest);
    let sketch = (rank + search.oversample).min(least);
    let basis = (sketch < least).then(|| range(&matrix, sketch, search.power, rng));
    let small = match &basis {
        Some(basis) => product(basis.transpose(), matrix.as_ref()),
        None => matrix.clone(),
    };
    // In f32 a value of 1e-5 of the largest may be lost here, where it is one of the wanted.
    let small = Mat::from_fn(small.nrows(), small.ncols(), |i, j| f64::from(small[(i, j)]));
    let (u, values, v) = linalg::thin(&small)?;
    let narrow = |m: Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
    let (u, v) = (narrow(u), narrow(v));
    let values: Vec<f32> = values.into_iter().map(|s| s as f32).collect();
    let u = match &basis {
        Some(basis) => product(basis.as_ref(), u.as_ref()),
        None => u,
    };
    let root = |k: usize| values[k].max(0.0).sqrt() * largest.sqrt();
    let mut left = Vec::with_capacity(rows * rank);
    (0..rows).for_each(|i| left.extend((0..rank).map(|k| u[(i, k)] * root(k))));
    let mut right = Vec::with_capacity(rank * cols);
    (0..rank).for_each(|k| right.extend((0..cols).map(|j| v[(j, k)] * root(k))));
    let (error, norm) = remainder(data, rows, cols, &left, &right, rank);
    Some(LowRank { rank, left, right, error, norm })
}

/// An orthonormal basis of nearly the space of the largest singular vectors on the left.
fn range(matrix: &Mat<f32>, sketch: usize, power: usize, rng: &mut Rng) -> Mat<f32> {
    let random = Mat::from_fn(matrix.ncols(), sketch, |_, _| rng.normal() as f32);
    let mut basis = orthonormal(&product(matrix.as_ref(), random.as_ref()));
    for _ in 0..power {
        let other = orthonormal(&product(matrix.transpose(), basis.as_ref()));
        basis = orthonormal(&product(matrix.as_ref(), other.as_ref()));
    }
    basis
}

fn orthonormal(matrix: &Mat<f32>) -> Mat<f32> {
    matrix.qr().compute_thin_Q()
}

/// A product on this thread: parameters run in parallel, and sums come out the same whatever the
/// number of threads.
fn product(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Mat<f32> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// The norm of `data - left * right`, and that of `data`.
fn remainder(data: &[f32], rows: usize, cols: usize, left: &[f32], right: &[f32], rank: usize) -> (f64, f64) {
    let right = MatRef::from_row_major_slice(right, rank, cols);
    let (mut error, mut norm) = (0.0, 0.0);
    for first in (0..rows).step_by(ROWS) {
        let here = ROWS.min(rows - first);
        let left = MatRef::from_row_major_slice(&left[first * rank..(first + here) * rank], here, rank);
        let near = product(left, right);
        for i in 0..here {
            for (j, &exact) in data[(first + i) * cols..][..cols].iter().enumerate() {
                let off = f64::from(exact) - f64::from(near[(i, j)]);
                error += off * off;
                norm += f64::from(exact) * f64::from(exact);
            }
        }
    }
    (error.sqrt(), norm.sqrt())
}
