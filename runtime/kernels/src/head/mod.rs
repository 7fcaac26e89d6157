//! The output layer with its cross-entropy: log-probabilities of labelled tokens, and gradients, in
//! chunks of rows, so that `[tokens, vocab]` never exists and unlabelled positions cost nothing.

mod chunked;
mod fast;
mod labels;

use candle_core::{D, DType, Tensor};

use super::slice::{read, tensor};
use super::{Exec, Want, check, reference};
use crate::{Error, Result};

pub use chunked::{OfLogits, chunk_rows, chunked};
pub use labels::{Labels, Terms};

/// What happens to logits between the product and the softmax: first the scale, then the cap.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Head {
    /// Multiplies logits.
    pub scale: Option<f32>,
    /// Soft cap: `cap · tanh(logit / cap)`.
    pub softcap: Option<f32>,
}

impl Head {
    /// The scale, and the cap or 0.
    fn constants(self) -> (f32, f32) {
        (self.scale.unwrap_or(1.0), self.softcap.unwrap_or(0.0))
    }
}

/// What the backward of the head returns.
#[derive(Debug, Clone)]
pub struct HeadGrads {
    /// The log-probability of each label (with its terms), or what a loss over logits is there, `[n]`.
    pub values: Tensor,
    /// Gradient of the hidden states, `[T, D]`, zero where nothing is labelled.
    pub dh: Tensor,
    /// Gradient of the weight, f32: `[V, D]` or `[nnz]`.
    pub dw: Option<Tensor>,
}

/// Logits of every row: `h [T, D]`, `w [V, D]` → `[T, V]`. For generation and inspection.
pub fn logits(exec: &Exec, head: Head, h: &Tensor, w: &Tensor) -> Result<Tensor> {
    finish(head, super::linear::forward(exec, h, w, None)?)
}

/// The natural log-probability of each label, with the terms of `labels`: `h [T, D]`, `w [V, D]` → `[n]`.
pub fn logp(exec: &Exec, head: Head, h: &Tensor, w: &Tensor, labels: &Labels) -> Result<Tensor> {
    let (width, vocab) = checked(h, w, labels)?;
    if exec.fast(h) {
        let h = read(h)?;
        let h = h.lock();
        let found = fast::logp(fast::Layer { exec, head, h: h.f32()?, w, width, vocab, labels })?;
        return tensor(found, &[labels.len()]);
    }
    if labels.is_empty() {
        return Ok(Tensor::zeros(0, DType::F32, h.device())?);
    }
    let (h, w) = (&reference::operand(exec, h)?, reference::operand(exec, w)?);
    let mut parts = Vec::new();
    for (rows, targets) in chunks(labels, h)? {
        parts.push(compose(head, labels.terms, &h.index_select(&rows, 0)?, &w, &targets)?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// The gradients, given the gradient of the loss by each log-probability, `dlogp [n]`. It computes the
/// log-probabilities again on its way (and returns them), so a loss whose `dlogp` does not depend on them,
/// such as cross-entropy (`-1/n` each), needs no call of [`logp`].
pub fn backward(
    exec: &Exec,
    head: Head,
    h: &Tensor,
    w: &Tensor,
    labels: &Labels,
    dlogp: &Tensor,
    want: &Want,
) -> Result<HeadGrads> {
    let (width, vocab) = checked(h, w, labels)?;
    check::shape("head", "the gradient of the log-probabilities", dlogp, &[labels.len()])?;
    if let Want::At(index) = want {
        index.check("head", w.dims())?;
    }
    if exec.fast(h) {
        let (h, dlogp) = (read(h)?, read(dlogp)?);
        let (h, dlogp) = (h.lock(), dlogp.lock());
        let layer = fast::Layer { exec, head, h: h.f32()?, w, width, vocab, labels };
        return fast::backward(layer, dlogp.f32()?, want);
    }
    let (h, w) = (&reference::operand(exec, h)?, reference::operand(exec, w)?);
    let mut dh = h.zeros_like()?;
    let mut dw = None::<Tensor>;
    let (mut parts, mut done) = (Vec::new(), 0);
    for (rows, targets) in chunks(labels, h)? {
        let count = rows.elem_count();
        let part = h.index_select(&rows, 0)?;
        let dpart = dlogp.narrow(0, done, count)?;
        done += count;
        let mut found = None;
        let [dhidden, dweight] = reference::gradients([&part, &w], &dpart, |[h, w]| {
            let logp = compose(head, labels.terms, h, w, &targets)?;
            found = Some(logp.detach());
            Ok(logp)
        })?;
        parts.extend(found);
        dh = dh.index_add(&rows, &dhidden, 0)?;
        if want.any() {
            dw = Some(match dw {
                Some(sum) => (sum + dweight)?,
                None => dweight,
            });
        }
    }
    let values =
        if parts.is_empty() { Tensor::zeros(0, DType::F32, h.device())? } else { Tensor::cat(&parts, 0)? };
    Ok(HeadGrads { values, dh, dw: wanted(exec, want, dw, &w)? })
}

/// What is wanted of the gradient of the weight `w`; `dw` is all of it, or none where nothing is labelled.
fn wanted(exec: &Exec, want: &Want, dw: Option<Tensor>, w: &Tensor) -> Result<Option<Tensor>> {
    Ok(match (want, dw) {
        (Want::No, _) => None,
        (Want::Dense, Some(dw)) => Some(dw),
        (Want::Dense, None) => Some(w.zeros_like()?),
        (Want::At(index), Some(dw)) => Some(super::scatter::gather(exec, &dw, index)?),
        (Want::At(index), None) => Some(Tensor::zeros(index.nnz(), DType::F32, w.device())?),
    })
}

/// Rows of the reference path's chunks.
const REFERENCE_ROWS: usize = 256;

/// The width of the hidden states and the size of the vocabulary, if everything fits together.
fn checked(h: &Tensor, w: &Tensor, labels: &Labels) -> Result<(usize, usize)> {
    let (tokens, width) = check::activation("head", "the hidden states", h)?;
    let (vocab, cols) = check::weight("head", "the weight", w)?;
    check::same("head", "the widths of the hidden states and of the weight", width, cols)?;
    check::same("head", "the numbers of tokens and of labels", tokens, labels.tokens)?;
    if vocab > i32::MAX as usize {
        return Err(Error::argument(format!("head: a vocabulary of {vocab} is too large")));
    }
    check::ids("head", "label", &labels.targets, vocab)?;
    Ok((width, vocab))
}

fn chunks(labels: &Labels, h: &Tensor) -> Result<Vec<(Tensor, Tensor)>> {
    let rows = labels.rows.chunks(REFERENCE_ROWS);
    let pairs = rows.zip(labels.targets.chunks(REFERENCE_ROWS));
    pairs
        .map(|(rows, targets)| Ok((Tensor::new(rows, h.device())?, Tensor::new(targets, h.device())?)))
        .collect()
}

fn finish(head: Head, logits: Tensor) -> Result<Tensor> {
    let logits = match head.scale {
        Some(scale) => (logits * f64::from(scale))?,
        None => logits,
    };
    reference::soft_cap(logits, head.softcap)
}

fn compose(head: Head, terms: Terms, h: &Tensor, w: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = finish(head, h.matmul(&w.t()?)?)?;
    let max = logits.detach().max_keepdim(D::Minus1)?;
    let lse = (logits.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()? + max)?;
    let picked = logits.gather(&targets.unsqueeze(1)?, 1)?;
    if terms.is_empty() {
        return Ok((picked - lse)?.squeeze(1)?);
    }
    let (smoothing, z) = (f64::from(terms.smoothing), f64::from(terms.z));
    let spread = ((picked * (1.0 - smoothing))? + (logits.mean_keepdim(D::Minus1)? * smoothing)?)?;
    Ok(((spread - &lse)? - (lse.sqr()? * z)?)?.squeeze(1)?)
}

#[cfg(test)]
mod tests;
