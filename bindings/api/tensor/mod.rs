//! Tensors as script values.

use std::sync::{PoisonError, RwLock};

use candle_core::Tensor;

use super::convert::{FromValue, Mismatch};
use super::{Registry, Scripted, Value};

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

    /// Puts another tensor in its place.
    pub fn set(&self, tensor: Tensor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tensor;
    }
}

impl Scripted for ScriptTensor {
    const TYPE: &'static str = "Tensor";

    fn show(&self) -> String {
        let tensor = self.get();
        format!("Tensor {:?} {}", tensor.dims(), tensor.dtype().as_str())
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
}
