//! `y = x Wᵀ + b`, and its gradients: for the input, and for the weight whole or at masked entries.

use std::cell::OnceCell;

use candle_core::Tensor;

use super::gemm::{Mat, Out, product_parallel};
use super::packs::{self, Side};
use super::slice::{read, tensor, uninit};
use super::{Exec, SparseIndex, check, par, reference, sampled, skinny};
use crate::Result;

/// `x [T, in]`, `w [out, in]` (f32 or bf16), `bias [out]` → `[T, out]`.
pub fn forward(exec: &Exec, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (tokens, inner) = check::activation("linear", "the input", x)?;
    let (out, cols) = check::weight("linear", "the weight", w)?;
    check::same("linear", "the features of the input and the columns of the weight", inner, cols)?;
    if let Some(bias) = bias {
        check::shape("linear", "the bias", bias, &[out])?;
    }
    if !exec.fast(x) {
        let y = reference::product(exec, x, &w.t()?)?;
        return Ok(match bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        });
    }
    let x = read(x)?;
    let x = x.lock();
    let x = x.f32()?;
    // SAFETY: both products write every value.
    let mut y = unsafe { uninit(tokens * out) };
    if tokens <= skinny::MAX_TOKENS {
        let w = read(w)?;
        skinny::product(exec, x, tokens, w.lock().weight()?, inner, &mut y);
    } else {
        for (from, to) in pieces(tokens, inner * out) {
            exec.check()?;
            let part = Mat::new(&x[from * inner..to * inner], to - from, inner);
            let into = Out { data: &mut y[from * out..to * out], row_stride: out, add: false };
            packs::product(exec, part, w, Side::Turned, into)?;
        }
    }
    if let Some(bias) = bias {
        let bias = read(bias)?;
        let bias = bias.lock();
        let bias = bias.f32()?;
        par::rows(exec, &mut y, out, |_, rows| {
            for row in rows.chunks_exact_mut(out) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        });
    }
    tensor(y, &[tokens, out])
}

/// The gradient of the input: `dy [T, out]`, `w [out, in]` → `[T, in]`.
pub fn backward_input(exec: &Exec, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (tokens, out) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, inner) = check::weight("linear", "the weight", w)?;
    check::same("linear", "the features of the gradient and the rows of the weight", out, rows)?;
    if !exec.fast(dy) {
        return reference::product(exec, dy, w);
    }
    let dy = read(dy)?;
    let dy = dy.lock();
    // SAFETY: the product writes every value.
    let mut dx = unsafe { uninit(tokens * inner) };
    let dy = dy.f32()?;
    for (from, to) in pieces(tokens, inner * out) {
        exec.check()?;
        let part = Mat::new(&dy[from * out..to * out], to - from, out);
        let into = Out { data: &mut dx[from * inner..to * inner], row_stride: inner, add: false };
        packs::product(exec, part, w, Side::Plain, into)?;
    }
    tensor(dx, &[tokens, inner])
}

/// The gradient of the whole weight: `dy [T, out]`, `x [T, in]` → f32 `[out, in]`.
pub fn weight_grad_dense(exec: &Exec, dy: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (tokens, out) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, inner) = check::activation("linear", "the input", x)?;
    check::same("linear", "the tokens of the gradient and of the input", tokens, rows)?;
    if !exec.fast(x) {
        return reference::product(exec, &dy.t()?, x);
    }
    let (dy, x) = (read(dy)?, read(x)?);
    let (dy, x) = (dy.lock(), x.lock());
    tensor(dense(exec, dy.f32()?, x.f32()?, tokens, out, inner)?, &[out, inner])
}

/// `dyᵀ x`, `[out, inner]`.
fn dense(exec: &Exec, dy: &[f32], x: &[f32], tokens: usize, out: usize, inner: usize) -> Result<Vec<f32>> {
    // SAFETY: the products write every value.
    let mut dw = unsafe { uninit(out * inner) };
    for (from, to) in pieces(out, tokens * inner) {
        exec.check()?;
        // No tokens have no gradients to slice.
        let part = Mat::with_stride(dy.get(from..).unwrap_or_default(), tokens, to - from, out).t();
        let into = Out { data: &mut dw[from * inner..to * inner], row_stride: inner, add: false };
        product_parallel(exec, part, Mat::new(x, tokens, inner), into);
    }
    Ok(dw)
}

/// Multiplications between two looks at the switch: some tens of milliseconds.
const PIECE: usize = 1 << 30;
/// Rows of a piece are a multiple of these, so that the kernels see the same blocks as without pieces.
const ROWS: usize = 768;

/// Rows of a product in pieces, for so many multiplications a row.
fn pieces(rows: usize, each: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (PIECE / each.max(1)).next_multiple_of(ROWS).max(ROWS);
    (0..rows).step_by(step).map(move |from| (from, (from + step).min(rows)))
}

/// The input of linear layers, `[T, in]`, as the gradients of their weights need it: what is made of it for one is kept
/// for the others.
pub struct Input<'a> {
    x: &'a Tensor,
    columns: OnceCell<sampled::Columns>,
}

impl<'a> Input<'a> {
    /// An input of which nothing has been made.
    pub fn new(x: &'a Tensor) -> Self {
        Self { x, columns: OnceCell::new() }
    }

    /// The tensor.
    pub fn tensor(&self) -> &'a Tensor {
        self.x
    }
}

/// The gradient of the weight at masked entries: `dy [T, out]`, `x [T, in]` → f32 `[nnz]`, in the
/// order of `index`. Sampled, or dense and then gathered, whichever is faster at this density.
pub fn weight_grad_at(exec: &Exec, dy: &Tensor, input: &Input<'_>, index: &SparseIndex) -> Result<Tensor> {
    let x = input.x;
    let (tokens, out) = check::activation("linear", "the output's gradient", dy)?;
    let (rows, inner) = check::activation("linear", "the input", x)?;
    check::same("linear", "the tokens of the gradient and of the input", tokens, rows)?;
    index.check("linear", &[out, inner])?;
    if !exec.fast(x) || index.density() > sampled::BREAK_EVEN {
        let dense = weight_grad_dense(exec, dy, x)?;
        return super::scatter::gather(exec, &dense, index);
    }
    let dy = read(dy)?;
    let dy = dy.lock();
    let columns = match input.columns.get() {
        Some(columns) => columns,
        None => {
            let x = read(x)?;
            let x = x.lock();
            let made = sampled::Columns::new(exec, x.f32()?, inner);
            input.columns.get_or_init(|| made)
        }
    };
    tensor(columns.product(exec, dy.f32()?, index), &[index.nnz()])
}

/// The gradient of the bias: `dy [T, out]` → `[out]`.
pub fn bias_grad(exec: &Exec, dy: &Tensor) -> Result<Tensor> {
    let (tokens, out) = check::activation("linear", "the output's gradient", dy)?;
    if !exec.fast(dy) {
        return Ok(dy.sum(0)?);
    }
    let dy = read(dy)?;
    let dy = dy.lock();
    let dy = dy.f32()?;
    let sums = par::column_sums(exec, tokens, out, |row, sums| {
        sums.iter_mut().zip(&dy[row * out..(row + 1) * out]).for_each(|(sum, dy)| *sum += dy);
    });
    tensor(sums, &[out])
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::Compute;
    use crate::testing::{
        alone, check_gradient, close, differs, fast, plain, random, random_bf16, same_bits,
    };

    const SHAPES: [(usize, usize, usize); 6] =
        [(1, 5, 3), (3, 17, 33), (9, 40, 50), (70, 96, 130), (300, 33, 65), (520, 64, 48)];

    #[test]
    fn both_paths_agree() -> Result<()> {
        let (f, p) = (fast(), plain());
        for (tokens, inner, out) in SHAPES {
            let (x, dy) = (random(1, &[tokens, inner]), random(2, &[tokens, out]));
            let bias = random(3, &[out]);
            for w in [random(4, &[out, inner]), random_bf16(4, &[out, inner])] {
                for bias in [None, Some(&bias)] {
                    let y = forward(&f, &x, &w, bias)?;
                    close("value", &y, &forward(&p, &x, &w, bias)?, 2e-6);
                    same_bits("value", &y, &forward(&alone(), &x, &w, bias)?);
                }
                let dx = backward_input(&f, &dy, &w)?;
                close("input", &dx, &backward_input(&p, &dy, &w)?, 2e-6);
                same_bits("input", &dx, &backward_input(&alone(), &dy, &w)?);
            }
            let dw = weight_grad_dense(&f, &dy, &x)?;
            close("weight", &dw, &weight_grad_dense(&p, &dy, &x)?, 2e-6);
            same_bits("weight", &dw, &weight_grad_dense(&alone(), &dy, &x)?);
            let db = bias_grad(&f, &dy)?;
            close("bias", &db, &bias_grad(&p, &dy)?, 2e-6);
            same_bits("bias", &db, &bias_grad(&alone(), &dy)?);
        }
        Ok(())
    }

    #[test]
    fn both_paths_round_the_operands_of_bf16_products_alike() -> Result<()> {
        let (f, p) = (fast().with_compute(Compute::BF16), plain().with_compute(Compute::BF16));
        let one = alone().with_compute(Compute::BF16);
        for (tokens, inner, out) in SHAPES.into_iter().filter(|s| s.0 > skinny::MAX_TOKENS) {
            let (x, dy) = (random(1, &[tokens, inner]), random(2, &[tokens, out]));
            for w in [random(4, &[out, inner]), random_bf16(4, &[out, inner])] {
                let y = forward(&f, &x, &w, None)?;
                close("value", &y, &forward(&p, &x, &w, None)?, 1e-5);
                same_bits("value", &y, &forward(&one, &x, &w, None)?);
                close("input", &backward_input(&f, &dy, &w)?, &backward_input(&p, &dy, &w)?, 1e-5);
            }
            let dw = weight_grad_dense(&f, &dy, &x)?;
            close("weight", &dw, &weight_grad_dense(&p, &dy, &x)?, 1e-5);
            let index = SparseIndex::from_sorted(out, inner, (0..(inner * out) as u32).step_by(7))?;
            let found = weight_grad_at(&f, &dy, &Input::new(&x), &index)?;
            // Where the processor multiplies bf16 operands, they are rounded first; elsewhere they stay as they are.
            let rounded = |x: &Tensor| x.to_dtype(DType::BF16)?.to_dtype(DType::F32);
            let exact = |dy: &Tensor, x: &Tensor| {
                crate::scatter::gather(&p, &weight_grad_dense(&plain(), dy, x)?, &index)
            };
            let (sharp, blunt) = (exact(&dy, &x)?, exact(&rounded(&dy)?, &rounded(&x)?)?);
            let (same, other) = if sampled::in_pairs(&f) { (&blunt, &sharp) } else { (&sharp, &blunt) };
            close("masked", &found, same, 1e-5);
            assert!(differs(&found, other, 1e-4), "both are the same here, so nothing was tested");
            same_bits("masked", &found, &weight_grad_at(&one, &dy, &Input::new(&x), &index)?);
        }
        Ok(())
    }

    #[test]
    fn finite_differences_agree() -> Result<()> {
        let f = fast();
        let (x, w, b) = (random(1, &[19, 33]), random(2, &[21, 33]), random(3, &[21]));
        let dy = random(4, &[19, 21]);
        check_gradient("input", &x, &dy, &backward_input(&f, &dy, &w)?, |x| forward(&f, x, &w, Some(&b)));
        check_gradient("weight", &w, &dy, &weight_grad_dense(&f, &dy, &x)?, |w| forward(&f, &x, w, Some(&b)));
        check_gradient("bias", &b, &dy, &bias_grad(&f, &dy)?, |b| forward(&f, &x, &w, Some(b)));
        Ok(())
    }

    #[test]
    fn masked_gradients_are_those_of_the_dense_one() -> Result<()> {
        let (f, p) = (fast(), plain());
        for (tokens, inner, out) in SHAPES {
            let (x, dy) = (random(1, &[tokens, inner]), random(2, &[tokens, out]));
            for every in [1, 2, 5, 13, 1000] {
                let kept = (0..(inner * out) as u32).filter(|i| (i * 7 + i / 11) % every == 0);
                let index = SparseIndex::from_sorted(out, inner, kept)?;
                let expected = weight_grad_at(&p, &dy, &Input::new(&x), &index)?;
                let found = weight_grad_at(&f, &dy, &Input::new(&x), &index)?;
                close("masked", &found, &expected, 3e-6);
                same_bits("masked", &found, &weight_grad_at(&alone(), &dy, &Input::new(&x), &index)?);
            }
        }
        Ok(())
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let f = fast();
        assert!(forward(&f, &random(1, &[2, 3]), &random(1, &[4, 5]), None).is_err());
        assert!(forward(&f, &random(1, &[2, 3]), &random(1, &[4, 3]), Some(&random(1, &[3]))).is_err());
        assert!(backward_input(&f, &random(1, &[2, 3]), &random(1, &[4, 3])).is_err());
        assert!(weight_grad_dense(&f, &random(1, &[2, 3]), &random(1, &[4, 3])).is_err());
        assert!(forward(&f, &random_bf16(1, &[2, 3]), &random(1, &[4, 3]), None).is_err());
    }
}
