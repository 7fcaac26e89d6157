//! Gradients of what a script computed with tensors.

use std::sync::Arc;

use candle_core::{Tensor, Var};
use lota_script::{Primitive, Registry};

use super::operand::tensors;
use crate::error::Told as _;
use crate::primitives::tensor::ScriptTensor;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Tensor", "requires_grad", "A tensor whose uses are recorded, for `lota.grad`.")
            .details("In-place changes of the result (`w:sub_(step)`) change the variable itself and are not recorded.")
            .returns("Tensor", "a variable with a copy of these numbers")
            .example("local w = lota.tensor({1, 2}):requires_grad()\nlocal g = lota.grad((w * w):sum(), {w})\nassert(g[1]:totable()[2] == 4)")
            .call(|_, args| {
                let x = args.this::<ScriptTensor>()?.get();
                if !x.dtype().is_float() {
                    return Err(args.wrong("self", format!("must hold floating-point numbers, not {}", x.dtype().as_str())));
                }
                Ok(Var::from_tensor(&x.detach().copy().told()?).told()?.as_tensor().clone())
            }),
    );
    r.add(
        Primitive::method("Tensor", "detach", "The same numbers, outside the recorded graph.")
            .details("Says that a constant is meant: in a loss, a tensor made of the model's own weights must be detached.")
            .returns("Tensor", "a tensor of the same numbers, which are not copied until one of the two is changed")
            .example("local w = lota.tensor({1}):requires_grad()\nassert((w * 2):detach():item() == 2)")
            .call(|_, args| Ok(args.this::<ScriptTensor>()?.get().detach())),
    );
    r.add(
        Primitive::new("grad", "The gradients of a number with respect to variables.")
            .arg("loss", "Tensor", "one number, computed from the variables")
            .arg("vars", "list of Tensor", "tensors made by requires_grad()")
            .returns("list of Tensor", "one gradient a variable, in its shape; zeros where the loss does not depend on it")
            .example("local w = lota.tensor({3}):requires_grad()\nassert(lota.grad(w:square():sum(), {w})[1]:item() == 6)")
            .call(|_, args| {
                let loss = args.get::<Arc<ScriptTensor>>("loss")?.get();
                let vars = tensors(args, "vars")?;
                if loss.elem_count() != 1 {
                    let what = format!("must be one number, but has shape {:?}; take its sum() or mean()", loss.dims());
                    return Err(args.wrong("loss", what));
                }
                if let Some(i) = vars.iter().position(|v| !v.is_variable()) {
                    let what = format!("entry {} was not made by requires_grad()", i + 1);
                    return Err(args.wrong("vars", what));
                }
                let store = loss.backward().told()?;
                let grads: candle_core::Result<Vec<Tensor>> =
                    vars.iter().map(|v| store.get(v).map_or_else(|| v.zeros_like(), |g| Ok(g.detach()))).collect();
                grads.told()
            }),
    );
}
