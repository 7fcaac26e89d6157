//! Conversions between neutral values and Rust types.

use std::sync::Arc;

use crate::value::{Map, Object, ScriptFn, Scripted, Value};

/// Why a value is not what was asked for.
#[derive(Debug)]
pub struct Mismatch {
    /// What was expected: `number`, `list of string`.
    pub expected: String,
    /// What was given.
    pub given: String,
    /// Where inside the value (`[3].prompt`), or empty. Positions count from 0 here; a frontend
    /// that counts from 1 shows them so.
    pub at: String,
}

impl Mismatch {
    /// `given` is not an `expected`.
    pub fn new(expected: impl Into<String>, given: &Value) -> Self {
        Self { expected: expected.into(), given: given.describe(), at: String::new() }
    }

    /// The same, one level further out.
    pub fn inside(mut self, step: &str) -> Self {
        self.at.insert_str(0, step);
        self
    }
}

/// A Rust type that an argument can have.
pub trait FromValue: Sized {
    /// The conversion.
    fn from_value(value: Value) -> Result<Self, Mismatch>;
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        Ok(value)
    }
}

impl FromValue for () {
    /// Whatever it is, it is not wanted.
    fn from_value(_: Value) -> Result<Self, Mismatch> {
        Ok(())
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Bool(b) => Ok(b),
            other => Err(Mismatch::new("boolean", &other)),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Float(x) => Ok(x),
            Value::Int(i) => Ok(i as f64),
            other => Err(Mismatch::new("number", &other)),
        }
    }
}

impl FromValue for f32 {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        f64::from_value(value).map(|x| x as f32)
    }
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Int(i) => Ok(i),
            // 2^53: above it a float no longer says which integer was meant.
            Value::Float(x) if x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0 => Ok(x as i64),
            other => Err(Mismatch::new("integer", &other)),
        }
    }
}

macro_rules! integer {
    ($($t:ty: $words:literal),*) => {$(
        impl FromValue for $t {
            fn from_value(value: Value) -> Result<Self, Mismatch> {
                let Ok(whole) = i64::from_value(value.clone()) else {
                    return Err(Mismatch::new($words, &value));
                };
                <$t>::try_from(whole).map_err(|_| Mismatch::new($words, &value))
            }
        }
        impl From<$t> for Value {
            fn from(whole: $t) -> Self {
                i64::try_from(whole).map_or_else(|_| Value::Float(whole as f64), Value::Int)
            }
        }
    )*};
}

integer!(usize: "integer, 0 or more", u64: "integer, 0 or more", u32: "integer, 0 or more", i32: "integer");

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Str(s) => Ok(s),
            other => Err(Mismatch::new("string", &other)),
        }
    }
}

impl FromValue for Map {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Map(m) => Ok(m),
            Value::List(l) if l.is_empty() => Ok(Map::new()),
            other => Err(Mismatch::new("map", &other)),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(i, item)| T::from_value(item).map_err(|m| m.inside(&format!("[{i}]"))))
                .collect(),
            other => Err(Mismatch::new("list", &other)),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        if value.is_nil() { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: Scripted> FromValue for Arc<T> {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match &value {
            Value::Object(o) => o.downcast().ok_or_else(|| Mismatch::new(T::TYPE, &value)),
            other => Err(Mismatch::new(T::TYPE, other)),
        }
    }
}

impl FromValue for Object {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Object(o) => Ok(o),
            other => Err(Mismatch::new("object", &other)),
        }
    }
}

impl FromValue for Arc<dyn ScriptFn> {
    fn from_value(value: Value) -> Result<Self, Mismatch> {
        match value {
            Value::Function(f) => Ok(f),
            other => Err(Mismatch::new("function", &other)),
        }
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Value::Nil
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Value::Float(x)
    }
}

impl From<f32> for Value {
    fn from(x: f32) -> Self {
        Value::Float(f64::from(x))
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Value::Str(s)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::Str(s.to_string())
    }
}

impl From<Map> for Value {
    fn from(m: Map) -> Self {
        Value::Map(m)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(item: Option<T>) -> Self {
        item.map_or(Value::Nil, Into::into)
    }
}

impl<T: Scripted> From<T> for Value {
    fn from(item: T) -> Self {
        Value::object(item)
    }
}

impl<T: Scripted> From<Arc<T>> for Value {
    fn from(item: Arc<T>) -> Self {
        Value::Object(item.into())
    }
}

impl From<Object> for Value {
    fn from(item: Object) -> Self {
        Value::Object(item)
    }
}

impl From<Arc<dyn ScriptFn>> for Value {
    fn from(item: Arc<dyn ScriptFn>) -> Self {
        Value::Function(item)
    }
}

/// A Rust type that a primitive can give back.
///
/// A crate cannot implement `From<T> for Value` for a `T` of another library. It can implement this trait, with a type of
/// its own as `Home`; the compiler finds which one is meant.
pub trait IntoValue<Home = ()> {
    /// The value.
    fn into_value(self) -> Value;
}

impl<T: Into<Value>> IntoValue for T {
    fn into_value(self) -> Value {
        self.into()
    }
}

/// The arguments of a call of a script's function: a tuple of up to six values, or a list of them.
pub trait IntoArgs {
    /// The values in order.
    fn into_args(self) -> Vec<Value>;
}

impl IntoArgs for Vec<Value> {
    fn into_args(self) -> Vec<Value> {
        self
    }
}

macro_rules! arguments {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Into<Value>),*> IntoArgs for ($($name,)*) {
            #[expect(non_snake_case, reason = "the names are those of the types")]
            fn into_args(self) -> Vec<Value> {
                let ($($name,)*) = self;
                vec![$($name.into()),*]
            }
        }
    )*};
}

arguments!((A)(A B)(A B C)(A B C D)(A B C D E)(A B C D E F));

impl IntoArgs for () {
    fn into_args(self) -> Vec<Value> {
        Vec::new()
    }
}
