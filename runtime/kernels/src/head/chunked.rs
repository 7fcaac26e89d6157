//! The output layer with a loss of the caller's own over its logits, a chunk of labelled rows at a time.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::fast::{self, Layer, Sum, raw_slope};
use super::{Head, HeadGrads, Labels, checked, finish, wanted};
use crate::slice::{read, tensor};
use crate::{Exec, Result, Want, check, par, reference};

/// Bytes of the logits of one chunk.
const BYTES: usize = 32 << 20;

/// What a loss is of a chunk of logits, `[n, vocab]` (scaled and capped), whose rows are a range of the labelled positions:
/// its value at each row, `[n]`, and its derivative by each logit, `[n, vocab]`, all f32.
pub type OfLogits<'a> = dyn FnMut(&Tensor, Range<usize>) -> Result<(Tensor, Tensor)> + 'a;

/// The most rows of a chunk, so that its logits take 32 MiB: at least one.
pub fn chunk_rows(vocab: usize) -> usize {
    (BYTES / size_of::<f32>() / vocab.max(1)).max(1)
}

/// The values of `loss` at all labelled positions, and the gradients of `Σ weights · values`; `h [T, D]`, `w [V, D]`,
/// `weights [n]`. Chunks have at most `rows` rows, so that `[n, V]` never exists.
///
/// Each value may depend on the logits of its own row alone: then the number of rows of a chunk changes nothing.
#[expect(clippy::too_many_arguments, reason = "these are the operation's independent inputs")]
pub fn chunked(
    exec: &Exec,
    head: Head,
    h: &Tensor,
    w: &Tensor,
    labels: &Labels,
    weights: &Tensor,
    want: &Want,
    rows: usize,
    loss: &mut OfLogits<'_>,
) -> Result<HeadGrads> {
    let (width, vocab) = checked(h, w, labels)?;
    check::shape("head", "the weights of the values", weights, &[labels.len()])?;
    if let Want::At(index) = want {
        index.check("head", w.dims())?;
    }
    let step = labels.step(rows);
    if exec.fast(h) {
        let (h, weights) = (read(h)?, read(weights)?);
        let (h, weights) = (h.lock(), weights.lock());
        let layer = Layer { exec, head, h: h.f32()?, w, width, vocab, labels };
        return on_the_cpu(layer, weights.f32()?, want, step, loss);
    }
    let (h, w) = (&reference::operand(exec, h)?, reference::operand(exec, w)?);
    let mut dh = h.zeros_like()?;
    let (mut dw, mut parts) = (None::<Tensor>, Vec::new());
    for start in (0..labels.len()).step_by(step) {
        let range = start..(start + step).min(labels.len());
        let places = Tensor::new(&labels.rows[range.clone()], h.device())?;
        let part = h.index_select(&places, 0)?;
        let logits = finish(head, part.matmul(&w.t()?)?)?;
        let (values, slopes) = of_chunk(loss, &logits, range.clone())?;
        parts.push(values);
        let weights = weights.narrow(0, start, range.len())?.unsqueeze(1)?;
        let mut grads = slopes.broadcast_mul(&weights)?;
        if let Some(cap) = head.softcap {
            grads = (grads * (1.0 - (logits / f64::from(cap))?.sqr()?)?)?;
        }
        if let Some(scale) = head.scale {
            grads = (grads * f64::from(scale))?;
        }
        dh = dh.index_add(&places, &grads.matmul(&w)?, 0)?;
        if want.any() {
            let more = grads.t()?.matmul(&part)?;
            dw = Some(match dw {
                Some(sum) => (sum + more)?,
                None => more,
            });
        }
    }
    let values =
        if parts.is_empty() { Tensor::zeros(0, DType::F32, h.device())? } else { Tensor::cat(&parts, 0)? };
    Ok(HeadGrads { values, dh, dw: wanted(exec, want, dw, &w)? })
}

/// The gradients of `Σ weights · values` of a loss over logits, in chunks of `step` rows.
fn on_the_cpu(
    layer: Layer<'_>,
    weights: &[f32],
    want: &Want,
    step: usize,
    loss: &mut OfLogits<'_>,
) -> Result<HeadGrads> {
    let (exec, width, vocab) = (layer.exec, layer.width, layer.vocab);
    let count = layer.labels.len();
    let (scale, cap) = layer.head.constants();
    let mut found = Vec::with_capacity(count);
    let mut dh = vec![0.0; layer.h.len()];
    let mut dw = Sum::new(want, vocab, width);
    for start in (0..count).step_by(step) {
        let range = start..(start + step).min(count);
        let rows = &layer.labels.rows[range.clone()];
        let h = layer.collect(rows);
        let mut logits = vec![0.0; rows.len() * vocab];
        layer.logits(&h, &mut logits)?;
        if scale != 1.0 || cap != 0.0 {
            par::rows(exec, &mut logits, vocab, |_, lines| {
                lines.chunks_exact_mut(vocab).for_each(|line| fast::finish(line, scale, cap));
            });
        }
        let logits = tensor(logits, &[rows.len(), vocab])?;
        let (values, slopes) = of_chunk(loss, &logits, range)?;
        found.extend(values.to_vec1::<f32>()?);
        let mut grads = vec![0.0; rows.len() * vocab];
        {
            let (logits, slopes) = (read(&logits)?, read(&slopes)?);
            let (logits, slopes) = (logits.lock(), slopes.lock());
            let (logits, slopes) = (logits.f32()?, slopes.f32()?);
            par::rows(exec, &mut grads, vocab, |first, lines| {
                for (i, line) in lines.chunks_exact_mut(vocab).enumerate() {
                    let place = (first + i) * vocab..(first + i + 1) * vocab;
                    let weight = weights[start + first + i];
                    raw_slope(line, &slopes[place.clone()], &logits[place], weight * scale, cap);
                }
            });
        }
        drop((logits, slopes));
        layer.spread(rows, &grads, &h, &mut dh, &mut dw)?;
    }
    let tokens = layer.labels.tokens;
    Ok(HeadGrads { values: tensor(found, &[count])?, dh: tensor(dh, &[tokens, width])?, dw: dw.finish()? })
}

/// The loss of a chunk, if it is as it must be.
fn of_chunk(loss: &mut OfLogits<'_>, logits: &Tensor, range: Range<usize>) -> Result<(Tensor, Tensor)> {
    let count = range.len();
    let (values, slopes) = loss(logits, range)?;
    check::shape("head", "the loss of each row", &values, &[count])?;
    check::shape("head", "the derivative by the logits", &slopes, logits.dims())?;
    Ok((values, slopes))
}
