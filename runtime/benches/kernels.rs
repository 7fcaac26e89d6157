//! Speed of the kernels on shapes of SmolLM2-135M, as floating-point operations per second.

use candle_core::{DType, Device, Tensor};
use divan::{Bencher, counter::ItemsCount};
use lota_runtime::ops::{Exec, SparseIndex, linear};

fn main() {
    divan::main();
}

const TOKENS: usize = 1024;
const OUT: usize = 1536;
const IN: usize = 576;

fn random(rows: usize, cols: usize) -> Tensor {
    Tensor::randn(0f32, 1.0, (rows, cols), &Device::Cpu).expect("a tensor")
}

fn flops(bencher: Bencher<'_, '_>, count: usize, work: impl FnMut()) {
    bencher.counter(ItemsCount::new(count)).bench_local(work);
}

#[divan::bench(args = [DType::F32, DType::BF16])]
fn linear_forward(bencher: Bencher, dtype: DType) {
    let (exec, x, w) = (Exec::cpu(), random(TOKENS, IN), random(OUT, IN).to_dtype(dtype).expect("a cast"));
    flops(bencher, 2 * TOKENS * OUT * IN, || drop(linear::forward(&exec, &x, &w, None)));
}

#[divan::bench(args = [DType::F32, DType::BF16])]
fn linear_one_token(bencher: Bencher, dtype: DType) {
    let (exec, x, w) = (Exec::cpu(), random(1, IN), random(OUT, IN).to_dtype(dtype).expect("a cast"));
    flops(bencher, 2 * OUT * IN, || drop(linear::forward(&exec, &x, &w, None)));
}

#[divan::bench]
fn linear_backward_input(bencher: Bencher) {
    let (exec, dy, w) = (Exec::cpu(), random(TOKENS, OUT), random(OUT, IN));
    flops(bencher, 2 * TOKENS * OUT * IN, || drop(linear::backward_input(&exec, &dy, &w)));
}

#[divan::bench]
fn linear_weight_grad_dense(bencher: Bencher) {
    let (exec, dy, x) = (Exec::cpu(), random(TOKENS, OUT), random(TOKENS, IN));
    flops(bencher, 2 * TOKENS * OUT * IN, || drop(linear::weight_grad_dense(&exec, &dy, &x)));
}

#[divan::bench(args = [1, 5, 10, 20, 30])]
fn linear_weight_grad_at_percent(bencher: Bencher, percent: u64) {
    let (exec, dy, x) = (Exec::cpu(), random(TOKENS, OUT), random(TOKENS, IN));
    let total = (OUT * IN) as u64;
    let mut state = 1u64;
    let kept = (0..total).filter(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 100 < percent
    });
    let index = SparseIndex::from_sorted(OUT, IN, kept.map(|i| i as u32)).expect("an index");
    let count = 2 * TOKENS * index.nnz();
    flops(bencher, count, || drop(linear::weight_grad_at(&exec, &dy, &linear::Input::new(&x), &index)));
}
