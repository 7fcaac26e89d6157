//! Causal attention over sequences laid end to end, with grouped heads, an optional window and an
//! optional soft cap. Memory is linear in the number of tokens.

mod cache;
mod fast;
mod kernel;
mod reference;

use candle_core::Tensor;

pub use cache::Cache;

use self::fast::Span;
use self::kernel::{Back, Keys, Layer};
use super::slice::{read, tensor};
use super::{Exec, check};
use crate::{Error, Result};

/// The shape and constants of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values per head.
    pub head_dim: usize,
    /// Multiplies `q · k`.
    pub scale: f32,
    /// A token sees itself and the `window - 1` tokens before it.
    pub window: Option<usize>,
    /// Soft cap of scores: `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
}

/// `q [T, heads·D]`, `k` and `v` `[T, kv_heads·D]`; `segments` are cumulative bounds of the sequences,
/// from 0 to `T`. Returns the output `[T, heads·D]` and, for the backward, the log-sum-exp of each row of
/// scores `[T, heads]`.
pub fn forward(
    exec: &Exec,
    spec: &Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[u32],
) -> Result<(Tensor, Tensor)> {
    let tokens = checked(spec, q, k, v, segments)?;
    if !exec.fast(q) {
        return reference::forward(spec, q, k, v, segments);
    }
    let (q, k, v) = (read(q)?, read(k)?, read(v)?);
    let (q, k, v) = (q.lock(), k.lock(), v.lock());
    let layer = Layer::new(exec, spec);
    let spans = spans(layer, k.f32()?, v.f32()?, segments);
    let (out, lse) = fast::forward(exec, layer, q.f32()?, &spans)?;
    Ok((tensor(out, &[tokens, layer.q_width])?, tensor(lse, &[tokens, spec.heads])?))
}

/// The inputs and results of a [`forward`], for its backward.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Queries.
    pub q: &'a Tensor,
    /// Keys.
    pub k: &'a Tensor,
    /// Values.
    pub v: &'a Tensor,
    /// The output.
    pub out: &'a Tensor,
    /// The log-sum-exp.
    pub lse: &'a Tensor,
}

/// The gradients of `q`, `k` and `v`.
pub fn backward(
    exec: &Exec,
    spec: &Attention,
    saved: Saved<'_>,
    dout: &Tensor,
    segments: &[u32],
) -> Result<(Tensor, Tensor, Tensor)> {
    let Saved { q, k, v, out, lse } = saved;
    let tokens = checked(spec, q, k, v, segments)?;
    check::shape("attention", "the output", out, q.dims())?;
    check::shape("attention", "the output's gradient", dout, q.dims())?;
    check::shape("attention", "the log-sum-exp", lse, &[tokens, spec.heads])?;
    if !exec.fast(q) {
        return reference::backward(spec, q, k, v, dout, segments);
    }
    let held = [read(q)?, read(k)?, read(v)?, read(out)?, read(dout)?, read(lse)?];
    let [q, k, v, out, dout, lse] = held.each_ref().map(|held| held.lock());
    let layer = Layer::new(exec, spec);
    let spans = spans(layer, k.f32()?, v.f32()?, segments);
    let back = Back { q: q.f32()?, out: out.f32()?, dout: dout.f32()?, lse: lse.f32()? };
    let (dq, dk, dv) = fast::backward(exec, layer, back, &spans)?;
    let shapes = [[tokens, layer.q_width], [tokens, layer.kv_width]];
    Ok((tensor(dq, &shapes[0])?, tensor(dk, &shapes[1])?, tensor(dv, &shapes[1])?))
}

/// Attention of new tokens to everything their sequences have cached and to themselves, causally. `segments`
/// bounds the new tokens of each of the cache's sequences (a sequence may have none); their keys and values
/// are appended to the cache. Shapes as in [`forward`]. Positions are counted from a sequence's first token.
pub fn decode(
    exec: &Exec,
    spec: &Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[u32],
    cache: &mut Cache,
) -> Result<Tensor> {
    let tokens = checked(spec, q, k, v, segments)?;
    check::same(
        "attention",
        "the numbers of segments and of cached sequences",
        segments.len() - 1,
        cache.len(),
    )?;
    if !exec.fast(q) {
        return reference::decode(spec, q, k, v, segments, cache);
    }
    let (q, k, v) = (read(q)?, read(k)?, read(v)?);
    let (q, k, v) = (q.lock(), k.lock(), v.lock());
    let layer = Layer::new(exec, spec);
    let new = spans(layer, k.f32()?, v.f32()?, segments);
    let mut grown = Vec::with_capacity(new.len());
    for (pair, sequence) in segments.windows(2).zip(&mut cache.sequences) {
        let rows = pair[0] as usize * layer.kv_width..pair[1] as usize * layer.kv_width;
        grown.push(sequence.append(&k.f32()?[rows.clone()], &v.f32()?[rows], layer.kv_width)?);
    }
    let spans: Vec<Span<'_>> = new
        .iter()
        .zip(grown)
        .map(|(span, keys)| Span { keys, ..*span })
        .filter(|span| span.len > 0)
        .collect();
    let (out, _) = fast::forward(exec, layer, q.f32()?, &spans)?;
    tensor(out, &[tokens, layer.q_width])
}

/// The sequences of a batch, with the keys of its own tokens.
fn spans<'a>(layer: Layer, k: &'a [f32], v: &'a [f32], segments: &[u32]) -> Vec<Span<'a>> {
    let span = |pair: &[u32]| {
        let (row, end) = (pair[0] as usize, pair[1] as usize);
        let values = row * layer.kv_width..end * layer.kv_width;
        Span { row, len: end - row, keys: Keys { k: &k[values.clone()], v: &v[values] } }
    };
    segments.windows(2).map(span).collect()
}

/// The number of tokens, if everything fits together.
fn checked(spec: &Attention, q: &Tensor, k: &Tensor, v: &Tensor, segments: &[u32]) -> Result<usize> {
    if spec.kv_heads == 0
        || !spec.heads.is_multiple_of(spec.kv_heads)
        || spec.head_dim == 0
        || spec.window == Some(0)
    {
        return Err(Error::argument(format!(
            "attention: {} query heads, {} key heads of {} values and a window of {:?} make no attention",
            spec.heads, spec.kv_heads, spec.head_dim, spec.window
        )));
    }
    let (tokens, _) = check::activation("attention", "the queries", q)?;
    check::shape("attention", "the queries", q, &[tokens, spec.heads * spec.head_dim])?;
    check::shape("attention", "the keys", k, &[tokens, spec.kv_heads * spec.head_dim])?;
    check::shape("attention", "the values", v, &[tokens, spec.kv_heads * spec.head_dim])?;
    check::segments("attention", segments, tokens)?;
    Ok(tokens)
}

#[cfg(test)]
mod tests;
