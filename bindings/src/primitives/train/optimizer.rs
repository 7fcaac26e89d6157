//! The `optimizer` option of `train.new` and what belongs to it, from the runtime's list of optimizers.

use lota_runtime::train::{Optimizer, Setting};
use lota_script::{Args, Map, Primitive, Registry, Result, Value, from_json};
use serde_json::Value as Json;

use super::word;

/// Every optimizer with its default settings, in the order of the list.
fn all() -> Vec<Optimizer> {
    Optimizer::names().filter_map(|name| Optimizer::named(name).ok()).collect()
}

/// The settings of all optimizers: each name once, with the optimizers that have it and what it means for them.
fn settings() -> Vec<(Setting, String)> {
    /// What a setting means, and for which optimizers.
    type Meaning<'a> = (&'a str, Vec<&'a str>);
    let mut merged: Vec<(Setting, Vec<Meaning<'_>>)> = Vec::new();
    for optimizer in all() {
        for setting in optimizer.settings() {
            let at = merged.iter().position(|(known, _)| known.name == setting.name).unwrap_or_else(|| {
                merged.push((setting.clone(), Vec::new()));
                merged.len() - 1
            });
            let docs = &mut merged[at].1;
            match docs.iter_mut().find(|(doc, _)| *doc == setting.doc) {
                Some((_, names)) => names.push(optimizer.name()),
                None => docs.push((setting.doc, vec![optimizer.name()])),
            }
        }
    }
    let text = |docs: Vec<Meaning<'_>>| {
        let parts: Vec<String> =
            docs.iter().map(|(doc, names)| format!("{}: {doc}", names.join(", "))).collect();
        parts.join("; ")
    };
    merged.into_iter().map(|(setting, docs)| (setting, text(docs))).collect()
}

/// Adds the option `optimizer` and the settings of all optimizers to a record.
pub(super) fn options(record: Primitive) -> Primitive {
    let names: Vec<&str> = Optimizer::names().collect();
    let (last, rest) = names.split_last().map_or(("", &[][..]), |(last, rest)| (*last, rest));
    let doc = format!("how steps are taken: {} or {last}", rest.join(", "));
    settings().into_iter().fold(
        record.opt("optimizer", "string", "rmsprop", doc),
        |record, (setting, doc)| {
            let ty = match setting.value {
                Json::Bool(_) => "boolean",
                Json::Array(_) => "list of number",
                _ => "number",
            };
            record.opt(setting.name, ty, (), doc)
        },
    )
}

/// The defaults of all optimizers in one sentence.
pub(super) fn defaults() -> String {
    let shown = |value: &Json| match value {
        Json::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(" and "),
        other => short(other),
    };
    let one = |optimizer: &Optimizer| {
        let settings: Vec<String> =
            optimizer.settings().iter().map(|s| format!("{} {}", s.name, shown(&s.value))).collect();
        format!("{} has {}", optimizer.name(), settings.join(", "))
    };
    format!(
        "The defaults are those of the optimizers' sources: {}.",
        all().iter().map(one).collect::<Vec<_>>().join("; ")
    )
}

/// A number as people write it: `1e-8`, `0`, `0.9`.
fn short(value: &Json) -> String {
    match value.as_f64() {
        Some(x) if x != 0.0 && x.abs() < 1e-3 => format!("{x:e}"),
        Some(x) => x.to_string(),
        None => value.to_string(),
    }
}

/// The optimizer that the options say.
pub(super) fn read(args: &mut Args) -> Result<Optimizer> {
    let names: Vec<&str> = Optimizer::names().collect();
    let name = word(args, "optimizer", &names)?;
    let has = Optimizer::named(&name)?.settings();
    let mut given = serde_json::Map::new();
    for (setting, _) in settings() {
        let option = setting.name;
        if !args.is_given(option) {
            continue;
        }
        let Some(default) = has.iter().find(|own| own.name == option) else {
            let known: Vec<&str> = has.iter().map(|own| own.name).collect();
            let what = format!("does not belong to {name}, which has {}", known.join(", "));
            return Err(args.wrong(option, what));
        };
        let value: Json = match &default.value {
            Json::Bool(_) => args.get::<bool>(option)?.into(),
            Json::Array(defaults) => {
                let list: Vec<f64> = args.get(option)?;
                if list.len() != defaults.len() {
                    return Err(args.wrong(option, format!("must be two numbers, got {}", list.len())));
                }
                list.into()
            }
            _ => args.get::<f64>(option)?.into(),
        };
        if value.is_null() {
            return Err(args.wrong(option, "must be a finite number"));
        }
        given.insert(option.to_string(), value);
    }
    Ok(Optimizer::with(&name, given)?)
}

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("train.optimizers", "The optimizers that `train.new` knows.")
            .returns("list of map", "name, options (its own, with their defaults) and state (the names of what it keeps for each entry) of each")
            .example(
                "local known = {}\n\
                 for _, o in ipairs(lota.train.optimizers()) do known[o.name] = o end\n\
                 assert(known.sgd.options.momentum == 0.9 and known.adamw.state[1] == 'exp_avg')",
            )
            .example_rhai(
                "let known = #{};\n\
                 for o in lota::train::optimizers() { known[o.name] = o; }\n\
                 assert(known.sgd.options.momentum == 0.9 && known.adamw.state[0] == \"exp_avg\");",
            )
            .call(|_, _| {
                let one = |optimizer: &Optimizer| {
                    let options = optimizer.settings();
                    let options: Map =
                        options.into_iter().map(|s| (s.name.to_string(), from_json(s.value))).collect();
                    let state: Vec<&str> = optimizer.states().to_vec();
                    Map::new().with("name", optimizer.name()).with("options", options).with("state", state)
                };
                Ok(Value::from(all().iter().map(one).collect::<Vec<Map>>()))
            }),
    );
}
