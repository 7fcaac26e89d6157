//! How values of the runtime, whose types are not this crate's, become values of scripts.

use std::ops::Deref;
use std::sync::Arc;

use lota_script::{FromValue, Mismatch, Scripted, Value};

/// The `Home` of this crate's [`IntoValue`](lota_script::IntoValue): with it a mask or a tensor can be what a primitive gives.
pub(crate) struct Lota;

/// A value of the runtime that scripts hold. Copies are handles to the same one.
pub struct Shared<T>(pub Arc<T>);

impl<T> Shared<T> {
    /// A handle to a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> FromValue for Shared<T>
where
    Self: Scripted,
{
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match &value {
            Value::Object(object) => {
                object.downcast_ref::<Self>().cloned().ok_or_else(|| Mismatch::new(Self::TYPE, &value))
            }
            other => Err(Mismatch::new(Self::TYPE, other)),
        }
    }
}
