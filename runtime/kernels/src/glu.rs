//! Gated linear unit: `act(gate) · up`.

use candle_core::Tensor;

use super::simd::{Isa, erf, exp, multiversion, sigmoid, tanh};
use super::slice::{read, tensor, uninit};
use super::{Exec, check, par, reference};
use crate::Result;

/// The activation of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
}

/// `gate [T, F]`, `up [T, F]` → `[T, F]`.
pub fn forward(exec: &Exec, act: Act, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    check::activation("glu", "the gate", gate)?;
    check::shape("glu", "the input", up, gate.dims())?;
    if !exec.fast(gate) {
        return compose(act, gate, up);
    }
    let dims = gate.dims();
    let (gate, up) = (read(gate)?, read(up)?);
    let (gate, up) = (gate.lock(), up.lock());
    let (gate, up) = (gate.f32()?, up.f32()?);
    // SAFETY: every value is written below.
    let mut out = unsafe { uninit(gate.len()) };
    par::rows(exec, &mut out, 1, |first, out| {
        let range = first..first + out.len();
        let (gate, up) = (&gate[range.clone()], &up[range]);
        match act {
            Act::Silu => silu(gate, up, out),
            Act::GeluTanh => gelu_tanh(gate, up, out),
            Act::GeluErf => gelu_erf(gate, up, out),
        }
    });
    tensor(out, dims)
}

/// The gradients of gate and input, from the gradient of the output.
pub fn backward(exec: &Exec, act: Act, gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    check::activation("glu", "the gate", gate)?;
    check::shape("glu", "the input", up, gate.dims())?;
    check::shape("glu", "the output's gradient", dy, gate.dims())?;
    if !exec.fast(gate) {
        let [dgate, dup] = reference::gradients([gate, up], dy, |[gate, up]| compose(act, gate, up))?;
        return Ok((dgate, dup));
    }
    let dims = gate.dims();
    let (gate, up, dy) = (read(gate)?, read(up)?, read(dy)?);
    let (gate, up, dy) = (gate.lock(), up.lock(), dy.lock());
    let (gate, up, dy) = (gate.f32()?, up.f32()?, dy.f32()?);
    // SAFETY: every value of both is written below.
    let (mut dgate, mut dup) = unsafe { (uninit(gate.len()), uninit(gate.len())) };
    par::rows2(exec, (&mut dgate, 1), (&mut dup, 1), |first, dgate, dup| {
        let range = first..first + dgate.len();
        let (gate, up, dy) = (&gate[range.clone()], &up[range.clone()], &dy[range]);
        match act {
            Act::Silu => silu_back(gate, up, dy, dgate, dup),
            Act::GeluTanh => gelu_tanh_back(gate, up, dy, dgate, dup),
            Act::GeluErf => gelu_erf_back(gate, up, dy, dgate, dup),
        }
    });
    Ok((tensor(dgate, dims)?, tensor(dup, dims)?))
}

/// The pair of passes over slices for one activation, from its value and slope at a point.
macro_rules! passes {
    ($forward:ident, $backward:ident, $curve:ident) => {
        multiversion! {
            fn $forward<I>(gate: &[f32], up: &[f32], out: &mut [f32]) {
                for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                    *out = $curve::<I>(*gate).0 * up;
                }
            }
        }
        multiversion! {
            fn $backward<I>(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
                // Slices of one known length: the loop vectorises only without bounds checks.
                let n = dgate.len();
                let (gate, up, dy, dup) = (&gate[..n], &up[..n], &dy[..n], &mut dup[..n]);
                for i in 0..n {
                    let (value, slope) = $curve::<I>(gate[i]);
                    dgate[i] = dy[i] * up[i] * slope;
                    dup[i] = dy[i] * value;
                }
            }
        }
    };
}

passes!(silu, silu_back, silu_curve);
passes!(gelu_tanh, gelu_tanh_back, gelu_tanh_curve);
passes!(gelu_erf, gelu_erf_back, gelu_erf_curve);

#[inline(always)]
fn silu_curve<I: Isa>(x: f32) -> (f32, f32) {
    let s = sigmoid::<I>(x);
    (x * s, s * I::madd(x, 1.0 - s, 1.0))
}

#[inline(always)]
fn gelu_tanh_curve<I: Isa>(x: f32) -> (f32, f32) {
    const ROOT: f32 = 0.797_884_6; // sqrt(2 / pi)
    let square = x * x;
    let t = tanh::<I>(ROOT * x * I::madd(square, 0.044_715, 1.0));
    let inner = ROOT * I::madd(square, 3.0 * 0.044_715, 1.0);
    let half = 0.5 * (1.0 + t);
    (x * half, I::madd(0.5 * x * inner, 1.0 - t * t, half))
}

#[inline(always)]
fn gelu_erf_curve<I: Isa>(x: f32) -> (f32, f32) {
    const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    let below = 0.5 * (1.0 + erf::<I>(x * std::f32::consts::FRAC_1_SQRT_2));
    (x * below, I::madd(x * DENSITY, exp::<I>(-0.5 * x * x), below))
}

fn compose(act: Act, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let gate = match act {
        Act::Silu => gate.silu()?,
        Act::GeluTanh => gate.gelu()?,
        Act::GeluErf => gate.gelu_erf()?,
    };
    Ok((gate * up)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, close, fast, plain, random};

    #[test]
    fn both_paths_and_finite_differences_agree() -> Result<()> {
        for act in [Act::Silu, Act::GeluTanh, Act::GeluErf] {
            for shape in [[3, 7], [70, 259]] {
                let (gate, up, dy) = ((random(1, &shape) * 6.0)?, random(2, &shape), random(3, &shape));
                let (f, p) = (fast(), plain());
                close("value", &forward(&f, act, &gate, &up)?, &forward(&p, act, &gate, &up)?, 2e-6);
                let (dgate, dup) = backward(&f, act, &gate, &up, &dy)?;
                let (pgate, pup) = backward(&p, act, &gate, &up, &dy)?;
                close("gate", &dgate, &pgate, 5e-6);
                close("up", &dup, &pup, 5e-6);
                check_gradient("gate", &gate, &dy, &dgate, |gate| forward(&f, act, gate, &up));
                check_gradient("up", &up, &dy, &dup, |up| forward(&f, act, &gate, up));
            }
        }
        Ok(())
    }
}
