//! Dense products on slices: our own kernels where the processor has AVX-512 or AMX, else the `gemm` crate's.
//!
//! The left factor and the result are f32. The right factor is f32 or bf16, and the product's [`Compute`] says what the
//! operands are multiplied as; sums are f32 in either mode. Without AVX-512 BF16 a product of bf16 operands is one of
//! f32 whose operands were rounded first.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
mod packed;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tiles;

use half::bf16;

pub(crate) use packed::Packed;

use crate::slice::Weight;
use crate::{Compute, Exec};

/// A matrix in memory, with any strides; `D` holds its values.
#[derive(Clone, Copy)]
pub(crate) struct Strided<D> {
    data: D,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A matrix of f32.
pub(crate) type Mat<'a> = Strided<&'a [f32]>;

/// A right factor: a matrix of f32 or bf16.
pub(crate) type Factor<'a> = Strided<Weight<'a>>;

impl<D> Strided<D> {
    /// A row-major matrix.
    pub(crate) fn new(data: D, rows: usize, cols: usize) -> Self {
        Self::with_stride(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows lie `row_stride` values apart.
    pub(crate) fn with_stride(data: D, rows: usize, cols: usize, row_stride: usize) -> Self {
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

    /// A matrix of the same shape and strides over other memory.
    fn over<E>(self, data: E) -> Strided<E> {
        let Self { rows, cols, row_stride, col_stride, .. } = self;
        Strided { data, rows, cols, row_stride, col_stride }
    }
}

impl<'a> From<Mat<'a>> for Factor<'a> {
    fn from(m: Mat<'a>) -> Self {
        m.over(Weight::F32(m.data))
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

/// Whether a matrix lies inside a slice of `len` values.
fn inside(rows: usize, cols: usize, row_stride: usize, col_stride: usize, len: usize) -> bool {
    rows == 0 || cols == 0 || (rows - 1) * row_stride + (cols - 1) * col_stride < len
}

/// `out = scale · a · b` (or `out += …`) on the calling thread.
pub(crate) fn product(compute: Compute, a: Mat<'_>, b: Mat<'_>, scale: f32, out: Out<'_>) {
    run(None, compute, Kernels::best(), a, b.into(), scale, out);
}

/// `out = a · b` (or `out += …`) in the numeric mode and on the threads of `exec`.
pub(crate) fn product_parallel<'a>(exec: &Exec, a: Mat<'_>, b: impl Into<Factor<'a>>, out: Out<'_>) {
    run(threads(exec), exec.compute(), Kernels::best(), a, b.into(), 1.0, out);
}

/// Which kernels carry out a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernels {
    /// The `gemm` crate's.
    Portable,
    /// Ours for f32; products of bf16 operands round them first.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Ours, with the instruction for pairs of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// Ours, with tiles of pairs of bf16.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// The same with a stand-in for the tile unit.
    #[cfg(all(test, target_arch = "x86_64"))]
    AmxStandIn,
}

impl Kernels {
    /// The best that this processor has.
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::simd::has_avx512() {
            return match crate::pairs::available() {
                true if amx::available() => Self::Amx,
                true => Self::Avx512Bf16,
                false => Self::Avx512,
            };
        }
        Self::Portable
    }
}

/// The threads a product may use.
fn threads(exec: &Exec) -> Option<&Exec> {
    (exec.threads() > 1).then_some(exec)
}

fn run(
    exec: Option<&Exec>,
    compute: Compute,
    kernels: Kernels,
    a: Mat<'_>,
    b: Factor<'_>,
    scale: f32,
    out: Out<'_>,
) {
    assert_eq!(a.cols, b.rows, "a product of matrices that do not fit");
    assert!(
        inside(a.rows, a.cols, a.row_stride, a.col_stride, a.data.len())
            && inside(b.rows, b.cols, b.row_stride, b.col_stride, b.data.len()),
        "a matrix reaches beyond its slice"
    );
    assert!(
        out.row_stride >= b.cols && inside(a.rows, b.cols, out.row_stride, 1, out.data.len()),
        "a product reaches beyond its slice"
    );
    match (compute, kernels) {
        #[cfg(target_arch = "x86_64")]
        (Compute::BF16, Kernels::Amx) => {
            tiles::product::<amx::Tiles<amx::Unit>>(exec, a, b, scale, out);
        }
        #[cfg(all(test, target_arch = "x86_64"))]
        (Compute::BF16, Kernels::AmxStandIn) => {
            tiles::product::<amx::Tiles<amx::StandIn>>(exec, a, b, scale, out);
        }
        (Compute::F32, Kernels::Portable) => portable::product(exec, a, b, scale, out),
        (Compute::BF16, Kernels::Portable) => rounded(a, b, |a, b| portable::product(exec, a, b, scale, out)),
        #[cfg(target_arch = "x86_64")]
        (Compute::F32, _) => tiles::product::<avx512::Single>(exec, a, b, scale, out),
        #[cfg(target_arch = "x86_64")]
        (Compute::BF16, Kernels::Avx512Bf16) => {
            tiles::product::<avx512bf16::Pairs>(exec, a, b, scale, out);
        }
        #[cfg(target_arch = "x86_64")]
        (Compute::BF16, Kernels::Avx512) => {
            rounded(a, b, |a, b| tiles::product::<avx512::Single>(exec, a, b, scale, out));
        }
    }
}

/// Calls `work` with the operands rounded to bf16, for processors that cannot do so on the way.
fn rounded(a: Mat<'_>, b: Factor<'_>, work: impl FnOnce(Mat<'_>, Factor<'_>)) {
    let round = |values: &[f32]| values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect::<Vec<f32>>();
    let left = round(a.data);
    let a = a.over(&left[..]);
    match b.data {
        Weight::F32(values) => work(a, b.over(Weight::F32(&round(values)))),
        Weight::BF16(_) => work(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fast, random, random_bf16, values};

    /// Rows, columns and inner dimensions: whole tiles and every kind of remainder.
    const SHAPES: [(usize, usize, usize); 11] = [
        (1, 1, 1),
        (8, 48, 16),
        (7, 49, 33),
        (65, 100, 641),
        (130, 47, 1301),
        (9, 1000, 1100),
        (3, 5, 0),
        (70, 50, 1537),
        (17, 96, 3100),
        // Blocks of rows and stretches of the inner dimension that are full.
        (64, 48, 640),
        (128, 50, 1536),
    ];

    /// A test for each of these functions and each kernel. Those of kernels that this processor lacks are reported as ignored.
    macro_rules! on_each_kernel {
        ($($test:ident),*) => {
            mod on_portable {
                $(#[test] fn $test() { super::$test(super::Kernels::Portable); })*
            }
            on_each_kernel! { on_avx512, Avx512, cpu_avx512, "no AVX-512", $($test),* }
            on_each_kernel! { on_avx512bf16, Avx512Bf16, cpu_avx512bf16, "no AVX-512 BF16", $($test),* }
            on_each_kernel! { on_amx_stand_in, AmxStandIn, cpu_avx512bf16, "no AVX-512 BF16", $($test),* }
            on_each_kernel! { on_amx, Amx, cpu_amx, "no AMX", $($test),* }
        };
        ($name:ident, $kernels:ident, $unit:ident, $lacks:literal, $($test:ident),*) => {
            #[cfg(target_arch = "x86_64")]
            mod $name {
                $(
                    #[test]
                    #[cfg_attr(not($unit), ignore = concat!("this processor has ", $lacks))]
                    fn $test() {
                        crate::gemm::tests::check_present(super::Kernels::$kernels);
                        super::$test(super::Kernels::$kernels);
                    }
                )*
            }
        };
    }
    pub(super) use on_each_kernel;

    /// Fails on a processor without what the kernels need, which is another one than the tests were built on.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn check_present(kernels: Kernels) {
        let present = match kernels {
            Kernels::Portable => true,
            Kernels::Avx512 => crate::simd::has_avx512(),
            Kernels::Avx512Bf16 | Kernels::AmxStandIn => crate::pairs::available(),
            Kernels::Amx => amx::available(),
        };
        assert!(
            present,
            "this processor lacks what {kernels:?} needs; the tests were built on another: build them again"
        );
    }

    on_each_kernel! {
        f32_products_agree_with_f64_sums, bf16_products_are_sums_over_rounded_operands, what_is_no_number_stays_none
    }

    fn turned(x: &[f32], rows: usize, cols: usize, stride: usize) -> Vec<f32> {
        (0..cols * rows).map(|i| x[(i % rows) * stride + i / rows]).collect()
    }

    fn halves(x: &[f32]) -> Vec<bf16> {
        x.iter().map(|&v| bf16::from_f32(v)).collect()
    }

    /// Every layout of both factors, against sums in f64 of operands as `round` leaves them.
    fn check(kernels: Kernels, compute: Compute, right_is_bf16: bool, round: impl Fn(f32) -> f32) {
        for (m, n, k) in SHAPES {
            let a = values(&random(1, &[m, k + 2]));
            let b = values(&if right_is_bf16 { random_bf16(2, &[k, n]) } else { random(2, &[k, n]) });
            let (at, bt) = (turned(&a, m, k, k + 2), turned(&b, k, n, n));
            let (half, half_t) = (halves(&b), halves(&bt));
            let (whole, whole_t) = match right_is_bf16 {
                true => (Weight::BF16(&half), Weight::BF16(&half_t)),
                false => (Weight::F32(&b), Weight::F32(&bt)),
            };
            let exact = |i: usize, j: usize| -> f64 {
                (0..k).map(|l| f64::from(round(a[i * (k + 2) + l])) * f64::from(round(b[l * n + j]))).sum()
            };
            let lefts = [Mat::with_stride(&a, m, k, k + 2), Mat::new(&at, k, m).t()];
            let rights = [Factor::new(whole, k, n), Factor::new(whole_t, n, k).t()];
            let stride = n + 3;
            let expected: Vec<f64> = (0..m * n).map(|i| 0.5 * exact(i / n.max(1), i % n.max(1))).collect();
            for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
                for add in [false, true] {
                    let start = vec![0.25; m * stride];
                    let (mut alone, mut shared) = (start.clone(), start);
                    let to = Out { data: &mut alone, row_stride: stride, add };
                    run(None, compute, kernels, left, right, 0.5, to);
                    let to = Out { data: &mut shared, row_stride: stride, add };
                    run(Some(&fast()), compute, kernels, left, right, 0.5, to);
                    if kernels != Kernels::Portable {
                        assert_eq!(alone, shared, "{kernels:?}: the number of threads matters");
                    }
                    for (i, value) in alone.iter().chain(&shared).enumerate() {
                        let (row, col) = (i % (m * stride) / stride, i % stride);
                        let base = if add { 0.25 } else { 0.0 };
                        let expected = if col < n { expected[row * n + col] + base } else { 0.25 };
                        let error = (f64::from(*value) - expected).abs();
                        assert!(
                            error < 1e-4,
                            "{kernels:?} {m}×{n}×{k} at {row}, {col}: {value}, not {expected}"
                        );
                    }
                }
            }
        }
    }

    fn f32_products_agree_with_f64_sums(kernels: Kernels) {
        check(kernels, Compute::F32, false, |v| v);
        check(kernels, Compute::F32, true, |v| v);
    }

    fn bf16_products_are_sums_over_rounded_operands(kernels: Kernels) {
        let round = |v: f32| bf16::from_f32(v).to_f32();
        check(kernels, Compute::BF16, false, round);
        check(kernels, Compute::BF16, true, round);
    }

    fn what_is_no_number_stays_none(kernels: Kernels) {
        for compute in [Compute::F32, Compute::BF16] {
            for bad in [f32::NAN, f32::from_bits(0x7fff_ffff), f32::INFINITY] {
                let mut a = vec![1.0; 40];
                a[7] = bad;
                let b = vec![1.0; 40 * 20];
                let mut out = vec![0.0; 20];
                let to = Out { data: &mut out, row_stride: 20, add: false };
                run(None, compute, kernels, Mat::new(&a, 1, 40), Mat::new(&b, 40, 20).into(), 1.0, to);
                assert!(out.iter().all(|v| !v.is_finite()), "{kernels:?} {compute:?} {bad}: {out:?}");
            }
        }
    }
}
