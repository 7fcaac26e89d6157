//! Tensors as script values, and their operations: one file a kind.

mod autograd;
mod choose;
mod constants;
mod create;
mod graph;
mod index;
mod linalg;
mod loss;
mod math;
mod operand;
mod order;
mod pytorch;
mod reduce;
mod shape;
mod take;
mod weights;
mod work;

use std::sync::{Arc, PoisonError, RwLock};

use candle_core::{Tensor, Var};
use lota_script::{FromValue, IntoValue, Mismatch, Registry, Scripted, Value};

use crate::primitives::shared::Lota;

pub(crate) use constants::{WHY, holds, refuse_reads, refuse_weights};
pub(crate) use graph::count_graphs;
pub(crate) use index::stored_positions;
pub(crate) use math::range;
pub use operand::Operand;
pub(crate) use pytorch::register as register_elsewhere;
pub(crate) use weights::carry_origins;
pub(crate) use work::ask_first;

/// A tensor that scripts hold. The cell is what `x:add_(y)` changes.
pub struct ScriptTensor {
    held: RwLock<Tensor>,
    origins: RwLock<weights::Origins>,
    /// What was recorded to make it, where that is counted.
    node: RwLock<Option<Arc<graph::Node>>>,
}

impl ScriptTensor {
    /// A handle to a tensor.
    pub fn new(tensor: Tensor) -> Self {
        Self { held: RwLock::new(tensor), origins: RwLock::default(), node: RwLock::default() }
    }

    /// The tensor it holds now.
    pub fn get(&self) -> Tensor {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn origins(&self) -> weights::Origins {
        self.origins.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add_origins(&self, more: &weights::Origins) {
        self.origins.write().unwrap_or_else(PoisonError::into_inner).extend(more);
    }

    fn node(&self) -> Option<Arc<graph::Node>> {
        self.node.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_node(&self, node: Arc<graph::Node>) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }

    /// Gives it another tensor of the same numbers.
    fn replace(&self, tensor: Tensor) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = tensor;
    }

    /// Gives it other numbers of the same shape and type. A variable stays the same variable.
    pub fn assign(&self, tensor: &Tensor) -> candle_core::Result<()> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
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
            let number = take::item(&tensor).map_or_else(|e| e.to_string(), |v| lota_script::literal(&v));
            return format!("Tensor({number}, {})", tensor.dtype().as_str());
        }
        format!("{tensor}").trim_end().to_string()
    }

    fn bytes(&self) -> u64 {
        let tensor = self.get();
        (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
    }
}

impl IntoValue<Lota> for Tensor {
    fn into_value(self) -> Value {
        Value::object(ScriptTensor::new(self))
    }
}

impl IntoValue<Lota> for Vec<Tensor> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(IntoValue::into_value).collect())
    }
}

impl IntoValue<Lota> for Option<Tensor> {
    fn into_value(self) -> Value {
        self.map_or(Value::Nil, IntoValue::into_value)
    }
}

/// The tensor that a value of a script is.
pub(crate) fn of_value(value: Value) -> Result<Tensor, Mismatch> {
    Arc::<ScriptTensor>::from_value(value).map(|held| held.get())
}

pub(super) fn register(r: &mut Registry) {
    r.object("Tensor", "Numbers of one type in a rectangular shape.");
    create::register(r);
    math::register(r);
    reduce::register(r);
    shape::register(r);
    index::register(r);
    take::register(r);
    loss::register(r);
    order::register(r);
    choose::register(r);
    linalg::register(r);
    autograd::register(r);
}
