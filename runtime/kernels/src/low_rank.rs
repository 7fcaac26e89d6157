//! What factors of low rank add to a linear layer: `y + scale · x Aᵀ Bᵀ`, and the pieces of its backward.
//!
//! Of the two thin products the inner one, `[T, rank]`, is cheap to make again, so nothing is kept for the backward. With
//! `t = scale · x Aᵀ` and `u = scale · dy B` the gradients are `dB = dyᵀ t`, `dA = uᵀ x`, `dx += u A`; those of the factors are
//! [`super::linear`]'s, dense or at masked entries.

use candle_core::Tensor;

use super::gemm::{Mat, Out};
use super::packs::{self, Side};
use super::slice::{read, write_f32};
use super::{Exec, check, elementwise, linear, skinny};
use crate::Result;

/// `scale · x Aᵀ`: `x [T, in]`, `a [rank, in]` → `[T, rank]`.
pub fn inner(exec: &Exec, x: &Tensor, a: &Tensor, scale: f32) -> Result<Tensor> {
    elementwise::scale(exec, &linear::forward(exec, x, a, None)?, scale)
}

/// `scale · dy B`: `dy [T, out]`, `b [out, rank]` → `[T, rank]`.
pub fn inner_gradient(exec: &Exec, dy: &Tensor, b: &Tensor, scale: f32) -> Result<Tensor> {
    elementwise::scale(exec, &linear::backward_input(exec, dy, b)?, scale)
}

/// `y + t Bᵀ`: `y [T, out]`, `t [T, rank]`, `b [out, rank]`. Where the path can, it is added in place: no one else may hold `y`.
pub fn add_output(exec: &Exec, y: Tensor, t: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (tokens, rank) = check::activation("low rank", "the inner product", t)?;
    let (out, cols) = check::weight("low rank", "the factor B", b)?;
    check::same("low rank", "the ranks of the inner product and of B", rank, cols)?;
    check::shape("low rank", "the output", &y, &[tokens, out])?;
    if tokens <= skinny::MAX_TOKENS || !exec.fast(&y) {
        return elementwise::add(exec, &y, &linear::forward(exec, t, b, None)?);
    }
    add(exec, y, t, (tokens, rank, out), b, Side::Turned)
}

/// `dx + u A`: `dx [T, in]`, `u [T, rank]`, `a [rank, in]`. Where the path can, it is added in place: no one else may hold `dx`.
pub fn add_input(exec: &Exec, dx: Tensor, u: &Tensor, a: &Tensor) -> Result<Tensor> {
    let (tokens, rank) = check::activation("low rank", "the inner gradient", u)?;
    let (rows, width) = check::weight("low rank", "the factor A", a)?;
    check::same("low rank", "the ranks of the inner gradient and of A", rank, rows)?;
    check::shape("low rank", "the input's gradient", &dx, &[tokens, width])?;
    if !exec.fast(&dx) {
        return elementwise::add(exec, &dx, &linear::backward_input(exec, u, a)?);
    }
    add(exec, dx, u, (tokens, rank, width), a, Side::Plain)
}

/// `sum + x w` or `sum + x wᵀ`, in place.
fn add(
    exec: &Exec,
    sum: Tensor,
    x: &Tensor,
    (tokens, inner, width): (usize, usize, usize),
    w: &Tensor,
    side: Side,
) -> Result<Tensor> {
    let x = read(x)?;
    let x = x.lock();
    let x = Mat::new(x.f32()?, tokens, inner);
    let mut done = Ok(());
    write_f32(&sum, |data| {
        done = packs::product(exec, x, w, side, Out { data, row_stride: width, add: true });
    })?;
    done.map(|()| sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compute;
    use crate::testing::{alone, close, fast, plain, random, random_bf16, same_bits};

    #[test]
    fn both_paths_agree_in_values_and_in_the_gradient_of_the_input() -> Result<()> {
        for (tokens, width, out, rank) in [(1, 5, 3, 1), (3, 33, 17, 2), (70, 96, 130, 8), (300, 33, 65, 5)] {
            for compute in [Compute::F32, Compute::BF16] {
                let of = |exec: Exec| exec.with_compute(compute);
                let (x, dy) = (random(1, &[tokens, width]), random(2, &[tokens, out]));
                for (a, b) in [
                    (random(3, &[rank, width]), random(4, &[out, rank])),
                    (random_bf16(3, &[rank, width]), random_bf16(4, &[out, rank])),
                ] {
                    let run = |exec: &Exec| -> Result<(Tensor, Tensor)> {
                        let y = add_output(exec, random(5, &[tokens, out]), &inner(exec, &x, &a, 0.7)?, &b)?;
                        let u = inner_gradient(exec, &dy, &b, 0.7)?;
                        Ok((y, add_input(exec, random(6, &[tokens, width]), &u, &a)?))
                    };
                    let (found, expected) = (run(&of(fast()))?, run(&of(plain()))?);
                    let tolerance = if compute == Compute::F32 { 5e-6 } else { 3e-2 };
                    close("output", &found.0, &expected.0, tolerance);
                    close("input", &found.1, &expected.1, tolerance);
                    let single = run(&of(alone()))?;
                    same_bits("output", &found.0, &single.0);
                    same_bits("input", &found.1, &single.1);
                }
            }
        }
        Ok(())
    }
}
