//! What losses are made of: the logarithms of a sigmoid and of a sum of exponentials, entropy and divergence. All of them
//! carry gradients, which are right at their corners too.

use std::sync::Arc;

use candle_core::Tensor;
use lota_script::{Args, Primitive, Registry, Result};

use super::operand::{dim, reserve, shape_text};
use super::reduce::{reduction, single, softmax};
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

/// log(1 / (1 + exp(-x))), each side of 0 by the form that does not overflow there. The other side of each form is given a
/// number that it holds for, so that no gradient meets an infinity.
fn logsigmoid(x: &Tensor) -> candle_core::Result<Tensor> {
    let x = single(x)?;
    let (positive, zeros) = (x.ge(0.0)?, x.zeros_like()?);
    let (above, below) = (positive.where_cond(&x, &zeros)?, positive.where_cond(&zeros, &x)?);
    let above = (above.neg()?.exp()? + 1.0)?.log()?.neg()?;
    let below = (&below - (below.exp()? + 1.0)?.log()?)?;
    positive.where_cond(&above, &below)
}

/// log(sum(exp(x))) along a dimension, which it keeps with length 1.
fn logsumexp(x: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let x = single(x)?;
    let most = x.max_keepdim(dim)?.detach();
    // An infinite maximum would make inf - inf.
    let most = most.abs()?.lt(f64::INFINITY)?.where_cond(&most, &most.zeros_like()?)?;
    x.broadcast_sub(&most)?.exp()?.sum_keepdim(dim)?.log()?.add(&most)
}

/// The sum of p * number along a dimension, where nothing is added for a p of 0.
fn expected(log_p: &Tensor, number: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let p = log_p.exp()?;
    let counted = p.gt(0.0)?.where_cond(number, &number.zeros_like()?)?;
    (p * counted)?.sum_keepdim(dim)
}

fn entropy(x: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let log_p = softmax(&single(x)?, dim, true)?;
    expected(&log_p, &log_p, dim)?.neg()
}

fn kl(p: &Tensor, q: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let (p, q) = (single(p)?, single(q)?);
    let dtype = if p.dtype() == q.dtype() { p.dtype() } else { candle_core::DType::F64 };
    let (p, q) = (p.to_dtype(dtype)?, q.to_dtype(dtype)?);
    expected(&p, &(&p - &q)?, dim)
}

/// The dimension of distributions: the last, if none is given.
fn over(args: &mut Args, x: &Tensor) -> Result<usize> {
    if x.rank() == 0 {
        return Err(args.wrong("self", "must have a dimension, and holds a single number"));
    }
    Ok(dim(args, "dim", x)?.unwrap_or(x.rank() - 1))
}

const DIM: &str = "the dimension of the distributions; the last if not given";

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "logsigmoid", "The logarithm of the sigmoid: -log(1 + exp(-x)).")
            .details(
                "PyTorch's logsigmoid. It does not overflow, and has gradients everywhere. Half-precision numbers are \
                 taken in f32.",
            )
            .returns("Tensor", "a new tensor of the same shape")
            .example("assert(math.abs(lota.tensor({0}):logsigmoid():item() + 0.6931472) < 1e-6)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                reserve(ctx, x.dims(), 4 * x.dtype().size_in_bytes().max(4))?;
                logsigmoid(&x).told()
            }),
    );
    r.add(
        reduction(
            "logsumexp",
            "The logarithm of the sum of exponentials, without overflow.",
            "assert(math.abs(lota.tensor({1000, 1000}):logsumexp():item() - 1000.6931) < 1e-3)",
            logsumexp,
        )
        .details("PyTorch's logsumexp: log(sum(exp(x))). Half-precision numbers are taken in f32."),
    );
    r.add(
        Primitive::method("Tensor", "entropy", "The entropy, in nats, of the distribution that logits give.")
            .details(
                "-sum(p * log p) with p = softmax of this tensor along the dimension. Log-probabilities are logits too: \
                 their softmax is themselves. What has probability 0 (a logit of -inf) adds nothing.",
            )
            .arg_or("dim", "dim", (), DIM)
            .opt("keep", "boolean", false, "keeps the dimension, with length 1")
            .returns("Tensor", "one number for each distribution")
            .example("assert(math.abs(lota.zeros({4}):entropy():item() - 1.3862944) < 1e-6)")
            .call(|ctx, args| {
                let x = args.this::<ScriptTensor>()?.get();
                let (dim, keep) = (over(args, &x)?, args.get::<bool>("keep")?);
                reserve(ctx, x.dims(), 4 * x.dtype().size_in_bytes().max(4))?;
                let kept = entropy(&x, dim).told()?;
                if keep { Ok(kept) } else { kept.squeeze(dim).told() }
            }),
    );
    r.add(
        Primitive::method("Tensor", "kl", "The divergence KL(p || q) of two distributions, in nats.")
            .details(
                "sum(p * (log p - log q)): this tensor holds log p, and the other log q. Both are log-probabilities, as \
                 log_softmax gives them; they are not normalised again. It is PyTorch's kl_div(log_q, log_p, log_target=True) \
                 summed along the dimension: there the second argument is the p that is averaged over. What has p = 0 adds \
                 nothing; where only q is 0 the divergence is infinite. Gradients go into both.",
            )
            .arg("log_q", "Tensor", "the log-probabilities of q, in the same shape")
            .arg_or("dim", "dim", (), DIM)
            .opt("keep", "boolean", false, "keeps the dimension, with length 1")
            .returns("Tensor", "one number for each pair of distributions")
            .example(
                "local p, q = lota.tensor({0, 1}):log_softmax(), lota.tensor({1, 0}):log_softmax()\n\
                 assert(p:kl(p):item() == 0 and p:kl(q):item() > 0.4)",
            )
            .call(|ctx, args| {
                let p = args.this::<ScriptTensor>()?.get();
                let q = args.get::<Arc<ScriptTensor>>("log_q")?.get();
                let (dim, keep) = (over(args, &p)?, args.get::<bool>("keep")?);
                if p.dims() != q.dims() {
                    let (p, q) = (shape_text(p.dims()), shape_text(q.dims()));
                    return Err(args.wrong("log_q", format!("must have shape {p}, not {q}")));
                }
                reserve(ctx, p.dims(), 4 * p.dtype().size_in_bytes().max(4))?;
                let kept = kl(&p, &q, dim).told()?;
                if keep { Ok(kept) } else { kept.squeeze(dim).told() }
            }),
    );
}
