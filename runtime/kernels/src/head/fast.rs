//! The output layer on the CPU: a chunk of labelled rows at a time, its logits turned into gradients where they lie.

use candle_core::Tensor;

use super::{Head, HeadGrads, Labels, Terms};
use crate::Result;
use crate::gemm::{Mat, Out, product_parallel};
use crate::packs::{self, Side};
use crate::sampled;
use crate::simd::{exp, fold, multiversion, tanh};
use crate::slice::tensor;
use crate::{Exec, SparseIndex, Want, par};

/// Values of the largest buffer of logits, and rows of the largest chunk.
const LOGITS: usize = 1 << 25;
const ROWS: usize = 1024;

/// The output layer of one call.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) exec: &'a Exec,
    pub(super) head: Head,
    pub(super) h: &'a [f32],
    pub(super) w: &'a Tensor,
    pub(super) width: usize,
    pub(super) vocab: usize,
    pub(super) labels: &'a Labels,
}

impl Layer<'_> {
    /// Labelled rows per chunk. Every chunk packs the whole weight, so they are few and about equal.
    fn step(&self) -> usize {
        self.labels.step((LOGITS / self.vocab.max(1)).clamp(16, ROWS))
    }

    /// The hidden states of labelled rows, together.
    pub(super) fn collect(&self, rows: &[u32]) -> Vec<f32> {
        let mut part = Vec::with_capacity(rows.len() * self.width);
        for row in rows {
            part.extend_from_slice(&self.h[*row as usize * self.width..][..self.width]);
        }
        part
    }

    /// Raw logits of `h` into `logits`.
    pub(super) fn logits(&self, h: &[f32], logits: &mut [f32]) -> Result<()> {
        let rows = h.len() / self.width;
        let to = Out { data: logits, row_stride: self.vocab, add: false };
        packs::product(self.exec, Mat::new(h, rows, self.width), self.w, Side::Turned, to)
    }

    /// Takes the gradients of a chunk's raw logits on to its hidden states `h`, whose rows in `dh` are written, and to the
    /// weight.
    pub(super) fn spread(
        &self,
        rows: &[u32],
        grads: &[f32],
        h: &[f32],
        dh: &mut [f32],
        dw: &mut Sum<'_>,
    ) -> Result<()> {
        let (width, mut part) = (self.width, vec![0.0; h.len()]);
        let to = Out { data: &mut part, row_stride: width, add: false };
        packs::product(self.exec, Mat::new(grads, rows.len(), self.vocab), self.w, Side::Plain, to)?;
        for (row, part) in rows.iter().zip(part.chunks_exact(width)) {
            dh[*row as usize * width..][..width].copy_from_slice(part);
        }
        dw.add(self.exec, grads, h, rows.len());
        Ok(())
    }

    /// The buffer that all chunks share.
    fn buffer(&self) -> Vec<f32> {
        vec![0.0; self.step().min(self.labels.len()) * self.vocab]
    }
}

pub(super) fn logp(layer: Layer<'_>) -> Result<Vec<f32>> {
    let mut found = vec![0.0; layer.labels.len()];
    let mut buffer = layer.buffer();
    let ((scale, cap), terms) = (layer.head.constants(), layer.labels.terms);
    let chunks = layer.labels.rows.chunks(layer.step()).zip(layer.labels.targets.chunks(layer.step()));
    for ((rows, targets), found) in chunks.zip(found.chunks_mut(layer.step())) {
        let logits = &mut buffer[..rows.len() * layer.vocab];
        layer.logits(&layer.collect(rows), logits)?;
        par::rows2(layer.exec, (logits, layer.vocab), (found, 1), |first, logits, found| {
            let lines = logits.chunks_exact_mut(layer.vocab).zip(&targets[first..]);
            for ((line, target), found) in lines.zip(found) {
                finish(line, scale, cap);
                *found = value(line, log_sum(line), *target, terms);
            }
        });
    }
    Ok(found)
}

pub(super) fn backward(layer: Layer<'_>, dlogp: &[f32], want: &Want) -> Result<HeadGrads> {
    let (exec, width, vocab) = (layer.exec, layer.width, layer.vocab);
    let count = layer.labels.len();
    let ((scale, cap), terms) = (layer.head.constants(), layer.labels.terms);
    let mut found = vec![0.0; count];
    let mut dh = vec![0.0; layer.h.len()];
    let mut dw = Sum::new(want, vocab, width);
    let mut buffer = layer.buffer();
    for start in (0..count).step_by(layer.step()) {
        let end = (start + layer.step()).min(count);
        let (rows, targets) = (&layer.labels.rows[start..end], &layer.labels.targets[start..end]);
        let h = layer.collect(rows);
        let logits = &mut buffer[..rows.len() * vocab];
        layer.logits(&h, logits)?;
        par::rows2(exec, (logits, vocab), (&mut found[start..end], 1), |first, logits, found| {
            let lines = logits.chunks_exact_mut(vocab).zip(&targets[first..]);
            for (((line, target), found), weight) in lines.zip(found).zip(&dlogp[start + first..]) {
                finish(line, scale, cap);
                let lse = log_sum(line);
                *found = value(line, lse, *target, terms);
                let picked = line[*target as usize];
                let factor = weight * scale;
                let even = factor * terms.smoothing / vocab as f32;
                slope(line, lse, -factor * (1.0 + 2.0 * terms.z * lse), even, cap);
                let bend = if cap == 0.0 { 1.0 } else { 1.0 - (picked / cap) * (picked / cap) };
                line[*target as usize] += factor * (1.0 - terms.smoothing) * bend;
            }
        });
        layer.spread(rows, logits, &h, &mut dh, &mut dw)?;
    }
    let tokens = layer.labels.tokens;
    Ok(HeadGrads { values: tensor(found, &[count])?, dh: tensor(dh, &[tokens, width])?, dw: dw.finish()? })
}

/// The gradient of the weight, as it is summed over chunks.
pub(super) enum Sum<'a> {
    No,
    Dense { sum: Vec<f32>, vocab: usize, width: usize, gather: Option<&'a SparseIndex> },
    At(&'a SparseIndex, Vec<f32>),
}

impl<'a> Sum<'a> {
    pub(super) fn new(want: &'a Want, vocab: usize, width: usize) -> Self {
        let dense = |gather| Self::Dense { sum: vec![0.0; vocab * width], vocab, width, gather };
        match want {
            Want::No => Self::No,
            Want::Dense => dense(None),
            Want::At(index) if index.density() > sampled::BREAK_EVEN => dense(Some(index)),
            Want::At(index) => Self::At(index, vec![0.0; index.nnz()]),
        }
    }

    /// Adds `gradsᵀ h`.
    fn add(&mut self, exec: &Exec, grads: &[f32], h: &[f32], rows: usize) {
        match self {
            Self::No => {}
            Self::Dense { sum, vocab, width, .. } => {
                let to = Out { data: sum, row_stride: *width, add: true };
                product_parallel(exec, Mat::new(grads, rows, *vocab).t(), Mat::new(h, rows, *width), to);
            }
            Self::At(index, sum) => {
                let part = sampled::Columns::new(exec, h, index.cols()).product(exec, grads, index);
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
    }

    pub(super) fn finish(self) -> Result<Option<Tensor>> {
        Ok(match self {
            Self::No => None,
            Self::Dense { sum, vocab, width, gather: None } => Some(tensor(sum, &[vocab, width])?),
            Self::Dense { sum, gather: Some(index), .. } => {
                let values = index.iter().map(|at| sum[at as usize]).collect();
                Some(tensor(values, &[index.nnz()])?)
            }
            Self::At(index, sum) => Some(tensor(sum, &[index.nnz()])?),
        })
    }
}

/// The log-probability of a label, with terms, from finished logits and their log-sum-exp.
fn value(line: &[f32], lse: f32, target: u32, terms: Terms) -> f32 {
    let picked = line[target as usize];
    if terms.is_empty() {
        return picked - lse;
    }
    let even = if terms.smoothing == 0.0 { 0.0 } else { sum(line) / line.len() as f32 };
    (1.0 - terms.smoothing) * picked + terms.smoothing * even - lse - terms.z * lse * lse
}

multiversion! {
    /// Scales and caps a row of logits; a `cap` of 0 is none.
    pub(super) fn finish<I>(line: &mut [f32], scale: f32, cap: f32) {
        if scale != 1.0 {
            line.iter_mut().for_each(|x| *x *= scale);
        }
        if cap != 0.0 {
            line.iter_mut().for_each(|x| *x = cap * tanh::<I>(*x / cap));
        }
    }
}

multiversion! {
    /// The log-sum-exp of a row.
    fn log_sum<I>(line: &[f32]) -> f32 {
        let mut maxima = [f32::NEG_INFINITY; 32];
        let chunks = line.chunks_exact(32);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..32 {
                maxima[i] = if chunk[i] > maxima[i] { chunk[i] } else { maxima[i] };
            }
        }
        let max = rest.iter().chain(&maxima).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let mut sums = [0.0f32; 32];
        for chunk in line.chunks_exact(32) {
            for i in 0..32 {
                sums[i] += exp::<I>(chunk[i] - max);
            }
        }
        let tail: f32 = rest.iter().map(|x| exp::<I>(x - max)).sum();
        max + (fold(sums) + tail).ln()
    }
}

multiversion! {
    /// The sum of a row.
    fn sum<I>(line: &[f32]) -> f32 {
        let mut sums = [0.0f32; 32];
        let chunks = line.chunks_exact(32);
        let tail: f32 = chunks.remainder().iter().sum();
        for chunk in chunks {
            for i in 0..32 {
                sums[i] += chunk[i];
            }
        }
        fold(sums) + tail
    }
}

multiversion! {
    /// Replaces finished logits by their gradient before scale and cap, but for the label's own term: `factor` times the
    /// probability, and `even` for each logit alike.
    fn slope<I>(line: &mut [f32], lse: f32, factor: f32, even: f32, cap: f32) {
        if cap == 0.0 {
            line.iter_mut().for_each(|x| *x = factor * exp::<I>(*x - lse) + even);
        } else {
            for x in line.iter_mut() {
                let curve = *x / cap;
                *x = (factor * exp::<I>(*x - lse) + even) * (1.0 - curve * curve);
            }
        }
    }
}

multiversion! {
    /// The gradient of a row of logits before scale and cap, from that of finished ones.
    pub(super) fn raw_slope<I>(grads: &mut [f32], slopes: &[f32], logits: &[f32], factor: f32, cap: f32) {
        if cap == 0.0 {
            grads.iter_mut().zip(slopes).for_each(|(grad, slope)| *grad = factor * slope);
        } else {
            for ((grad, slope), x) in grads.iter_mut().zip(slopes).zip(logits) {
                let curve = x / cap;
                *grad = factor * slope * (1.0 - curve * curve);
            }
        }
    }
}
