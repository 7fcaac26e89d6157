//! The output layer on the CPU: a chunk of labelled rows at a time, its logits turned into gradients where they lie.

use candle_core::Tensor;

use super::{Head, HeadGrads, Labels};
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
        let most = (LOGITS / self.vocab.max(1)).clamp(16, ROWS);
        let count = self.labels.len().max(1);
        count.div_ceil(count.div_ceil(most))
    }

    /// The hidden states of labelled rows, together.
    fn collect(&self, rows: &[u32]) -> Vec<f32> {
        let mut part = Vec::with_capacity(rows.len() * self.width);
        for row in rows {
            part.extend_from_slice(&self.h[*row as usize * self.width..][..self.width]);
        }
        part
    }

    /// Raw logits of `h` into `logits`.
    fn logits(&self, h: &[f32], logits: &mut [f32]) -> Result<()> {
        let rows = h.len() / self.width;
        let to = Out { data: logits, row_stride: self.vocab, add: false };
        packs::product(self.exec, Mat::new(h, rows, self.width), self.w, Side::Turned, to)
    }

    /// The buffer that all chunks share.
    fn buffer(&self) -> Vec<f32> {
        vec![0.0; self.step().min(self.labels.len()) * self.vocab]
    }
}

pub(super) fn logp(layer: Layer<'_>) -> Result<Vec<f32>> {
    let mut found = vec![0.0; layer.labels.len()];
    let mut buffer = layer.buffer();
    let (scale, cap) = layer.head.constants();
    let chunks = layer.labels.rows.chunks(layer.step()).zip(layer.labels.targets.chunks(layer.step()));
    for ((rows, targets), found) in chunks.zip(found.chunks_mut(layer.step())) {
        let logits = &mut buffer[..rows.len() * layer.vocab];
        layer.logits(&layer.collect(rows), logits)?;
        par::rows2(layer.exec, (logits, layer.vocab), (found, 1), |first, logits, found| {
            let lines = logits.chunks_exact_mut(layer.vocab).zip(&targets[first..]);
            for ((line, target), found) in lines.zip(found) {
                *found = -log_sum(line, scale, cap) + line[*target as usize];
            }
        });
    }
    Ok(found)
}

pub(super) fn backward(layer: Layer<'_>, dlogp: &[f32], want: &Want) -> Result<HeadGrads> {
    let (exec, width, vocab) = (layer.exec, layer.width, layer.vocab);
    let count = layer.labels.len();
    let (scale, cap) = layer.head.constants();
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
                let lse = log_sum(line, scale, cap);
                let picked = line[*target as usize];
                *found = picked - lse;
                slope(line, lse, *weight, scale, cap);
                let bend = if cap == 0.0 { 1.0 } else { 1.0 - (picked / cap) * (picked / cap) };
                line[*target as usize] += weight * scale * bend;
            }
        });
        let mut part = vec![0.0; h.len()];
        let to = Out { data: &mut part, row_stride: width, add: false };
        packs::product(exec, Mat::new(logits, rows.len(), vocab), layer.w, Side::Plain, to)?;
        for (row, part) in rows.iter().zip(part.chunks_exact(width)) {
            dh[*row as usize * width..][..width].copy_from_slice(part);
        }
        dw.add(exec, logits, &h, rows.len());
    }
    let tokens = layer.labels.tokens;
    Ok(HeadGrads { logp: tensor(found, &[count])?, dh: tensor(dh, &[tokens, width])?, dw: dw.finish()? })
}

/// The gradient of the weight, as it is summed over chunks.
enum Sum<'a> {
    No,
    Dense { sum: Vec<f32>, vocab: usize, width: usize, gather: Option<&'a SparseIndex> },
    At(&'a SparseIndex, Vec<f32>),
}

impl<'a> Sum<'a> {
    fn new(want: &'a Want, vocab: usize, width: usize) -> Self {
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

    fn finish(self) -> Result<Option<Tensor>> {
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

multiversion! {
    /// Scales and caps a row of logits (a `cap` of 0 is none) and returns its log-sum-exp.
    fn log_sum<I>(line: &mut [f32], scale: f32, cap: f32) -> f32 {
        if scale != 1.0 {
            line.iter_mut().for_each(|x| *x *= scale);
        }
        if cap != 0.0 {
            line.iter_mut().for_each(|x| *x = cap * tanh::<I>(*x / cap));
        }
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
    /// Replaces finished logits by the gradient of `weight · logp`, but for the label's own term.
    fn slope<I>(line: &mut [f32], lse: f32, weight: f32, scale: f32, cap: f32) {
        let factor = -weight * scale;
        if cap == 0.0 {
            line.iter_mut().for_each(|x| *x = factor * exp::<I>(*x - lse));
        } else {
            for x in line.iter_mut() {
                let curve = *x / cap;
                *x = factor * exp::<I>(*x - lse) * (1.0 - curve * curve);
            }
        }
    }
}
