//! Chat templates against transformers' own rendering of them. The values are made by
//! `fixtures/make_templates.py`.

use std::path::Path;

use lota_runtime::model::{ChatOptions, ChatTemplate};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Rendered {
    now: i64,
    variables: Vec<Map<String, Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    file: String,
    #[serde(default)]
    conversation: String,
    source: Option<String>,
    variables: usize,
    text: Option<String>,
    error: Option<String>,
}

#[test]
fn texts_are_those_of_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the fixture is there");
    let rendered: Rendered = serde_json::from_str(&read("rendered.json")).expect("is JSON");
    let mut failures = Vec::new();
    for case in &rendered.cases {
        let source = case.source.clone().unwrap_or_else(|| read(&case.file));
        let mut variables = rendered.variables[case.variables].clone();
        let messages = variables.remove("messages").expect("are there");
        let options = ChatOptions {
            add_generation_prompt: variables["add_generation_prompt"] == true,
            tools: variables.get("tools").filter(|t| !t.is_null()).cloned(),
            now: Some(rendered.now),
            variables: variables.into_iter().filter(|(name, _)| name != "tools").collect(),
            ..ChatOptions::default()
        };
        let ours = ChatTemplate::new(source.clone()).and_then(|t| t.render(&messages, &options, None));
        let name = if case.file.is_empty() {
            source.clone()
        } else {
            format!("{} {}", case.file, case.conversation)
        };
        match (ours, &case.text, &case.error) {
            (Ok(ours), Some(text), _) if ours == *text => {}
            (Ok(ours), Some(text), _) => {
                failures.push(format!("{name}\n  ours   {ours:?}\n  theirs {text:?}"))
            }
            (Err(e), Some(_), _) => failures.push(format!("{name}\n  {e}")),
            (Ok(ours), None, _) => failures.push(format!("{name}\n  no error, but {ours:?}")),
            // What a template raises itself is passed on word by word; Python's own errors have other words.
            (Err(e), None, Some(theirs)) => {
                if source.contains(theirs.as_str()) && !e.to_string().contains(theirs.as_str()) {
                    failures.push(format!("{name}\n  `{e}` is not `{theirs}`"));
                }
            }
            (Err(_), None, None) => failures.push(format!("{name}: the fixture says nothing")),
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rendered.cases.len(), failures.join("\n"));
}
