//! Tensors as script values, and their operations: one file a kind.

mod autograd;
mod create;
mod index;
mod math;
mod operand;
mod reduce;
mod shape;
mod take;

use std::sync::{PoisonError, RwLock};

use candle_core::{Tensor, Var};

use super::convert::{FromValue, Mismatch};
use super::{Registry, Scripted, Value};

pub use operand::Operand;

/// A tensor that scripts hold. The cell is what `x:add_(y)` changes.
pub struct ScriptTensor(RwLock<Tensor>);

impl ScriptTensor {
    /// A handle to a tensor.
    pub fn new(tensor: Tensor) -> Self {
        Self(RwLock::new(tensor))
    }

    /// The tensor it holds now.
    pub fn get(&self) -> Tensor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it other numbers of the same shape and type. A variable stays the same variable.
    pub fn assign(&self, tensor: &Tensor) -> candle_core::Result<()> {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.is_variable() {
            return Var::from_tensor(&held)?.set(&tensor.detach());
        }
        *held = tensor.clone();
        Ok(())
    }
}

impl Scripted for ScriptTensor {
    const TYPE: &'static str = "Tensor";

    fn show(&self) -> String {
        let tensor = self.get();
        if tensor.rank() == 0 {
            let number = take::item(&tensor).map_or_else(|e| e.to_string(), |v| super::record::literal(&v));
            return format!("Tensor({number}, {})", tensor.dtype().as_str());
        }
        format!("{tensor}").trim_end().to_string()
    }

    fn bytes(&self) -> u64 {
        let tensor = self.get();
        (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Value::object(ScriptTensor::new(tensor))
    }
}

impl FromValue for Tensor {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match &value {
            Value::Object(o) => match o.downcast_ref::<ScriptTensor>() {
                Some(cell) => Ok(cell.get()),
                None => Err(Mismatch::new("Tensor", &value)),
            },
            other => Err(Mismatch::new("Tensor", other)),
        }
    }
}

pub(super) fn register(r: &mut Registry) {
    r.object("Tensor", "Numbers of one type in a rectangular shape.");
    create::register(r);
    math::register(r);
    reduce::register(r);
    shape::register(r);
    index::register(r);
    take::register(r);
    autograd::register(r);
}
