//! Neutral values: what primitives take and give, in no script language's terms.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// A value on its way between a script and a primitive.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Str(String),
    /// A list. An empty script table arrives as an empty list and is accepted as an empty map.
    List(Vec<Value>),
    /// Named values. A script table with both positions and names arrives with `"1"`, `"2"` for the
    /// positions.
    Map(Map),
    /// A function of the script.
    Function(Arc<dyn ScriptFn>),
    /// A thing with a type name and methods: a tensor, a mask, a model.
    Object(Object),
}

/// A function of the script, callable from Rust. It must be called on the thread that runs the
/// script: the script's interpreter is locked by it.
pub trait ScriptFn: Any + Send + Sync {
    /// Calls it. An error of the script comes back whole; return it as it is.
    fn call(&self, arguments: &[Value]) -> Result<Value>;

    /// The name of the primitive that it is, if it is one.
    fn primitive(&self) -> Option<String> {
        None
    }
}

/// A type whose values scripts can hold. Its methods are the primitives named `Type:method`.
pub trait Scripted: Any + Send + Sync {
    /// The name of the type in scripts, documentation and messages.
    const TYPE: &'static str;

    /// How a value is printed.
    fn show(&self) -> String {
        Self::TYPE.to_string()
    }

    /// The bytes of tensors or other large memory this value keeps alive. The script's collector
    /// does not see them, so the engine counts them and runs it.
    fn bytes(&self) -> u64 {
        0
    }
}

/// [`Scripted`] without its type, implemented for every scripted type.
pub trait DynScripted: Any + Send + Sync {
    /// [`Scripted::TYPE`].
    fn dyn_type(&self) -> &'static str;
    /// [`Scripted::show`].
    fn dyn_show(&self) -> String;
    /// [`Scripted::bytes`].
    fn dyn_bytes(&self) -> u64;
}

impl<T: Scripted> DynScripted for T {
    fn dyn_type(&self) -> &'static str {
        T::TYPE
    }
    fn dyn_show(&self) -> String {
        self.show()
    }
    fn dyn_bytes(&self) -> u64 {
        self.bytes()
    }
}

/// A shared handle to a scripted value.
#[derive(Clone)]
pub struct Object(Arc<dyn DynScripted>);

impl Object {
    /// A handle to a value whose type is known only when the program runs, as one that lives in another process.
    pub fn dynamic(value: impl DynScripted) -> Self {
        Self(Arc::new(value))
    }

    /// A handle to `value`.
    pub fn new<T: Scripted>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        self.0.dyn_type()
    }

    /// How it is printed.
    pub fn show(&self) -> String {
        self.0.dyn_show()
    }

    /// The large memory it keeps alive.
    pub fn bytes(&self) -> u64 {
        self.0.dyn_bytes()
    }

    /// The value, if it is a `T`.
    pub fn downcast<T: Scripted>(&self) -> Option<Arc<T>> {
        let any: Arc<dyn Any + Send + Sync> = self.0.clone();
        any.downcast().ok()
    }

    /// A borrow of the value, if it is a `T`.
    pub fn downcast_ref<T: Scripted>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }

    /// A borrow of a value that was given to [`Object::dynamic`], if it is a `T`.
    pub fn dynamic_ref<T: DynScripted>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }

    /// Whether both are handles to the same value.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Scripted> From<Arc<T>> for Object {
    fn from(value: Arc<T>) -> Self {
        Self(value)
    }
}

/// Named values in order. Maps that come from a script are in the order of their names, so that
/// nothing depends on a hash; those that were read from JSON or data keep the order in which they were written
/// there, on their way through a script too ([`Map::written`]).
#[derive(Clone, Default)]
pub struct Map {
    entries: Vec<(String, Value)>,
    written: bool,
}

impl Map {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same map as one that somebody wrote in this order: a script that gets it and gives it back keeps the order
    /// of the names and those whose value is [`Value::Nil`].
    #[must_use]
    pub fn written(mut self) -> Self {
        self.written = true;
        self
    }

    /// Whether it is one that somebody wrote in this order.
    pub fn is_written(&self) -> bool {
        self.written
    }

    /// Sets `name`, at its old place if it has one. Setting [`Value::Nil`] is kept (and is
    /// dropped by frontends whose tables cannot hold it).
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.entries.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
        self
    }

    /// The same, by value.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Removes and returns the value of `name`.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(n, _)| n == name)?;
        Some(self.entries.remove(at).1)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(String, Value)> for Map {
    /// The names must differ.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect(), written: false }
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl Value {
    /// A handle to `value`.
    pub fn object<T: Scripted>(value: T) -> Self {
        Self::Object(Object::new(value))
    }

    /// Whether this is [`Value::Nil`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// The name of its type, in the words of messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Function(_) => "function",
            Self::Object(o) => o.type_name(),
        }
    }

    /// The value as a message names it: its type, and itself where that is short.
    pub fn describe(&self) -> String {
        match self {
            Self::Bool(b) => format!("boolean {b}"),
            Self::Int(i) => format!("integer {i}"),
            Self::Float(x) => format!("number {x}"),
            Self::Str(s) if s.chars().count() <= 40 => format!("string {s:?}"),
            Self::List(l) => format!("list of {}", l.len()),
            other => other.type_name().to_string(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
