//! What the tests of operations share: seeded inputs, comparisons, and finite differences.

use candle_core::{DType, Device, Tensor};

use super::Exec;
use crate::Result;

/// The CPU kernels on two threads.
pub(super) fn fast() -> Exec {
    Exec::new(Device::Cpu, 2).expect("two threads")
}

/// The CPU kernels on one thread.
pub(super) fn alone() -> Exec {
    Exec::new(Device::Cpu, 1).expect("one thread")
}

/// The reference path.
pub(super) fn plain() -> Exec {
    Exec::cpu().with_reference(true)
}

/// Values between -1 and 1 that depend on `seed` alone.
pub(super) fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let values = (0..shape.iter().product::<usize>()).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    });
    Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu).expect("values that fill the shape")
}

/// The same, in bf16.
pub(super) fn random_bf16(seed: u64, shape: &[usize]) -> Tensor {
    random(seed, shape).to_dtype(DType::BF16).expect("a cast")
}

/// The values of a tensor.
pub(super) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_dtype(DType::F32)).and_then(|x| x.to_vec1()).expect("values")
}

/// Fails unless shapes are equal and values differ by at most `tolerance` of the largest.
#[track_caller]
pub(super) fn close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shapes");
    let (found, expected) = (values(found), values(expected));
    let largest = expected.iter().fold(0.1f32, |a, b| a.max(b.abs()));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * largest,
            "{what}: value {i} is {a}, expected {b} (largest {largest})"
        );
    }
}

/// Whether a value differs by more than `tolerance` of the largest.
pub(super) fn differs(found: &Tensor, other: &Tensor, tolerance: f32) -> bool {
    let (found, other) = (values(found), values(other));
    let largest = other.iter().fold(0.1f32, |a, b| a.max(b.abs()));
    found.iter().zip(&other).any(|(a, b)| (a - b).abs() > tolerance * largest)
}

/// Fails unless every bit is equal.
#[track_caller]
pub(super) fn same_bits(what: &str, a: &Tensor, b: &Tensor) {
    let bits = |x: &Tensor| values(x).into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert!(a.dims() == b.dims() && bits(a) == bits(b), "{what}: results depend on the number of threads");
}

/// Compares `grad` with central differences of `Σ f(x) · dout` (summed in f64) at up to 40 places of `x`.
#[track_caller]
pub(super) fn check_gradient(
    what: &str,
    x: &Tensor,
    dout: &Tensor,
    grad: &Tensor,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) {
    const STEP: f32 = 1e-2;
    let (base, grad) = (values(x), values(grad));
    let dout: Vec<f64> = values(dout).into_iter().map(f64::from).collect();
    let loss = |at: usize, step: f32| {
        let mut moved = base.clone();
        moved[at] += step;
        let out = f(&Tensor::from_vec(moved, x.dims(), &Device::Cpu).expect("an input")).expect("an output");
        values(&out).into_iter().zip(&dout).map(|(y, d)| f64::from(y) * d).sum::<f64>()
    };
    let largest = grad.iter().fold(1e-3f32, |a, b| a.max(b.abs()));
    let stride = base.len().div_ceil(40).max(1) | 1;
    for at in (0..base.len()).step_by(stride) {
        let slope = ((loss(at, STEP) - loss(at, -STEP)) / f64::from(2.0 * STEP)) as f32;
        let error = (slope - grad[at]).abs();
        assert!(
            error <= 5e-3 * largest,
            "{what}: gradient {at} is {}, finite differences say {slope}",
            grad[at]
        );
    }
}
