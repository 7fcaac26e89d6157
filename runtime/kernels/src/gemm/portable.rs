//! Dense f32 products by the `gemm` crate. A right factor of bf16 is widened a block at a time.

use gemm::Parallelism;

use super::{Factor, Mat, Out};
use crate::slice::Weight;
use crate::{Exec, simd};

/// Values of a right factor that are widened at a time.
const BLOCK: usize = 1 << 20;

/// `out (+)= scale · a · b`. Everything was checked by the caller.
pub(super) fn product(exec: Option<&Exec>, a: Mat<'_>, b: Factor<'_>, scale: f32, out: Out<'_>) {
    match b.data {
        Weight::F32(data) => matrices(exec, a, b.over(data), scale, out),
        // Stored rows of `b` are its rows.
        Weight::BF16(data) if b.col_stride == 1 => {
            let rows = (BLOCK / b.cols.max(1)).max(1);
            for from in (0..b.rows.max(1)).step_by(rows) {
                let count = rows.min(b.rows - from);
                let wide = widened(data, b.row_stride, from, count, b.cols);
                let left = Mat { data: &a.data[(from * a.col_stride).min(a.data.len())..], cols: count, ..a };
                let to = Out { data: &mut *out.data, row_stride: out.row_stride, add: out.add || from > 0 };
                matrices(exec, left, Mat::new(&wide, count, b.cols), scale, to);
            }
        }
        // Stored rows of `b` are its columns.
        Weight::BF16(data) => {
            let cols = (BLOCK / b.rows.max(1)).max(1);
            for from in (0..b.cols).step_by(cols) {
                let count = cols.min(b.cols - from);
                let wide = widened(data, b.col_stride, from, count, b.rows);
                let to = Out { data: &mut out.data[from..], row_stride: out.row_stride, add: out.add };
                matrices(exec, a, Mat::new(&wide, count, b.rows).t(), scale, to);
            }
        }
    }
}

/// Lines `from..from + count` of stored bf16, as f32 without gaps.
fn widened(data: &[half::bf16], stride: usize, from: usize, count: usize, width: usize) -> Vec<f32> {
    let mut wide = vec![0.0; count * width];
    for (i, line) in wide.chunks_exact_mut(width.max(1)).enumerate() {
        simd::widen(&data[(from + i) * stride..][..width], line);
    }
    wide
}

fn matrices(exec: Option<&Exec>, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    match exec {
        Some(exec) => exec.run(|| call(a, b, scale, out, Parallelism::Rayon(exec.threads()))),
        None => call(a, b, scale, out, Parallelism::None),
    }
}

fn call(a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>, parallelism: Parallelism) {
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
