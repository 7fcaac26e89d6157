//! How values of the runtime, whose types are not this crate's, become values of scripts.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use lota_runtime::mask::Mask;
use lota_runtime::model::Tokenizer;
use lota_runtime::stats::{Kind, Stats};
use lota_runtime::ticket::Ticket;
use lota_runtime::vectors::Values;
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
        Mask::held_bytes(self)
    }
}

impl IntoValue<Lota> for Mask {
    fn into_value(self) -> Value {
        Value::object(ScriptMask::new(self))
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
        4 * self.entries() + self.mask().held_bytes()
    }
}

impl IntoValue<Lota> for Ticket {
    fn into_value(self) -> Value {
        Value::object(ScriptTicket::new(self))
    }
}

/// Values that scripts hold. The cell is what `v:set(name, tensor)` changes.
pub struct ScriptValues(RwLock<Arc<Values>>);

impl ScriptValues {
    /// A handle to values.
    pub fn new(values: Values) -> Self {
        Self(RwLock::new(Arc::new(values)))
    }

    /// The values it holds now.
    pub fn get(&self) -> Arc<Values> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it other values.
    pub(crate) fn assign(&self, values: Values) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(values);
    }
}

impl Scripted for ScriptValues {
    const TYPE: &'static str = "Values";

    fn show(&self) -> String {
        let values = self.get();
        let (params, all) = (values.present().count(), values.universe().len());
        let sparse = if values.is_dense() { "" } else { ", over a mask" };
        format!("Values({} entries of {params} of {all} parameters{sparse})", values.count())
    }

    fn bytes(&self) -> u64 {
        self.get().bytes()
    }
}

impl IntoValue<Lota> for Values {
    fn into_value(self) -> Value {
        Value::object(ScriptValues::new(self))
    }
}

/// Statistics that scripts hold.
pub type ScriptStats = Shared<Stats>;

impl Scripted for ScriptStats {
    const TYPE: &'static str = "Stats";

    fn show(&self) -> String {
        let kinds: Vec<&str> = self.kinds().map(Kind::as_str).collect();
        let kinds = if kinds.is_empty() { "counts".to_string() } else { kinds.join(", ") };
        let (modules, about) = (self.modules().len(), self.about());
        format!(
            "Stats({kinds} of {modules} parameters, {} tokens of {} sequences)",
            about.tokens, about.sequences
        )
    }

    fn bytes(&self) -> u64 {
        Stats::bytes(self)
    }
}

impl IntoValue<Lota> for Stats {
    fn into_value(self) -> Value {
        Value::object(ScriptStats::new(self))
    }
}

/// A tokenizer that scripts hold.
pub type ScriptTokenizer = Shared<Tokenizer>;

impl Scripted for ScriptTokenizer {
    const TYPE: &'static str = "Tokenizer";

    fn show(&self) -> String {
        format!("Tokenizer({} tokens)", self.size())
    }

    fn bytes(&self) -> u64 {
        Tokenizer::bytes(self)
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
