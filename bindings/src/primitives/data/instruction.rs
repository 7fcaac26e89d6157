//! Rows that follow instructions, under the names that data sets give them.

use lota_runtime::data::Pair;
use lota_script::{FromValue as _, Map, Mismatch, Value};

/// The pairs of a row {instruction =, input =, output =}, or of a task file of Super-NaturalInstructions (Wang et al. 2022,
/// arXiv 2204.07705), {Definition =, Instances =}; `None` if it is neither.
pub(super) fn pairs(map: &mut Map) -> Result<Option<Vec<Pair>>, Mismatch> {
    if let (Some(_), Some(_)) = (map.get("instruction"), map.get("output")) {
        let instruction = text(map, "instruction")?;
        let (input, output) = (text(map, "input")?, text(map, "output")?);
        return Ok(Some(vec![pair(&instruction, &input, output)]));
    }
    let (Some(definition), Some(instances)) = (map.get("Definition"), map.get("Instances")) else {
        return Ok(None);
    };
    let definition = match definition {
        Value::List(_) => Vec::<String>::from_value(definition.clone()).map(|parts| parts.join("\n")),
        one => String::from_value(one.clone()),
    };
    let definition = definition.map_err(|m| m.inside(".Definition"))?;
    let instances = Vec::<Map>::from_value(instances.clone()).map_err(|m| m.inside(".Instances"))?;
    let instance = |mut map: Map| {
        let output = match map.take("output") {
            Some(list @ Value::List(_)) => {
                let given = list.describe();
                let first = Vec::<String>::from_value(list).map(|all| all.into_iter().next());
                let none = || Mismatch { expected: "list with an output".into(), given, at: String::new() };
                first.and_then(|first| first.ok_or_else(none))
            }
            one => String::from_value(one.unwrap_or(Value::Nil)),
        };
        let output = output.map_err(|m| m.inside(".output"))?;
        Ok(pair(&definition, &text(&mut map, "input")?, output))
    };
    let all: Result<Vec<Pair>, Mismatch> = instances
        .into_iter()
        .enumerate()
        .map(|(i, map)| instance(map).map_err(|m: Mismatch| m.inside(&format!(".Instances[{i}]"))))
        .collect();
    all.map(Some)
}

/// A text of a row; an absent one is empty.
fn text(map: &mut Map, name: &str) -> Result<String, Mismatch> {
    match map.take(name) {
        None | Some(Value::Nil) => Ok(String::new()),
        Some(value) => String::from_value(value).map_err(|m| m.inside(&format!(".{name}"))),
    }
}

/// Instruction and input stand between empty lines; an input of white space alone is none.
fn pair(instruction: &str, input: &str, target: String) -> Pair {
    let prompt = match input.trim().is_empty() {
        true => format!("{instruction}\n\n"),
        false => format!("{instruction}\n\n{input}\n\n"),
    };
    Pair { prompt, target }
}
