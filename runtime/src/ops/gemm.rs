//! Dense f32 products on slices.

use gemm::Parallelism;

use super::Exec;

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
    call(a, b, scale, out, Parallelism::None);
}

/// The same on all threads of `exec`.
pub(crate) fn product_parallel(exec: &Exec, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    let threads = exec.threads();
    if threads == 1 {
        return product(a, b, scale, out);
    }
    exec.run(|| call(a, b, scale, out, Parallelism::Rayon(threads)));
}

fn call(a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>, parallelism: Parallelism) {
    assert_eq!(a.cols, b.rows, "a product of matrices that do not fit");
    assert!(a.fits() && b.fits(), "a matrix reaches beyond its slice");
    assert!(
        out.row_stride >= b.cols && reach(a.rows, b.cols, out.row_stride, 1) <= out.data.len(),
        "a product reaches beyond its slice"
    );
    // SAFETY: all three matrices lie inside their slices (checked above), and the output is borrowed mutably, so it
    // overlaps neither input.
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
