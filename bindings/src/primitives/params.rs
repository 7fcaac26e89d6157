//! The `params` option: which parameters of a model something is about; and models, masks, scores
//! and tickets as things that say which model they belong to.

use std::sync::Arc;

use lota_runtime::mask::matching_params;
use lota_runtime::model::{ParamSpec, Universe};
use lota_script::{Args, FromValue, Map, Mismatch, Result, Value};

/// The type of a `params` option, for records.
pub(crate) const PARAMS: &str = "string|list of string|function";

/// What a `params` option means, for records.
pub(crate) const PARAMS_DOC: &str = "which parameters: \"adaptable\" (attention and MLP matrices), \"all\", \"lora\" (factors \
                                     of low rank), a pattern of names (model.layers.*.mlp.*), a list of them, or a \
                                     function(parameter) -> boolean";

/// A parameter as scripts see it.
pub(crate) fn describe(spec: &ParamSpec) -> Map {
    Map::new()
        .with("name", spec.name.clone())
        .with("shape", spec.shape.clone())
        .with("role", spec.role.as_str())
        .with("layer", spec.layer)
        .with("entries", spec.entries())
}

/// The indices of the parameters that the option `params` means, ascending.
pub(crate) fn chosen(args: &mut Args, universe: &Arc<Universe>) -> Result<Vec<usize>> {
    let value = args.get::<Value>("params")?;
    choose(args, "params", value, universe)
}

/// The indices of the parameters that `value`, given as the option `name`, means, ascending.
pub(crate) fn choose(args: &Args, name: &str, value: Value, universe: &Arc<Universe>) -> Result<Vec<usize>> {
    match value {
        Value::Function(keep) => {
            let mut chosen = Vec::new();
            for (i, spec) in universe.specs().iter().enumerate() {
                match keep.call(&[Value::Map(describe(spec))])? {
                    Value::Bool(true) => chosen.push(i),
                    Value::Bool(false) | Value::Nil => {}
                    other => {
                        let what = format!(
                            "must return true or false, and returned {} for {}",
                            other.describe(),
                            spec.name
                        );
                        return Err(args.wrong(name, what));
                    }
                }
            }
            Ok(chosen)
        }
        value => {
            let patterns = patterns(value).map_err(|m| args.mismatched(name, &m))?;
            Ok(matching_params(universe, &patterns)?)
        }
    }
}

/// One pattern, or a list of them.
pub(crate) fn patterns(value: Value) -> Result<Vec<String>, Mismatch> {
    match value {
        Value::Str(pattern) => Ok(vec![pattern]),
        value => Vec::from_value(value),
    }
}
