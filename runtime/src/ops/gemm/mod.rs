//! Dense f32 products on slices: our own kernel where the processor has AVX-512, else the `gemm` crate's.

#[cfg(target_arch = "x86_64")]
mod avx512;

use gemm::Parallelism;

use crate::ops::Exec;

/// A matrix in a slice, with any strides.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows lie `row_stride` values apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose of the same memory.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self) -> bool {
        reach(self.rows, self.cols, self.row_stride, self.col_stride) <= self.data.len()
    }
}

/// The memory a product is written to: rows `row_stride` values apart.
pub(crate) struct Out<'a> {
    /// Where.
    pub(crate) data: &'a mut [f32],
    /// Values from one row to the next.
    pub(crate) row_stride: usize,
    /// Add to what is there; otherwise it is overwritten and never read.
    pub(crate) add: bool,
}

fn reach(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

/// `out = scale · a · b` (or `out += …`) on the calling thread.
pub(crate) fn product(a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    run(None, a, b, scale, out);
}

/// The same on all threads of `exec`.
pub(crate) fn product_parallel(exec: &Exec, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    run((exec.threads() > 1).then_some(exec), a, b, scale, out);
}

fn run(exec: Option<&Exec>, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    assert_eq!(a.cols, b.rows, "a product of matrices that do not fit");
    assert!(a.fits() && b.fits(), "a matrix reaches beyond its slice");
    assert!(
        out.row_stride >= b.cols && reach(a.rows, b.cols, out.row_stride, 1) <= out.data.len(),
        "a product reaches beyond its slice"
    );
    #[cfg(target_arch = "x86_64")]
    if crate::ops::simd::has_avx512() {
        return avx512::product(exec, a, b, scale, out);
    }
    match exec {
        Some(exec) => exec.run(|| portable(a, b, scale, out, Parallelism::Rayon(exec.threads()))),
        None => portable(a, b, scale, out, Parallelism::None),
    }
}

/// The `gemm` crate's product. Everything was checked by [`run`].
fn portable(a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>, parallelism: Parallelism) {
    // SAFETY: all three matrices lie inside their slices (the caller checked), and the output is borrowed mutably, so
    // it overlaps neither input.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.data.as_mut_ptr(),
            1,
            out.row_stride as isize,
            out.add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{fast, random, values};

    #[test]
    fn every_layout_and_odd_shape_agrees_with_f64_sums() {
        for (m, n, k) in
            [(1, 1, 1), (8, 48, 16), (7, 49, 33), (65, 100, 641), (130, 47, 1300), (9, 1000, 1100), (3, 5, 0)]
        {
            let (a, b) = (values(&random(1, &[m, k + 2])), values(&random(2, &[k, n])));
            let turned = |x: &[f32], rows: usize, cols: usize, stride: usize| -> Vec<f32> {
                (0..cols * rows).map(|i| x[(i % rows) * stride + i / rows]).collect()
            };
            let (at, bt) = (turned(&a, m, k, k + 2), turned(&b, k, n, n));
            let exact = |i: usize, j: usize| -> f64 {
                (0..k).map(|l| f64::from(a[i * (k + 2) + l]) * f64::from(b[l * n + j])).sum()
            };
            let lefts = [Mat::strided(&a, m, k, k + 2), Mat::new(&at, k, m).t()];
            let rights = [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()];
            for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
                let stride = n + 3;
                for add in [false, true] {
                    let start = vec![0.25; m * stride];
                    let (mut alone, mut shared) = (start.clone(), start);
                    product(left, right, 0.5, Out { data: &mut alone, row_stride: stride, add });
                    product_parallel(
                        &fast(),
                        left,
                        right,
                        0.5,
                        Out { data: &mut shared, row_stride: stride, add },
                    );
                    assert_eq!(alone, shared);
                    for (i, value) in alone.iter().enumerate() {
                        let (row, col) = (i / stride, i % stride);
                        let base = if add { 0.25 } else { 0.0 };
                        let expected = if col < n { 0.5 * exact(row, col) + base } else { 0.25 };
                        assert!((f64::from(*value) - expected).abs() < 1e-4, "{m}×{n}×{k}: {row}, {col}");
                    }
                }
            }
        }
    }
}
