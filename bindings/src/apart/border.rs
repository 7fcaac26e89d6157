//! Objects and functions that stay in the process they belong to, and what stands for them in the other one.
//!
//! Each side keeps what it has shown to the other under a number. What stands for it there says when it is dropped, with the
//! next message. Both sides of a pipe have one [`Border`] each; they know nothing of calls but that one can be asked for.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use lota_script::{DynScripted, Object, Result, ScriptFn, Value};

use super::wire::{Fault, Handle, Things};

/// Who can call functions of the other side.
pub(crate) trait Caller: Send + Sync {
    /// Calls the function that the other side keeps under a number.
    fn invoke(&self, id: u64, arguments: &[Value]) -> Result<Value>;
}

/// What one side has shown to the other, and what it has been shown.
pub(crate) struct Border {
    kept: Mutex<Kept>,
    /// Numbers of the other side's things that nothing stands for any longer.
    gone: Arc<Mutex<Vec<u64>>>,
    caller: OnceLock<Weak<dyn Caller>>,
    /// Whether the names of types that the other side tells are kept for ever: a guest trusts its host.
    trusts: bool,
}

#[derive(Default)]
struct Kept {
    last: u64,
    things: HashMap<u64, Value>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Border {
    pub(crate) fn new(trusts: bool) -> Self {
        Self { kept: Mutex::default(), gone: Arc::default(), caller: OnceLock::new(), trusts }
    }

    /// Says who calls functions of the other side. Until then they cannot be called.
    pub(crate) fn called_by(&self, caller: Weak<dyn Caller>) {
        // Only the first is kept; there is one a border.
        let _ = self.caller.set(caller);
    }

    /// The thing that this side keeps under a number.
    pub(crate) fn kept(&self, id: u64) -> Option<Value> {
        lock(&self.kept).things.get(&id).cloned()
    }

    /// Lets go of things that the other side needs no longer.
    pub(crate) fn release(&self, ids: &[u64]) {
        let mut kept = lock(&self.kept);
        let released: Vec<Value> = ids.iter().filter_map(|id| kept.things.remove(id)).collect();
        // Dropping one may come back here.
        drop(kept);
        drop(released);
    }

    /// The numbers to tell the other side.
    pub(crate) fn gone(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.gone))
    }

    fn keep(&self, value: &Value) -> u64 {
        let mut kept = lock(&self.kept);
        kept.last += 1;
        let id = kept.last;
        kept.things.insert(id, value.clone());
        id
    }

    fn is_from_there(&self, far: &Far) -> bool {
        Arc::ptr_eq(&far.gone, &self.gone)
    }
}

impl Things for Border {
    fn handle(&self, value: &Value) -> Handle {
        let far = match value {
            Value::Object(object) => object.dynamic_ref::<FarObject>().map(|o| &o.far),
            Value::Function(function) => far_function(function.as_ref()).map(|f| &f.far),
            _ => None,
        };
        if let Some(far) = far.filter(|far| self.is_from_there(far)) {
            return Handle { own: false, id: far.id, name: None, shown: String::new(), bytes: 0 };
        }
        let id = self.keep(value);
        match value {
            Value::Object(o) => Handle {
                own: true,
                id,
                name: Some(o.type_name().to_string()),
                shown: o.show().chars().take(200).collect(),
                bytes: o.bytes(),
            },
            Value::Function(f) => {
                Handle { own: true, id, name: f.primitive(), shown: String::new(), bytes: 0 }
            }
            _ => Handle { own: true, id, name: None, shown: String::new(), bytes: 0 },
        }
    }

    fn thing(&self, handle: Handle, function: bool) -> Result<Value, Fault> {
        if !handle.own {
            let value = self.kept(handle.id).ok_or("a message with a thing that is not there")?;
            return match (&value, function) {
                (Value::Function(_), true) | (Value::Object(_), false) => Ok(value),
                _ => Err("a message with a thing of another kind".into()),
            };
        }
        let far = Far { id: handle.id, gone: self.gone.clone() };
        if function {
            let caller = self.caller.get().cloned().ok_or("a function before anything can be called")?;
            return Ok(Value::Function(Arc::new(FarFunction { far, caller, primitive: handle.name })));
        }
        let told = handle.name.unwrap_or_default();
        let ty = if self.trusts { known(&told) } else { "object of a guest" };
        Ok(Value::Object(Object::dynamic(FarObject { far, ty, shown: handle.shown, bytes: handle.bytes })))
    }
}

/// The name of a type for as long as the program runs. A program has few of them.
fn known(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = lock(&NAMES);
    match names.get(name) {
        Some(known) => known,
        None => {
            let kept: &'static str = String::from(name).leak();
            names.insert(kept);
            kept
        }
    }
}

/// A number of the other side. It is told when nothing stands for it any longer.
struct Far {
    id: u64,
    gone: Arc<Mutex<Vec<u64>>>,
}

impl Drop for Far {
    fn drop(&mut self) {
        lock(&self.gone).push(self.id);
    }
}

/// An object of the other side.
struct FarObject {
    far: Far,
    ty: &'static str,
    shown: String,
    bytes: u64,
}

impl DynScripted for FarObject {
    fn dyn_type(&self) -> &'static str {
        self.ty
    }

    fn dyn_show(&self) -> String {
        self.shown.clone()
    }

    fn dyn_bytes(&self) -> u64 {
        self.bytes
    }
}

/// A function of the other side.
struct FarFunction {
    far: Far,
    caller: Weak<dyn Caller>,
    primitive: Option<String>,
}

impl ScriptFn for FarFunction {
    fn call(&self, arguments: &[Value]) -> Result<Value> {
        match self.caller.upgrade() {
            Some(caller) => caller.invoke(self.far.id, arguments),
            None => Err(super::death::ended()),
        }
    }

    fn primitive(&self) -> Option<String> {
        self.primitive.clone()
    }
}

fn far_function(function: &dyn ScriptFn) -> Option<&FarFunction> {
    let any: &dyn Any = function;
    any.downcast_ref()
}
