//! The options `penalty` and `groups` of `train.new`.

use std::sync::Arc;

use lota_runtime::mask::matching_params;
use lota_runtime::model::Universe;
use lota_runtime::train::{Group, Penalty, Strength};
use lota_script::{Args, FromValue, Map, Result, Value};

use crate::primitives::params::patterns;
use crate::primitives::shared::ScriptValues;

pub(super) const DOC: &str = "{anchor = Values, weight = number|Values}: adds ½ Σ weight (w - anchor)² over the trained entries to the loss. \
     With Fisher information as weight it is EWC, with a number L2-SP. Both values are of the trained entries at least";

pub(super) const GROUPS_DOC: &str = "parameters with a rate or decay of their own: a list of {params = pattern|list of patterns, lr = number, \
     weight_decay = number}; no parameter may be in two";

/// Takes the known keys of a nested option; any other is an error.
pub(super) fn keys<const N: usize>(
    args: &Args,
    option: &str,
    mut map: Map,
    known: [&str; N],
) -> Result<[Option<Value>; N]> {
    let found = known.map(|key| map.take(key));
    match map.iter().next() {
        None => Ok(found),
        Some((unknown, _)) => {
            let what = format!("has no '{unknown}'; it takes {}", known.join(", "));
            Err(args.wrong(option, what))
        }
    }
}

pub(super) fn read(args: &mut Args) -> Result<Option<Penalty>> {
    let Some(map) = args.opt::<Map>("penalty")? else { return Ok(None) };
    let [anchor, weight] = keys(args, "penalty", map, ["anchor", "weight"])?;
    let values = |value: Value, key: &str| {
        let what = value.describe();
        let held = Arc::<ScriptValues>::from_value(value).map(|held| held.get());
        held.map_err(|_| args.wrong("penalty", format!("needs Values as its {key}, got {what}")))
    };
    let missing = |key: &str| {
        args.wrong("penalty", format!("lacks its {key}: {{anchor = Values, weight = number|Values}}"))
    };
    let anchor = values(anchor.ok_or_else(|| missing("anchor"))?, "anchor")?;
    let weight = match weight.ok_or_else(|| missing("weight"))? {
        Value::Int(x) => Strength::Number(x as f64),
        Value::Float(x) => Strength::Number(x),
        other => Strength::Each(values(other, "weight, or a number")?),
    };
    Ok(Some(Penalty { anchor, weight }))
}

pub(super) fn groups(args: &mut Args, universe: &Universe) -> Result<Vec<Group>> {
    let maps: Vec<Map> = args.opt("groups")?.unwrap_or_default();
    let mut groups = Vec::new();
    for map in maps {
        let [params, lr, weight_decay] = keys(args, "groups", map, ["params", "lr", "weight_decay"])?;
        let params = params.ok_or_else(|| args.wrong("groups", "has an entry without params"))?;
        let patterns = patterns(params).map_err(|m| args.mismatched("groups", &m))?;
        let number = |value: Option<Value>| {
            value.map(|value| f64::from_value(value).map_err(|m| args.mismatched("groups", &m))).transpose()
        };
        groups.push(Group {
            name: patterns.join(", "),
            params: matching_params(universe, &patterns)?,
            lr: number(lr)?,
            weight_decay: number(weight_decay)?,
        });
    }
    Ok(groups)
}
