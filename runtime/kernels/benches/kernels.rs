//! Speed of each operation on shapes of SmolLM2-135M: 4 sequences of 256 tokens, width 576, 9 heads of 64 and 3 of
//! keys, 1536 inside the MLP, 49152 words.
//!
//! Products count floating-point operations, the rest values written; an argument `bf16` stands for weights and products
//! of bf16. Run with `cargo bench --workspace --bench kernels -- [NAME]`. Masks, selection and tickets are in `mask.rs`.

use candle_core::{DType, Device, Tensor};
use divan::{Bencher, counter::ItemsCount};
use lota_kernels::Result;
use lota_kernels::attention::{self, Attention, Saved};
use lota_kernels::glu::{self, Act};
use lota_kernels::head::{self, Head, Labels};
use lota_kernels::rms_norm::{self, RmsNorm};
use lota_kernels::rope::{self, Rotation};
use lota_kernels::{Compute, Exec, SparseIndex, Want, elementwise, embedding, linear, scatter};

fn main() {
    divan::main();
}

const TOKENS: usize = 1024;
const SEQUENCE: u32 = 256;
const OUT: usize = 1536;
const IN: usize = 576;
const VOCAB: usize = 49152;
const HEADS: Attention =
    Attention { heads: 9, kv_heads: 3, head_dim: 64, scale: 0.125, window: None, softcap: None };
const BOUNDS: [u32; 5] = [0, SEQUENCE, 2 * SEQUENCE, 3 * SEQUENCE, 4 * SEQUENCE];

fn random(rows: usize, cols: usize) -> Tensor {
    Tensor::randn(0f32, 1.0, (rows, cols), &Device::Cpu).expect("a tensor of a few megabytes")
}

/// Weights in the type that `mode` names.
fn weight(rows: usize, cols: usize, mode: &str) -> Tensor {
    let dtype = if mode == "bf16" { DType::BF16 } else { DType::F32 };
    random(rows, cols).to_dtype(dtype).expect("f32 can be cast")
}

/// Kernels whose products are of the type that `mode` names.
fn exec(mode: &str) -> Exec {
    Exec::cpu().with_compute(if mode == "bf16" { Compute::BF16 } else { Compute::F32 })
}

/// Times `work`, which makes `count` values or does as many floating-point operations.
fn time<T>(bencher: Bencher<'_, '_>, count: usize, mut work: impl FnMut() -> Result<T>) {
    bencher.counter(ItemsCount::new(count)).bench_local(|| work().expect("operands that fit"));
}

const MODES: [&str; 2] = ["f32", "bf16"];

#[divan::bench(args = MODES)]
fn linear_forward(bencher: Bencher, mode: &str) {
    let (exec, x, w) = (exec(mode), random(TOKENS, IN), weight(OUT, IN, mode));
    time(bencher, 2 * TOKENS * OUT * IN, || linear::forward(&exec, &x, &w, None));
}

#[divan::bench(args = MODES)]
fn linear_one_token(bencher: Bencher, mode: &str) {
    let (exec, x, w) = (exec(mode), random(1, IN), weight(OUT, IN, mode));
    time(bencher, 2 * OUT * IN, || linear::forward(&exec, &x, &w, None));
}

#[divan::bench(args = MODES)]
fn linear_backward_input(bencher: Bencher, mode: &str) {
    let (exec, dy, w) = (exec(mode), random(TOKENS, OUT), weight(OUT, IN, mode));
    time(bencher, 2 * TOKENS * OUT * IN, || linear::backward_input(&exec, &dy, &w));
}

#[divan::bench(args = MODES)]
fn linear_weight_grad_dense(bencher: Bencher, mode: &str) {
    let (exec, dy, x) = (exec(mode), random(TOKENS, OUT), random(TOKENS, IN));
    time(bencher, 2 * TOKENS * OUT * IN, || linear::weight_grad_dense(&exec, &dy, &x));
}

/// Every entry of a matrix with the chance of so many percent.
fn index(rows: usize, cols: usize, percent: f64) -> SparseIndex {
    let mut state = 1u64;
    let kept = (0..(rows * cols) as u32).filter(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64) < percent / 100.0 * (1u64 << 31) as f64
    });
    SparseIndex::from_sorted(rows, cols, kept).expect("rising entries")
}

/// Above a density of the kernel's own choosing this is the dense product and a gather.
fn weight_grad_at(bencher: Bencher<'_, '_>, mode: &str, percent: f64) {
    let (exec, dy, x, index) = (exec(mode), random(TOKENS, OUT), random(TOKENS, IN), index(OUT, IN, percent));
    let count = 2 * TOKENS * index.nnz();
    time(bencher, count, || linear::weight_grad_at(&exec, &dy, &linear::Input::new(&x), &index));
}

const PERCENT: [f64; 8] = [0.1, 1.0, 5.0, 10.0, 20.0, 30.0, 32.0, 50.0];

#[divan::bench(args = PERCENT)]
fn linear_weight_grad_at_percent(bencher: Bencher, percent: f64) {
    weight_grad_at(bencher, "f32", percent);
}

#[divan::bench(args = PERCENT)]
fn linear_weight_grad_at_percent_bf16(bencher: Bencher, percent: f64) {
    weight_grad_at(bencher, "bf16", percent);
}

#[divan::bench]
fn linear_bias_grad(bencher: Bencher) {
    let (exec, dy) = (Exec::cpu(), random(TOKENS, OUT));
    time(bencher, OUT, || linear::bias_grad(&exec, &dy));
}

const NORM: RmsNorm = RmsNorm { eps: 1e-5, offset: false };

#[divan::bench]
fn rms_norm_forward(bencher: Bencher) {
    let (exec, x, w) = (Exec::cpu(), random(TOKENS, IN), random(1, IN).flatten_all().expect("a row"));
    time(bencher, TOKENS * IN, || rms_norm::forward(&exec, NORM, &x, &w));
}

#[divan::bench]
fn rms_norm_backward(bencher: Bencher) {
    let (exec, x, dy) = (Exec::cpu(), random(TOKENS, IN), random(TOKENS, IN));
    let w = random(1, IN).flatten_all().expect("a row");
    let (_, inv) = rms_norm::forward(&exec, NORM, &x, &w).expect("operands that fit");
    time(bencher, TOKENS * IN, || rms_norm::backward(&exec, NORM, &x, &w, &inv, &dy, false));
}

/// Queries of 4 sequences, and how they are turned.
fn rotation(exec: &Exec) -> Rotation {
    let frequencies: Vec<f32> = (0..32).map(|i| 1e5f32.powf(i as f32 / -32.0)).collect();
    let positions: Vec<u32> = (0..TOKENS as u32).map(|t| t % SEQUENCE).collect();
    Rotation::at(exec, &frequencies, &positions, 1.0).expect("as many positions as tokens")
}

#[divan::bench]
fn rope_forward(bencher: Bencher) {
    let (exec, x) = (Exec::cpu(), random(TOKENS, IN));
    let rotation = rotation(&exec);
    time(bencher, TOKENS * IN, || rope::forward(&exec, &x, HEADS.head_dim, &rotation));
}

#[divan::bench]
fn rope_backward(bencher: Bencher) {
    let (exec, x) = (Exec::cpu(), random(TOKENS, IN));
    let rotation = rotation(&exec);
    time(bencher, TOKENS * IN, || rope::backward(&exec, &x, HEADS.head_dim, &rotation));
}

#[divan::bench]
fn glu_forward(bencher: Bencher) {
    let (exec, gate, up) = (Exec::cpu(), random(TOKENS, OUT), random(TOKENS, OUT));
    time(bencher, TOKENS * OUT, || glu::forward(&exec, Act::Silu, &gate, &up));
}

#[divan::bench]
fn glu_backward(bencher: Bencher) {
    let (exec, gate, up, dy) = (Exec::cpu(), random(TOKENS, OUT), random(TOKENS, OUT), random(TOKENS, OUT));
    time(bencher, 2 * TOKENS * OUT, || glu::backward(&exec, Act::Silu, &gate, &up, &dy));
}

#[divan::bench]
fn add_residual(bencher: Bencher) {
    let (exec, a, b) = (Exec::cpu(), random(TOKENS, IN), random(TOKENS, IN));
    time(bencher, TOKENS * IN, || elementwise::add(&exec, &a, &b));
}

/// Queries, keys and values of 4 sequences, and the bounds of these.
fn heads() -> (Tensor, Tensor, Tensor) {
    let width = |heads: usize| random(TOKENS, heads * HEADS.head_dim);
    (width(HEADS.heads), width(HEADS.kv_heads), width(HEADS.kv_heads))
}

/// A causal score is two products of `head_dim`, and half of the square is seen.
const SCORES: usize = 2 * TOKENS * SEQUENCE as usize * 9 * 64;

#[divan::bench]
fn attention_forward(bencher: Bencher) {
    let (exec, (q, k, v)) = (Exec::cpu(), heads());
    time(bencher, SCORES, || attention::forward(&exec, &HEADS, &q, &k, &v, &BOUNDS));
}

#[divan::bench]
fn attention_backward(bencher: Bencher) {
    let (exec, (q, k, v)) = (Exec::cpu(), heads());
    let (out, lse) = attention::forward(&exec, &HEADS, &q, &k, &v, &BOUNDS).expect("operands that fit");
    let (saved, dy) = (Saved { q: &q, k: &k, v: &v, out: &out, lse: &lse }, random(TOKENS, IN));
    time(bencher, 5 * SCORES / 2, || attention::backward(&exec, &HEADS, saved, &dy, &BOUNDS));
}

/// A label at each of 256 tokens; a quarter of a batch is the answers.
fn labels() -> Labels {
    Labels::new(&(0..SEQUENCE as i32).map(|t| t * 7).collect::<Vec<_>>())
}

#[divan::bench(args = MODES)]
fn head_logp(bencher: Bencher, mode: &str) {
    let (exec, h, w) = (exec(mode), random(SEQUENCE as usize, IN), weight(VOCAB, IN, mode));
    let labels = labels();
    time(bencher, 2 * labels.len() * VOCAB * IN, || head::logp(&exec, Head::default(), &h, &w, &labels));
}

#[divan::bench(args = MODES)]
fn head_backward(bencher: Bencher, mode: &str) {
    let (exec, h, w) = (exec(mode), random(SEQUENCE as usize, IN), weight(VOCAB, IN, mode));
    let labels = labels();
    let by = Tensor::full(-1f32, labels.len(), &Device::Cpu).expect("a short row");
    time(bencher, 4 * labels.len() * VOCAB * IN, || {
        head::backward(&exec, Head::default(), &h, &w, &labels, &by, &Want::No)
    });
}

fn ids() -> Vec<u32> {
    (0..TOKENS as u32).map(|t| t.wrapping_mul(2_654_435_761) % VOCAB as u32).collect()
}

#[divan::bench(args = MODES)]
fn embedding_forward(bencher: Bencher, mode: &str) {
    let (exec, w, ids) = (Exec::cpu(), weight(VOCAB, IN, mode), ids());
    time(bencher, TOKENS * IN, || embedding::forward(&exec, &w, &ids, None));
}

#[divan::bench]
fn embedding_backward_at_one_percent(bencher: Bencher) {
    let (exec, dy, ids, index) = (Exec::cpu(), random(TOKENS, IN), ids(), index(VOCAB, IN, 1.0));
    time(bencher, index.nnz(), || embedding::backward_at(&exec, &dy, &ids, &index, None));
}

#[divan::bench(args = MODES)]
fn scatter_one_percent(bencher: Bencher, mode: &str) {
    let (exec, w, index) = (Exec::cpu(), weight(OUT, IN, mode), index(OUT, IN, 1.0));
    let values = scatter::gather(&exec, &w, &index).expect("an index that fits");
    time(bencher, index.nnz(), || scatter::scatter_in_place(&exec, &w, &index, &values));
}
