//! How values of the runtime, whose types are not this crate's, become values of scripts.

use std::ops::Deref;
use std::sync::Arc;

use lota_runtime::mask::Mask;
use lota_runtime::model::Tokenizer;
use lota_runtime::ticket::Ticket;
use lota_runtime::vectors::{Scores, Source as _};
use lota_script::{FromValue, IntoValue, Mismatch, Object, Scripted, Value};

/// The `Home` of this crate's [`IntoValue`](lota_script::IntoValue): with it a mask or a tensor can be what a primitive gives.
pub struct Lota;

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

/// A mask that scripts hold.
pub type ScriptMask = Shared<Mask>;

impl Scripted for ScriptMask {
    const TYPE: &'static str = "Mask";

    fn show(&self) -> String {
        format!("Mask({} of {} entries)", self.count(), self.universe().entries())
    }

    fn bytes(&self) -> u64 {
        Mask::bytes(self)
    }
}

impl IntoValue<Lota> for Mask {
    fn into_value(self) -> Value {
        Value::object(ScriptMask::new(self))
    }
}

/// Scores that scripts hold.
pub type ScriptScores = Shared<Scores>;

impl Scripted for ScriptScores {
    const TYPE: &'static str = "Scores";

    fn show(&self) -> String {
        let scored = self.values().iter().flatten().count();
        format!("Scores({scored} of {} parameters)", self.universe().len())
    }

    fn bytes(&self) -> u64 {
        self.values().iter().flatten().map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64).sum()
    }
}

impl IntoValue<Lota> for Scores {
    fn into_value(self) -> Value {
        Value::object(ScriptScores::new(self))
    }
}

/// A ticket that scripts hold.
pub type ScriptTicket = Shared<Ticket>;

impl Scripted for ScriptTicket {
    const TYPE: &'static str = "Ticket";

    fn show(&self) -> String {
        format!("Ticket({}, {} entries)", self.meta().method, self.entries())
    }

    fn bytes(&self) -> u64 {
        4 * self.entries() + self.mask().bytes()
    }
}

impl IntoValue<Lota> for Ticket {
    fn into_value(self) -> Value {
        Value::object(ScriptTicket::new(self))
    }
}

/// A tokenizer that scripts hold.
pub type ScriptTokenizer = Shared<Tokenizer>;

impl Scripted for ScriptTokenizer {
    const TYPE: &'static str = "Tokenizer";

    fn show(&self) -> String {
        format!("Tokenizer({} tokens)", self.size())
    }
}

impl IntoValue<Lota> for Tokenizer {
    fn into_value(self) -> Value {
        Value::object(ScriptTokenizer::new(self))
    }
}

/// The mask of an object that is a ticket.
pub(crate) fn mask_of(object: &Object) -> Option<Mask> {
    object.downcast_ref::<ScriptTicket>().map(|t| t.mask().clone())
}
