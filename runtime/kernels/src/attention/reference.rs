//! Attention in plain candle operations, one sequence at a time.

use candle_core::Tensor;

use super::cache::Store;
use super::{Attention, Cache};
use crate::Result;
use crate::reference::{gradients, soft_cap, softmax_lse};

/// New rows `q [n, heads·D]` over `k`, `v` `[m, kv_heads·D]`, whose last `n` rows are the new ones. Returns the
/// output `[n, heads·D]` and the log-sum-exp `[n, heads]`.
fn attend(spec: &Attention, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
    let (n, m, d) = (q.dims()[0], k.dims()[0], spec.head_dim);
    let group = spec.heads / spec.kv_heads;
    let spread = |x: &Tensor| -> Result<Tensor> {
        let x = x.reshape((m, spec.kv_heads, 1, d))?.broadcast_as((m, spec.kv_heads, group, d))?;
        Ok(x.reshape((m, spec.heads, d))?.transpose(0, 1)?.contiguous()?)
    };
    let q = q.reshape((n, spec.heads, d))?.transpose(0, 1)?.contiguous()?;
    let (k, v) = (spread(k)?, spread(v)?);
    let scores = (q.matmul(&k.transpose(1, 2)?.contiguous()?)? * f64::from(spec.scale))?;
    let scores = soft_cap(scores, spec.softcap)?;
    let window = spec.window.unwrap_or(usize::MAX);
    let hidden = (0..n).flat_map(|i| {
        let at = m - n + i;
        (0..m).map(move |j| if j > at || at - j >= window { f32::NEG_INFINITY } else { 0.0 })
    });
    let hidden = Tensor::from_vec(hidden.collect::<Vec<f32>>(), (1, n, m), q.device())?;
    let (weights, lse) = softmax_lse(&scores.broadcast_add(&hidden)?)?;
    let out = weights.matmul(&v)?.transpose(0, 1)?.reshape((n, spec.heads * d))?;
    Ok((out, lse.t()?.contiguous()?))
}

/// The sequences that have tokens: first token and number of tokens.
fn spans(segments: &[u32]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let pairs = segments.windows(2).map(|pair| (pair[0] as usize, (pair[1] - pair[0]) as usize));
    pairs.filter(|&(_, len)| len > 0)
}

pub(super) fn forward(
    spec: &Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[u32],
) -> Result<(Tensor, Tensor)> {
    let (mut outs, mut lses) = (Vec::new(), Vec::new());
    for (at, len) in spans(segments) {
        let (out, lse) =
            attend(spec, &q.narrow(0, at, len)?, &k.narrow(0, at, len)?, &v.narrow(0, at, len)?)?;
        outs.push(out);
        lses.push(lse);
    }
    if outs.is_empty() {
        return Ok((q.clone(), Tensor::zeros((0, spec.heads), q.dtype(), q.device())?));
    }
    Ok((Tensor::cat(&outs, 0)?, Tensor::cat(&lses, 0)?))
}

pub(super) fn backward(
    spec: &Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    dout: &Tensor,
    segments: &[u32],
) -> Result<(Tensor, Tensor, Tensor)> {
    let (mut dqs, mut dks, mut dvs) = (Vec::new(), Vec::new(), Vec::new());
    for (at, len) in spans(segments) {
        let parts = [q.narrow(0, at, len)?, k.narrow(0, at, len)?, v.narrow(0, at, len)?];
        let [dq, dk, dv] =
            gradients(parts.each_ref(), &dout.narrow(0, at, len)?, |[q, k, v]| Ok(attend(spec, q, k, v)?.0))?;
        dqs.push(dq);
        dks.push(dk);
        dvs.push(dv);
    }
    if dqs.is_empty() {
        return Ok((q.clone(), k.clone(), v.clone()));
    }
    Ok((Tensor::cat(&dqs, 0)?, Tensor::cat(&dks, 0)?, Tensor::cat(&dvs, 0)?))
}

pub(super) fn decode(
    spec: &Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[u32],
    cache: &mut Cache,
) -> Result<Tensor> {
    let mut outs = Vec::new();
    for (pair, sequence) in segments.windows(2).zip(&mut cache.sequences) {
        let (at, len) = (pair[0] as usize, (pair[1] - pair[0]) as usize);
        if len == 0 {
            continue;
        }
        let (new_k, new_v) = (k.narrow(0, at, len)?, v.narrow(0, at, len)?);
        let (all_k, all_v) = match &sequence.store {
            _ if sequence.tokens == 0 => (new_k.contiguous()?, new_v.contiguous()?),
            Store::Device(k, v) => (Tensor::cat(&[k, &new_k], 0)?, Tensor::cat(&[v, &new_v], 0)?),
            Store::Host(k, v) => {
                let shape = (sequence.tokens, spec.kv_heads * spec.head_dim);
                let k = Tensor::from_slice(k, shape, q.device())?;
                let v = Tensor::from_slice(v, shape, q.device())?;
                (Tensor::cat(&[&k, &new_k], 0)?, Tensor::cat(&[&v, &new_v], 0)?)
            }
        };
        outs.push(attend(spec, &q.narrow(0, at, len)?, &all_k, &all_v)?.0);
        sequence.tokens += len;
        sequence.store = Store::Device(all_k, all_v);
    }
    if outs.is_empty() { Ok(q.clone()) } else { Ok(Tensor::cat(&outs, 0)?) }
}
