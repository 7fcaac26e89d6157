//! Attention on the CPU: blocks of queries shared among threads, and their results put in place.

use rayon::prelude::*;

use super::kernel::{self, Back, Block, Keys, Layer};
use crate::slice::uninit;
use crate::{Exec, Result};

/// One sequence of a batch: its new rows in the query matrix, and its keys, the last of which belong to those rows.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) row: usize,
    pub(super) len: usize,
    pub(super) keys: Keys<'a>,
}

impl Span<'_> {
    fn keys_len(&self, layer: Layer) -> usize {
        self.keys.k.len() / layer.kv_width
    }

    /// Blocks of one key head over queries `from..to` of the span.
    fn blocks(self, layer: Layer, head: usize, from: usize, to: usize) -> impl Iterator<Item = Block> {
        let (step, past) = (layer.queries(), self.keys_len(layer) - self.len);
        (from..to).step_by(step).map(move |i| Block {
            head,
            row: self.row + i,
            at: past + i,
            len: step.min(to - i),
        })
    }
}

/// The output `[T, heads·D]` and log-sum-exps `[T, heads]` of sequences whose rows cover all of `q`.
pub(super) fn forward(
    exec: &Exec,
    layer: Layer,
    q: &[f32],
    spans: &[Span<'_>],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let tokens = q.len() / layer.q_width;
    let heads = layer.spec.heads;
    // SAFETY: the blocks of all sequences and heads cover every row and head, and each is copied below.
    let (mut out, mut lse) = unsafe { (uninit(tokens * layer.q_width), uninit(tokens * heads)) };
    let tasks: Vec<(Block, Keys<'_>)> = spans
        .iter()
        .flat_map(|span| (0..layer.spec.kv_heads).map(move |head| (span, head)))
        .flat_map(|(span, head)| span.blocks(layer, head, 0, span.len).map(|block| (block, span.keys)))
        .collect();
    // A long sequence takes the square of its length.
    let work = |&(block, keys): &(Block, Keys<'_>)| -> Result<_> {
        exec.check()?;
        Ok(kernel::forward(layer, q, keys, block))
    };
    let parts: Vec<(Vec<f32>, Vec<f32>)> = if exec.threads() == 1 {
        tasks.iter().map(work).collect::<Result<_>>()?
    } else {
        exec.run(|| tasks.par_iter().map(work).collect::<Result<_>>())?
    };
    for ((block, _), (part, sums)) in tasks.iter().zip(parts) {
        place(layer, *block, &part, &mut out);
        for (r, sum) in sums.into_iter().enumerate() {
            let head = block.head * layer.group + r / block.len;
            lse[(block.row + r % block.len) * heads + head] = sum;
        }
    }
    Ok((out, lse))
}

/// Copies a block's `[group · len, D]` to its rows and heads.
fn place(layer: Layer, block: Block, part: &[f32], to: &mut [f32]) {
    let d = layer.spec.head_dim;
    for (r, line) in part.chunks_exact(d).enumerate() {
        let head = block.head * layer.group + r / block.len;
        let start = (block.row + r % block.len) * layer.q_width + head * d;
        to[start..start + d].copy_from_slice(line);
    }
}

/// Parts a long sequence is cut into, so that its backward has work for several threads, and the fewest queries of one.
const PARTS: usize = 8;
const PART_QUERIES: usize = 512;

/// The gradients of queries, keys and values. Every span has as many keys as rows.
pub(super) fn backward(
    exec: &Exec,
    layer: Layer,
    back: Back<'_>,
    spans: &[Span<'_>],
) -> Result<(Vec<f32>, Vec<f32>, Vec<f32>)> {
    let (tokens, d) = (back.q.len() / layer.q_width, layer.spec.head_dim);
    let mut tasks = Vec::new();
    for span in spans {
        let step = span.len.div_ceil(PARTS).max(PART_QUERIES);
        for head in 0..layer.spec.kv_heads {
            for from in (0..span.len).step_by(step) {
                tasks.push((*span, head, from, (from + step).min(span.len)));
            }
        }
    }
    let work = |&(span, head, from, to): &(Span<'_>, usize, usize, usize)| -> Result<_> {
        let (mut dk, mut dv) = (vec![0.0; to * d], vec![0.0; to * d]);
        let blocks = span.blocks(layer, head, from, to);
        let dq = blocks
            .map(|block| {
                exec.check()?;
                Ok((block, kernel::backward(layer, back, span.keys, block, &mut dk, &mut dv)))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((dq, dk, dv))
    };
    let parts: Vec<_> = if exec.threads() == 1 {
        tasks.iter().map(work).collect::<Result<_>>()?
    } else {
        exec.run(|| tasks.par_iter().map(work).collect::<Result<_>>())?
    };
    // SAFETY: the blocks of all sequences and heads cover every row and head, and each is copied below.
    let mut dq = unsafe { uninit(tokens * layer.q_width) };
    let (mut dk, mut dv) = (vec![0.0; tokens * layer.kv_width], vec![0.0; tokens * layer.kv_width]);
    for (&(span, head, ..), (blocks, part_k, part_v)) in tasks.iter().zip(parts) {
        for (block, part) in blocks {
            place(layer, block, &part, &mut dq);
        }
        for (part, to) in [(part_k, &mut dk), (part_v, &mut dv)] {
            for (i, line) in part.chunks_exact(d).enumerate() {
                let start = (span.row + i) * layer.kv_width + head * d;
                to[start..start + d].iter_mut().zip(line).for_each(|(to, from)| *to += from);
            }
        }
    }
    Ok((dq, dk, dv))
}
