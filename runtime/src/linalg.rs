//! Exact decompositions of dense matrices, in f64: singular values, and an orthogonal times a triangular matrix; and systems
//! of linear equations.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};

use crate::{Error, Result};

/// `u * diag(s) * vt`, of a matrix with `rows` rows and `cols` columns and `k`, the smaller of the two.
pub struct Svd {
    /// `[rows, k]`, row by row: orthonormal columns.
    pub u: Vec<f64>,
    /// `[k]`: the singular values, largest first.
    pub s: Vec<f64>,
    /// `[k, cols]`, row by row: orthonormal rows.
    pub vt: Vec<f64>,
}

/// `q * r`, of a matrix with `rows` rows and `cols` columns and `k`, the smaller of the two.
pub struct Qr {
    /// `[rows, k]`, row by row: orthonormal columns.
    pub q: Vec<f64>,
    /// `[k, cols]`, row by row: zero below its diagonal, which holds no negative number.
    pub r: Vec<f64>,
}

/// The thin singular value decomposition of a matrix given row by row.
pub fn svd(data: &[f64], rows: usize, cols: usize) -> Result<Svd> {
    let Some((matrix, largest)) = scaled(data, rows, cols)? else {
        let k = rows.min(cols);
        return Ok(Svd { u: unit(rows, k), s: vec![0.0; k], vt: unit(k, cols) });
    };
    let (u, s, v) = thin(&matrix).ok_or_else(|| Error::argument("the singular values do not converge"))?;
    let s = s.into_iter().map(|s| s.max(0.0) * largest).collect();
    Ok(Svd { u: by_rows(u.as_ref()), s, vt: by_rows(v.transpose()) })
}

/// The thin QR decomposition of a matrix given row by row.
pub fn qr(data: &[f64], rows: usize, cols: usize) -> Result<Qr> {
    let k = rows.min(cols);
    let Some((matrix, largest)) = scaled(data, rows, cols)? else {
        return Ok(Qr { q: unit(rows, k), r: vec![0.0; k * cols] });
    };
    let found = matrix.qr();
    let (q, r) = (found.compute_thin_Q(), found.thin_R());
    let sign = |i: usize| if r[(i, i)] < 0.0 { -1.0 } else { 1.0 };
    let q = Mat::from_fn(rows, k, |i, j| q[(i, j)] * sign(j));
    let r = Mat::from_fn(k, cols, |i, j| if j < i { 0.0 } else { r[(i, j)] * sign(i) * largest });
    Ok(Qr { q: by_rows(q.as_ref()), r: by_rows(r.as_ref()) })
}

/// The `x` of `a x = b`, row by row: `a` is square with `n` rows and `b` has `n` rows and `cols` columns, both given row by
/// row. Solved by an LU decomposition with partial pivoting.
///
/// # Errors
/// When a number is not finite, or `a` is singular as far as f64 can tell.
pub fn solve(a: &[f64], n: usize, b: &[f64], cols: usize) -> Result<Vec<f64>> {
    let singular = || Error::argument("the matrix is singular: its equations have no solution, or many");
    let (matrix, largest) = scaled(a, n, n)?.ok_or_else(singular)?;
    let Some((right, scale)) = scaled(b, n, cols)? else { return Ok(vec![0.0; n * cols]) };
    let found = matrix.partial_piv_lu();
    let pivots = (0..n).map(|i| found.U()[(i, i)].abs());
    let (least, most) = pivots.fold((f64::INFINITY, 0f64), |(least, most), p| (least.min(p), most.max(p)));
    if least.is_nan() || least <= most * f64::EPSILON * n as f64 {
        return Err(singular());
    }
    let x = found.solve(&right);
    let scale = scale / largest;
    Ok((0..n * cols).map(|at| x[(at / cols, at % cols)] * scale).collect())
}

/// U, the singular values and V of the thin decomposition; `None` if it does not converge.
pub(crate) fn thin(matrix: &Mat<f64>) -> Option<(Mat<f64>, Vec<f64>, Mat<f64>)> {
    let svd = matrix.thin_svd().ok()?;
    let values = svd.S().column_vector().iter().copied().collect();
    Some((svd.U().to_owned(), values, svd.V().to_owned()))
}

/// The matrix over its largest magnitude, so that squares neither vanish nor overflow; `None` if it holds nothing but zeros.
fn scaled(data: &[f64], rows: usize, cols: usize) -> Result<Option<(Mat<f64>, f64)>> {
    if let Some(at) = data.iter().position(|x| !x.is_finite()) {
        let (row, col) = (at / cols, at % cols);
        return Err(Error::argument(format!(
            "the matrix holds {} in row {row}, column {col} (counted from 0), and must hold finite numbers",
            data[at]
        )));
    }
    let largest = data.iter().fold(0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return Ok(None);
    }
    let given = MatRef::from_row_major_slice(data, rows, cols);
    Ok(Some((Mat::from_fn(rows, cols, |i, j| given[(i, j)] / largest), largest)))
}

/// Ones on the diagonal, zeros elsewhere.
fn unit(rows: usize, cols: usize) -> Vec<f64> {
    (0..rows * cols).map(|at| f64::from(u8::from(at / cols == at % cols))).collect()
}

fn by_rows(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows()).flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)])).collect()
}
