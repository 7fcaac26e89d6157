//! Gated linear unit: `act(gate) · up`.

use candle_core::Tensor;

use super::{Exec, check, reference};
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
    let _ = exec;
    compose(act, gate, up)
}

/// The gradients of gate and input, from the gradient of the output.
pub fn backward(exec: &Exec, act: Act, gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    check::activation("glu", "the gate", gate)?;
    check::shape("glu", "the input", up, gate.dims())?;
    check::shape("glu", "the output's gradient", dy, gate.dims())?;
    let _ = exec;
    let [dgate, dup] = reference::gradients([gate, up], dy, |[gate, up]| compose(act, gate, up))?;
    Ok((dgate, dup))
}

fn compose(act: Act, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let gate = match act {
        Act::Silu => gate.silu()?,
        Act::GeluTanh => gate.gelu()?,
        Act::GeluErf => gate.gelu_erf()?,
    };
    Ok((gate * up)?)
}
