//! How many entries a selection takes: one number for every group, or numbers by layer and parameter.

use std::sync::Arc;

use lota_runtime::mask::{Budget, Budgets, Scope, matching_params};
use lota_runtime::model::Universe;
use lota_script::{Args, FromValue, Map, Primitive, Result, ScriptFn, Value};

use crate::primitives::params::describe;

const SCOPES: [&str; 4] = ["global", "parameter", "layer", "row"];

const DENSITY: &str = "how much of the population to take, from 0 to 1, rounded to whole entries (in each group, if the scope is not \
                       global); one above 0 that takes none at all is an error. Or one for each parameter: a list with a number for each \
                       layer, a map from layers (counted from 0, as in names) and patterns of names to numbers, or a \
                       function(parameter) -> number";
const COUNT: &str = "how many entries to take (of each group, if the scope is not global); or one for each parameter, as with \
                     density";

/// The options of a selection: `density` or `count`, and `scope`.
pub(crate) fn budgeted(record: Primitive) -> Primitive {
    record
        .opt("density", "number|list of number|map|function", (), DENSITY)
        .opt("count", "integer|list of integer|map|function", (), COUNT)
        .opt(
            "scope",
            "string",
            (),
            "where the budget holds: global (if not given), parameter, layer or row; with a number for each parameter it is \
             parameter if not given, and the parameters of a layer must agree if it is layer",
        )
}

/// The budgets that the options of [`budgeted`] ask for, and where they hold. `chosen` says which parameters are chosen from:
/// each of them must have a number.
pub(crate) fn budget(
    args: &mut Args,
    universe: &Universe,
    chosen: impl Fn(usize) -> bool,
) -> Result<(Budgets, Scope)> {
    let (density, count): (Value, Value) = (args.get("density")?, args.get("count")?);
    let (name, given) = match (density, count) {
        (density, Value::Nil) if !density.is_nil() => ("density", density),
        (Value::Nil, count) if !count.is_nil() => ("count", count),
        (Value::Nil, _) => return Err(args.wrong("density", "is missing: give either density or count")),
        _ => return Err(args.wrong("density", "and option 'count' exclude each other")),
    };
    let scope = match args.opt::<String>("scope")? {
        Some(word) => Some(Scope::parse(&word).map_err(|_| args.not_one_of("scope", &word, &SCOPES))?),
        None => None,
    };
    let each = match given {
        Value::Function(number) => by_function(args, name, &*number, universe, &chosen)?,
        Value::List(layers) => {
            let numbers = layers.into_iter().enumerate().map(|(layer, number)| (layer.to_string(), number));
            let numbers: Map = numbers.collect();
            check_layers(args, name, numbers.len(), universe)?;
            by_map(args, name, numbers, universe)?
        }
        Value::Map(numbers) => by_map(args, name, numbers, universe)?,
        number => return Ok((number_of(args, name, "", number)?.into(), scope.unwrap_or_default())),
    };
    let missing = |p: &usize| chosen(*p) && each[*p].is_none();
    if let Some(p) = (0..universe.len()).find(missing) {
        let what = format!(
            "has no number for parameter {}; all that are chosen from need one",
            universe.spec(p).name
        );
        return Err(args.wrong(name, what));
    }
    match scope {
        Some(Scope::Global) => {
            Err(args
                .wrong(name, "holds a number for each parameter, which the scope 'global' has no use for"))
        }
        scope => Ok((Budgets::Each(each), scope.unwrap_or(Scope::PerParameter))),
    }
}

/// One number as a budget. `place` says inside what it was found.
fn number_of(args: &Args, name: &str, place: &str, number: Value) -> Result<Budget> {
    let told = number.describe();
    if name == "count" {
        let count = u64::from_value(number).map_err(|m| match place {
            "" => args.mismatched(name, &m),
            _ => args.wrong(name, format!("{place} must be a whole number that is not negative, got {told}")),
        })?;
        return Ok(Budget::Count(count));
    }
    match f64::from_value(number) {
        Ok(density) if (0.0..=1.0).contains(&density) => Ok(Budget::Density(density)),
        Ok(density) if place.is_empty() => {
            Err(args.wrong(name, format!("must be from 0 to 1, got {density}")))
        }
        Ok(density) => Err(args.wrong(name, format!("{place} must be from 0 to 1, got {density}"))),
        Err(m) if place.is_empty() => Err(args.mismatched(name, &m)),
        Err(_) => Err(args.wrong(name, format!("{place} must be a number, got {told}"))),
    }
}

fn by_function(
    args: &Args,
    name: &str,
    number: &dyn ScriptFn,
    universe: &Universe,
    chosen: &impl Fn(usize) -> bool,
) -> Result<Vec<Option<Budget>>> {
    let mut each = vec![None; universe.len()];
    for (p, spec) in universe.specs().iter().enumerate().filter(|(p, _)| chosen(*p)) {
        each[p] = match number.call(&[Value::Map(describe(spec))])? {
            Value::Nil => None,
            given => Some(number_of(args, name, &format!("for {}", spec.name), given)?),
        };
    }
    Ok(each)
}

fn check_layers(args: &Args, name: &str, given: usize, universe: &Universe) -> Result<()> {
    let layers = universe.specs().iter().filter_map(|spec| spec.layer).max().map_or(0, |last| last + 1);
    if given == layers {
        return Ok(());
    }
    Err(args.wrong(name, format!("must hold a number for each of the {layers} layers, got {given}")))
}

/// The numbers of layers and patterns, each parameter named by one of them at most.
fn by_map(args: &Args, name: &str, numbers: Map, universe: &Universe) -> Result<Vec<Option<Budget>>> {
    let mut each: Vec<Option<(Arc<str>, Budget)>> = vec![None; universe.len()];
    for (key, number) in numbers {
        let budget = number_of(args, name, &format!("at '{key}'"), number)?;
        let params = match key.parse::<usize>() {
            Ok(layer) => {
                let params: Vec<usize> =
                    (0..universe.len()).filter(|p| universe.spec(*p).layer == Some(layer)).collect();
                if params.is_empty() {
                    return Err(
                        args.wrong(name, format!("names layer {layer}, which the model does not have"))
                    );
                }
                params
            }
            Err(_) => matching_params(universe, &[&key])
                .map_err(|e| args.wrong(name, format!("names '{key}': {e}")))?,
        };
        let key: Arc<str> = key.into();
        for p in params {
            if let Some((other, _)) = &each[p] {
                let what =
                    format!("names parameter {} twice, by '{other}' and by '{key}'", universe.spec(p).name);
                return Err(args.wrong(name, what));
            }
            each[p] = Some((key.clone(), budget));
        }
    }
    Ok(each.into_iter().map(|found| found.map(|(_, budget)| budget)).collect())
}
