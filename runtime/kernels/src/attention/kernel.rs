//! One block of queries against the keys it can see: scores, weights, output, and the way back.
//!
//! A block holds the rows of all query heads that share one key head, so that keys and values are read once for the
//! group. Its scores cover every visible key at once: memory is a block's height times the length of the sequence.

use super::Attention;
use crate::gemm::{Mat, Out, product};
use crate::simd::{exp, multiversion, tanh};
use crate::slice::uninit;
use crate::{Compute, Exec};

/// Rows of a block, over all heads of a group.
const ROWS: usize = 128;

/// Keys and values of one sequence: rows of `kv_heads · D` values.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

/// Which queries a block covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// The key head.
    pub(super) head: usize,
    /// The first query, as a row of the query matrix.
    pub(super) row: usize,
    /// The place of the first query in its sequence.
    pub(super) at: usize,
    /// The number of queries.
    pub(super) len: usize,
}

/// The constants of a layer that the kernels need again and again.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) spec: Attention,
    /// What its products multiply their operands as.
    compute: Compute,
    /// Query heads of a key head.
    pub(super) group: usize,
    /// Values of a row of queries.
    pub(super) q_width: usize,
    /// Values of a row of keys.
    pub(super) kv_width: usize,
}

impl Layer {
    pub(super) fn new(exec: &Exec, spec: &Attention) -> Self {
        Self {
            spec: *spec,
            compute: exec.compute(),
            group: spec.heads / spec.kv_heads,
            q_width: spec.heads * spec.head_dim,
            kv_width: spec.kv_heads * spec.head_dim,
        }
    }

    /// Queries per block.
    pub(super) fn queries(&self) -> usize {
        (ROWS / self.group).clamp(16, ROWS)
    }

    /// The keys a block can see.
    fn visible(&self, block: Block) -> (usize, usize) {
        let first = self.spec.window.map_or(0, |window| (block.at + 1).saturating_sub(window));
        (first, block.at + block.len)
    }

    /// The keys query `i` of a block can see, counted from the first key of the block.
    fn seen(&self, block: Block, i: usize) -> (usize, usize) {
        let (first, _) = self.visible(block);
        let at = block.at + i;
        let from = self.spec.window.map_or(0, |window| (at + 1).saturating_sub(window));
        (from.max(first) - first, at + 1 - first)
    }

    /// A key head's part of rows `first..end` of keys or values.
    fn part<'a>(&self, rows: &'a [f32], head: usize, (first, end): (usize, usize)) -> Mat<'a> {
        let d = self.spec.head_dim;
        Mat::with_stride(&rows[first * self.kv_width + head * d..], end - first, d, self.kv_width)
    }

    /// Copies a block's rows of queries (or of what has their shape) together, times `scale`: `[group · len, D]`.
    fn collect(&self, rows: &[f32], block: Block, scale: f32) -> Vec<f32> {
        let d = self.spec.head_dim;
        let mut part = Vec::with_capacity(self.group * block.len * d);
        for g in 0..self.group {
            for i in 0..block.len {
                let start = (block.row + i) * self.q_width + (block.head * self.group + g) * d;
                part.extend(rows[start..start + d].iter().map(|x| x * scale));
            }
        }
        part
    }
}

/// The output of a block `[group · len, D]` and its log-sum-exps `[group · len]`.
pub(super) fn forward(layer: Layer, q: &[f32], keys: Keys<'_>, block: Block) -> (Vec<f32>, Vec<f32>) {
    let d = layer.spec.head_dim;
    let range = layer.visible(block);
    let (rows, span) = (layer.group * block.len, range.1 - range.0);
    let q = layer.collect(q, block, layer.spec.scale);
    let (k, v) = (layer.part(keys.k, block.head, range), layer.part(keys.v, block.head, range));
    // SAFETY: the product writes every score, and the second one every output.
    let (mut scores, mut out) = unsafe { (uninit(rows * span), uninit(rows * d)) };
    let to = Out { data: &mut scores, row_stride: span, add: false };
    product(layer.compute, Mat::new(&q, rows, d), k.t(), 1.0, to);
    let (mut lse, mut inverse) = (vec![0.0; rows], vec![0.0; rows]);
    for (r, line) in scores.chunks_exact_mut(span).enumerate() {
        let (from, to) = layer.seen(block, r % block.len);
        line[..from].fill(0.0);
        line[to..].fill(0.0);
        let (max, sum) = weigh(&mut line[from..to], layer.spec.softcap.unwrap_or(0.0));
        lse[r] = max + sum.ln();
        inverse[r] = 1.0 / sum;
    }
    let to = Out { data: &mut out, row_stride: d, add: false };
    product(layer.compute, Mat::new(&scores, rows, span), v, 1.0, to);
    for (line, inverse) in out.chunks_exact_mut(d).zip(inverse) {
        line.iter_mut().for_each(|x| *x *= inverse);
    }
    (out, lse)
}

/// What a block's backward reads.
#[derive(Clone, Copy)]
pub(super) struct Back<'a> {
    pub(super) q: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) dout: &'a [f32],
    /// `[T, heads]`.
    pub(super) lse: &'a [f32],
}

/// The gradient of a block's queries `[group · len, D]`; the gradients of the keys and values are added to `dk` and
/// `dv`, `[keys, D]` of the block's key head.
pub(super) fn backward(
    layer: Layer,
    back: Back<'_>,
    keys: Keys<'_>,
    block: Block,
    dk: &mut [f32],
    dv: &mut [f32],
) -> Vec<f32> {
    let (d, heads) = (layer.spec.head_dim, layer.spec.heads);
    let range = layer.visible(block);
    let (rows, span) = (layer.group * block.len, range.1 - range.0);
    let q = layer.collect(back.q, block, layer.spec.scale);
    let out = layer.collect(back.out, block, 1.0);
    let dout = layer.collect(back.dout, block, 1.0);
    let (k, v) = (layer.part(keys.k, block.head, range), layer.part(keys.v, block.head, range));
    let (q, dout) = (Mat::new(&q, rows, d), (Mat::new(&dout, rows, d), &dout));
    // SAFETY: the products write every value of the three.
    let (mut weights, mut grads, mut dq) =
        unsafe { (uninit(rows * span), uninit(rows * span), uninit(rows * d)) };
    product(layer.compute, q, k.t(), 1.0, Out { data: &mut weights, row_stride: span, add: false });
    product(layer.compute, dout.0, v.t(), 1.0, Out { data: &mut grads, row_stride: span, add: false });
    for (r, (line, grad)) in weights.chunks_exact_mut(span).zip(grads.chunks_exact_mut(span)).enumerate() {
        let (i, g) = (r % block.len, r / block.len);
        let (from, to) = layer.seen(block, i);
        for line in [&mut *line, &mut *grad] {
            line[..from].fill(0.0);
            line[to..].fill(0.0);
        }
        let lse = back.lse[(block.row + i) * heads + block.head * layer.group + g];
        let both = out[r * d..(r + 1) * d].iter().zip(&dout.1[r * d..(r + 1) * d]);
        let delta: f32 = both.map(|(o, d)| o * d).sum();
        unweigh(&mut line[from..to], &mut grad[from..to], lse, delta, layer.spec.softcap.unwrap_or(0.0));
    }
    let (weights, grads) = (Mat::new(&weights, rows, span), Mat::new(&grads, rows, span));
    let seen = range.0 * d..range.1 * d;
    product(
        layer.compute,
        weights.t(),
        dout.0,
        1.0,
        Out { data: &mut dv[seen.clone()], row_stride: d, add: true },
    );
    product(layer.compute, grads.t(), q, 1.0, Out { data: &mut dk[seen], row_stride: d, add: true });
    product(layer.compute, grads, k, layer.spec.scale, Out { data: &mut dq, row_stride: d, add: false });
    dq
}

multiversion! {
    /// Caps scores (if `cap` is not 0) and replaces them by `exp(score - max)`. Returns the maximum and the sum.
    fn weigh<I>(line: &mut [f32], cap: f32) -> (f32, f32) {
        if cap != 0.0 {
            for x in line.iter_mut() {
                *x = cap * tanh::<I>(*x / cap);
            }
        }
        let mut maxima = [f32::NEG_INFINITY; 16];
        let mut chunks = line.chunks_exact(16);
        for chunk in chunks.by_ref() {
            for i in 0..16 {
                maxima[i] = if chunk[i] > maxima[i] { chunk[i] } else { maxima[i] };
            }
        }
        let max = chunks.remainder().iter().chain(&maxima).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let mut sums = [0.0f32; 16];
        let mut chunks = line.chunks_exact_mut(16);
        for chunk in chunks.by_ref() {
            for i in 0..16 {
                chunk[i] = exp::<I>(chunk[i] - max);
                sums[i] += chunk[i];
            }
        }
        let mut tail = 0.0;
        for x in chunks.into_remainder() {
            *x = exp::<I>(*x - max);
            tail += *x;
        }
        (max, sums.iter().sum::<f32>() + tail)
    }
}

multiversion! {
    /// From raw scores and the gradient of the weights: the weights, and the gradient of the raw scores.
    fn unweigh<I>(scores: &mut [f32], grads: &mut [f32], lse: f32, delta: f32, cap: f32) {
        if cap != 0.0 {
            for (score, grad) in scores.iter_mut().zip(grads.iter_mut()) {
                let curve = tanh::<I>(*score / cap);
                let weight = exp::<I>(I::madd(cap, curve, -lse));
                *grad = weight * (*grad - delta) * (1.0 - curve * curve);
                *score = weight;
            }
        } else {
            for (score, grad) in scores.iter_mut().zip(grads.iter_mut()) {
                let weight = exp::<I>(*score - lse);
                *grad = weight * (*grad - delta);
                *score = weight;
            }
        }
    }
}
