//! `Run:asked`: what a run was asked to do, kept in its folder, so that one that goes on is asked the same.

use lota_runtime::Error as Fault;
use lota_script::{Args, Map, Primitive, Registry, Result, Value};
use serde_json::{Map as Json, Value as JsonValue};

use super::fingerprint::{Others, fingerprint};
use super::run::Run;
use crate::runs::same;

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::method("Run", "asked", "Keeps what a run is asked to do, or compares with what it kept.")
            .details(
                "Numbers, words and switches are kept as they are, everything else by its fingerprint; of a function, and of \
                 an object that has none, only that there is one. It is a record {asked =} in metrics.jsonl, of which the last counts. With resume, and where \
                 there is such a record, the first name (in the alphabet) that differs is told in an error. Use it for what \
                 lota.run.start cannot keep in a config: models, masks, rows, lists.",
            )
            .arg("what", "map", "what decides the result")
            .opt("resume", "boolean", false, "the run goes on, so it must be asked the same")
            .example(
                "local run = lota.run.start('run-asked')\nrun:asked({lr = 0.1, params = {'a', 'b'}})\n\
                 run:asked({params = {'a', 'b'}, lr = 0.1}, {resume = true})\n\
                 assert(not pcall(run.asked, run, {lr = 0.2, params = {'a', 'b'}}, {resume = true}))",
            )
            .example_rhai(
                "let run = lota::run::start(\"run-asked-rhai\"); run.asked(#{ lr: 0.1 }); run.asked(#{ lr: 0.1 }, #{ resume: true });",
            )
            .call(|_, args| asked(args)),
    );
}

fn asked(args: &mut Args) -> Result<()> {
    let run = args.this::<Run>()?;
    let (what, resume): (Map, bool) = (args.get("what")?, args.get("resume")?);
    let given = what.iter().filter(|(_, value)| !value.is_nil());
    let now: Json<String, JsonValue> =
        given.map(|(name, value)| Ok((name.to_string(), told(value)?))).collect::<Result<_>>()?;
    let mut folder = run.folder();
    let records = folder.records()?;
    let was = records.iter().rev().find_map(|record| record.get("asked")?.as_object());
    if let (true, Some(was)) = (resume, was) {
        return match difference(was, &now) {
            None => Ok(()),
            Some(what) => Err(Fault::mismatch(format!(
                "{}: the run to go on with was asked for another {what}. Go on with the same, or start in another folder",
                folder.dir().display()
            ))
            .into()),
        };
    }
    Ok(folder
        .log(&JsonValue::Object([("asked".to_string(), JsonValue::Object(now))].into_iter().collect()))?)
}

/// A value as the record keeps it.
fn told(value: &Value) -> Result<JsonValue> {
    Ok(match value {
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Float(x) if x.is_finite() => (*x).into(),
        Value::Float(x) => x.to_string().into(),
        Value::Str(text) => text.clone().into(),
        other => fingerprint(other, Others::ByType)?.into(),
    })
}

/// The first name, in the alphabet, of which the two say something else; and what, where a person can read it.
fn difference(was: &Json<String, JsonValue>, now: &Json<String, JsonValue>) -> Option<String> {
    let mut names: Vec<&String> = was.keys().chain(now.keys()).collect();
    names.sort();
    let name = names.into_iter().find(|name| match (was.get(*name), now.get(*name)) {
        (Some(a), Some(b)) => !same(a, b),
        _ => true,
    })?;
    let readable = |value: Option<&JsonValue>| match value {
        None => Some("none".to_string()),
        Some(JsonValue::String(text)) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            None
        }
        Some(other) => Some(other.to_string()),
    };
    Some(match (readable(was.get(name)), readable(now.get(name))) {
        (Some(was), Some(now)) => format!("`{name}`: it was {was} and is now {now}"),
        _ => format!("`{name}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<String, JsonValue> {
        serde_json::from_str(text).expect("is a map")
    }

    #[test]
    fn the_first_difference_is_told_in_words_a_person_can_read() {
        let hash = "0".repeat(64);
        let was = json(&format!(r#"{{"lr": 1, "params": "{hash}", "steps": 4}}"#));
        let told = |now: &str| difference(&was, &json(&now.replace("HASH", &hash)));
        assert_eq!(told(r#"{"steps": 4, "lr": 1.0, "params": "HASH"}"#), None);
        let other = told(r#"{"steps": 5, "lr": 1, "params": "HASH"}"#).expect("differs");
        assert_eq!(other, "`steps`: it was 4 and is now 5");
        let other = told(&format!(r#"{{"steps": 4, "lr": 1, "params": "{}"}}"#, "1".repeat(64)));
        assert_eq!(other.expect("differs"), "`params`");
        assert_eq!(
            told(r#"{"steps": 4, "params": "HASH"}"#).expect("differs"),
            "`lr`: it was 1 and is now none"
        );
    }
}
