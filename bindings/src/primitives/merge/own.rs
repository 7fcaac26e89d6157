//! A merge method written in a script: a function of the tensors of one parameter.

use std::collections::BTreeSet;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lota_runtime::merge::{Base, Group, Kind, Method, Scalar, Scope, Settings, Sink, Spec};
use lota_script::{Error, IntoValue, Map, Result, ScriptFn, Value};

use crate::error::Told as _;
use crate::error::of_callback;
use crate::primitives::tensor::{of_value, refuse_weights};

/// A function of the script as a merge method.
pub(super) struct OwnMethod {
    spec: Spec,
    function: Arc<dyn ScriptFn>,
}

/// The settings that a method of a script may be given: those that are written anywhere, with whether
/// they are numbers or truth values, and whether they are of each model.
pub(super) fn names_of(shared: &Settings, each: impl Iterator<Item = String>) -> Vec<(String, Kind, Scope)> {
    let each: BTreeSet<String> = each.collect();
    let flag = |name: &str| shared.get(name).is_some_and(is_flag);
    let mut out: Vec<(String, Kind, Scope)> =
        each.iter().map(|n| (n.clone(), Kind::OptionalNumber, Scope::Input)).collect();
    for name in shared.keys().filter(|n| !each.contains(*n)) {
        let kind = if flag(name) { Kind::Flag } else { Kind::OptionalNumber };
        out.push((name.clone(), kind, Scope::Shared));
    }
    out
}

fn is_flag(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(items) => items.first().is_some_and(is_flag),
        serde_json::Value::Object(map) => map.get("value").is_some_and(is_flag),
        other => other.is_boolean(),
    }
}

impl OwnMethod {
    pub(super) fn new(name: &str, params: Vec<(String, Kind, Scope)>, function: Arc<dyn ScriptFn>) -> Self {
        let mut spec =
            Spec::new("own", "A method of the script.", "the script").base(Base::Optional).any_values();
        spec.name = name.to_string().into();
        for (name, kind, scope) in params {
            spec = spec.param(name, kind, scope, Some(Scalar::Nothing), "a setting of the script's method");
        }
        Self { spec, function }
    }

    fn call(&self, group: &Group<'_>) -> Result<Vec<f32>> {
        let tensor = |entry: usize| -> Result<Tensor> {
            Tensor::from_vec(group.whole(entry)?, group.shape, &Device::Cpu).told()
        };
        let others = group.others();
        let tensors =
            others.iter().map(|&o| tensor(o).map(IntoValue::into_value)).collect::<Result<Vec<Value>>>()?;
        let mut info = Map::new().with("name", group.name);
        if let Some(base) = group.base() {
            info.set("base", tensor(base)?.into_value());
        }
        for param in &self.spec.params {
            let value = match param.scope {
                Scope::Shared => scalar(group.params.shared.get(&param.name).copied()),
                _ => {
                    let of = |&o: &usize| scalar(group.params.inputs[o].get(&param.name).copied());
                    Value::List(others.iter().map(of).collect())
                }
            };
            info.set(param.name.to_string(), value);
        }
        let returned = self.function.call(&[Value::List(tensors), Value::Map(info)])?;
        refuse_weights(&returned)?;
        let what = returned.describe();
        let wrong = |text: String| Error::argument(format!("{}, for {}, {text}", self.spec.name, group.name));
        let made =
            of_value(returned).map_err(|_| wrong(format!("must return a Tensor, and returned {what}")))?;
        if made.dims() != group.shape {
            return Err(wrong(format!(
                "must return a Tensor of shape {:?}, and returned one of {:?}",
                group.shape,
                made.dims()
            )));
        }
        made.to_device(&Device::Cpu)
            .told()?
            .to_dtype(DType::F32)
            .told()?
            .flatten_all()
            .told()?
            .to_vec1::<f32>()
            .told()
    }
}

/// A scalar as a script value.
pub(super) fn scalar(scalar: Option<Scalar>) -> Value {
    match scalar {
        None | Some(Scalar::Nothing) => Value::Nil,
        Some(Scalar::Number(x)) => Value::Float(x),
        Some(Scalar::Flag(b)) => Value::Bool(b),
        Some(Scalar::Word(w)) => Value::Str(w.to_string()),
    }
}

impl Method for OwnMethod {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn merge(&self, group: &Group<'_>, sink: &dyn Sink) -> lota_runtime::Result<()> {
        sink.write(0, &self.call(group).map_err(of_callback)?)
    }

    fn sequential(&self) -> bool {
        true
    }

    fn repeatable(&self) -> bool {
        false
    }
}
