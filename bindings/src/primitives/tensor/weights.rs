//! Tensors that were computed from the weights of a model, and of which: a loss that contains one would count it as a
//! constant, since gradients reach the weights through the log-probabilities alone.

use std::sync::{Arc, Weak};

use candle_core::Tensor;
use lota_runtime::model::Model;
use lota_script::{Args, Ctx, Inner, Registry, Result, Value};

use super::ScriptTensor;

/// The models from whose weights a tensor was computed.
#[derive(Clone, Default)]
pub(super) struct Origins(Vec<Weak<Model>>);

impl Origins {
    pub(super) fn extend(&mut self, other: &Self) {
        for model in &other.0 {
            if !self.0.iter().any(|known| known.ptr_eq(model)) {
                self.0.push(model.clone());
            }
        }
    }
}

impl ScriptTensor {
    /// The same tensor, computed from the weights of `model`.
    pub(crate) fn of_weights(tensor: Tensor, model: &Arc<Model>) -> Value {
        let made = Self::new(tensor);
        made.add_origins(&Origins(vec![Arc::downgrade(model)]));
        Value::object(made)
    }

    /// Whether it was computed from the weights of `model`.
    pub(crate) fn depends_on(&self, model: &Arc<Model>) -> bool {
        self.origins().0.iter().any(|origin| std::ptr::eq(origin.as_ptr(), Arc::as_ptr(model)))
    }

    /// Whether it was computed from the weights of a model of which a loss is being computed.
    pub(super) fn is_of_a_running_loss(&self) -> bool {
        self.origins().0.iter().any(|origin| origin.upgrade().is_some_and(|model| model.params.in_loss()))
    }
}

/// Makes the tensors that primitives return remember what the tensors given to them remember. `detach` is how a script
/// says that it means a constant.
pub(crate) fn carry_origins(r: &mut Registry) {
    let made_of_tensors = |result: &str, name: &str| result.contains("Tensor") && name != "Tensor:detach";
    r.wrap(|p| made_of_tensors(p.result().0, p.name()), carried);
}

fn carried(ctx: &Ctx, args: &mut Args, inner: &Inner<'_>) -> Result<Value> {
    let mut origins = Origins::default();
    args.given().for_each(|value| collect(value, &mut origins));
    let value = inner(ctx, args)?;
    if !origins.0.is_empty() {
        mark(&value, &origins);
    }
    Ok(value)
}

fn collect(value: &Value, origins: &mut Origins) {
    match value {
        Value::List(items) => items.iter().for_each(|item| collect(item, origins)),
        Value::Object(object) => {
            if let Some(tensor) = object.downcast_ref::<ScriptTensor>() {
                origins.extend(&tensor.origins());
            }
        }
        _ => {}
    }
}

fn mark(value: &Value, origins: &Origins) {
    match value {
        Value::List(items) => items.iter().for_each(|item| mark(item, origins)),
        Value::Object(object) => {
            if let Some(tensor) = object.downcast_ref::<ScriptTensor>() {
                tensor.add_origins(origins);
            }
        }
        _ => {}
    }
}
