//! Chat templates: how a conversation becomes the text a model was trained on.
//!
//! Templates are Jinja, written for Python. They run in minijinja with the methods, filters and
//! output of Python that they use, and reach nothing but what they are given.

mod bounds;
mod json;
mod python;
mod time;

use std::path::Path;
use std::sync::Arc;

use minijinja::value::Kwargs;
use minijinja::{Environment, Error as JinjaError, ErrorKind, State, Value as JinjaValue};
use serde_json::{Map, Value};

use self::bounds::Bounds;
use super::Tokenizer;
use crate::host::{Cancel, read_foreign, with_stack};
use crate::{Error, Result};

/// A chat template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTemplate {
    source: String,
    /// Why it cannot be used, if it came with a model and cannot.
    fault: Option<String>,
}

/// What a template is given besides the messages.
#[derive(Clone, Debug, Default)]
pub struct ChatOptions {
    /// Ends the text where the assistant's answer begins.
    pub add_generation_prompt: bool,
    /// Descriptions of tools (JSON schema), for templates that know them.
    pub tools: Option<Value>,
    /// Further variables, by name (`enable_thinking`, …).
    pub variables: Map<String, Value>,
    /// The time, in seconds since 1970 (of the zone it should be shown in), for templates that
    /// write the date. Without it such a template is an error.
    pub now: Option<i64>,
    /// Stops it.
    pub cancel: Cancel,
}

impl ChatTemplate {
    /// A template from its Jinja source, which is checked.
    pub fn new(source: impl Into<String>) -> Result<Self> {
        let template = Self { source: source.into(), fault: None };
        bounds::check_source(&template.source).map_err(|e| explain(&e))?;
        let env = environment(None, &Bounds::new(Cancel::default()));
        let compiled = expand_generation(&template.source);
        with_stack(|| env.template_from_str(&compiled).map(drop)).map_err(|e| explain(&e))?;
        Ok(template)
    }

    /// A template that came with a model, from a file. One that is no Jinja hinders nobody who does not chat: it is told when it is
    /// used.
    pub(super) fn of_model(file: &Path, source: &str) -> Self {
        let parse = || Self::new(source).map_err(|e| Error::format(file, e.to_string()));
        read_foreign(file, "a chat template", parse)
            .unwrap_or_else(|e| Self { source: source.to_string(), fault: Some(e.to_string()) })
    }

    /// The template of a model folder: `chat_template.jinja`, else `chat_template` in
    /// `tokenizer_config.json` (`config`), which may be several by name, of which `default` is
    /// taken. `None` if the model has none.
    pub(crate) fn of_folder(folder: &Path, config: &Map<String, Value>) -> Result<Option<Self>> {
        let file = folder.join("chat_template.jinja");
        if file.exists() {
            let source = crate::host::read_text(&file)?;
            return Ok(Some(Self::of_model(&file, &source)));
        }
        Ok(Self::of_config(&folder.join("tokenizer_config.json"), config))
    }

    /// The one in what a `tokenizer_config.json` holds; messages name it.
    pub(super) fn of_config(file: &Path, config: &Map<String, Value>) -> Option<Self> {
        let source = match config.get("chat_template") {
            Some(Value::String(source)) => Some(source.as_str()),
            Some(Value::Array(list)) => named(list, "default").or_else(|| list.first().and_then(text_of)),
            _ => None,
        };
        source.map(|source| Self::of_model(file, source))
    }

    /// The Jinja source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation. `messages` is a list of objects with `role` and `content`.
    pub fn render(
        &self,
        messages: &Value,
        options: &ChatOptions,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<String> {
        if let Some(fault) = &self.fault {
            return Err(Error::argument(format!(
                "{fault}; give the model another template (the option chat_template of model.load)"
            )));
        }
        let list = messages.as_array().ok_or_else(|| {
            Error::argument("messages must be a list of tables with role and content".to_string())
        })?;
        if let Some(i) = list.iter().position(|m| !m.get("role").is_some_and(Value::is_string)) {
            return Err(Error::argument(format!("message {} of {} has no role", i + 1, list.len())));
        }
        let mut variables = options.variables.clone();
        variables.insert("messages".into(), stated(list));
        variables.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        variables.entry("tools").or_insert_with(|| options.tools.clone().unwrap_or(Value::Null));
        variables.entry("documents").or_insert(Value::Null);
        if let Some(tokenizer) = tokenizer {
            let s = tokenizer.specials();
            for (name, special) in
                [("bos_token", &s.bos), ("eos_token", &s.eos), ("pad_token", &s.pad), ("unk_token", &s.unk)]
            {
                if let Some(special) = special {
                    variables.entry(name).or_insert_with(|| special.token.clone().into());
                }
            }
        }
        let bounds = Bounds::new(options.cancel.clone());
        let env = environment(options.now, &bounds);
        let compiled = expand_generation(&self.source);
        let root = json::to_jinja(&Value::Object(variables));
        with_stack(|| bounds::render(env, &compiled, root, &bounds)).map_err(|e| {
            match options.cancel.check() {
                Err(cancelled) => cancelled.into(),
                Ok(()) => explain(&e),
            }
        })
    }
}

/// Messages without the fields that are null: some interfaces write them, and templates ask whether a
/// field is there. Transformers leaves them out too.
fn stated(messages: &[Value]) -> Value {
    let message = |message: &Value| match message {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, v)| !v.is_null());
            Value::Object(fields.map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        other => other.clone(),
    };
    messages.iter().map(message).collect()
}

/// The template called `name` in a list of `{name, template}`.
fn named<'a>(list: &'a [Value], name: &str) -> Option<&'a str> {
    list.iter().find(|t| t.get("name").and_then(Value::as_str) == Some(name)).and_then(text_of)
}

fn text_of(entry: &Value) -> Option<&str> {
    entry.get("template").and_then(Value::as_str)
}

/// An environment that behaves as the one templates are written for.
fn environment<'a>(now: Option<i64>, bounds: &Arc<Bounds>) -> Environment<'a> {
    let mut env = Environment::new();
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.set_unknown_method_callback(python::method);
    env.set_recursion_limit(200);
    let bounds = bounds.clone();
    env.set_formatter(move |out, _, value| {
        bounds.spend_on(std::slice::from_ref(value))?;
        out.write_str(&python::text(value)).map_err(JinjaError::from)
    });
    env.add_filter("string", |value: &JinjaValue| python::text(value));
    env.add_filter("join", python::join);
    env.add_filter("trim", python::trim);
    for name in ["length", "count"] {
        env.add_filter(name, python::length);
    }
    env.add_function("raise_exception", |message: String| -> Result<JinjaValue, JinjaError> {
        Err(JinjaError::new(ErrorKind::InvalidOperation, message))
    });
    env.add_function("strftime_now", move |format: String| -> Result<String, JinjaError> {
        let refused = |what: String| JinjaError::new(ErrorKind::InvalidOperation, what);
        let now = now.ok_or_else(|| {
            refused("it writes the date, and no time was given: pass `now` in the options".to_string())
        })?;
        time::strftime(now, &format).map_err(refused)
    });
    env.add_filter(
        "tojson",
        |_: &State, value: JinjaValue, options: Kwargs| -> Result<JinjaValue, JinjaError> {
            let style = json::Style {
                indent: options.get("indent")?,
                ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
                sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
                separators: match options.get::<Option<Vec<String>>>("separators")?.as_deref() {
                    None => None,
                    Some([between, colon]) => Some((between.clone(), colon.clone())),
                    Some(_) => {
                        return Err(JinjaError::new(
                            ErrorKind::InvalidOperation,
                            "tojson: two separators are needed",
                        ));
                    }
                },
            };
            options.assert_all_used()?;
            json::python_json(&value, &style).map(JinjaValue::from_safe_string)
        },
    );
    env
}

/// `{% generation %}` marks the assistant's part of a template for trainers. It prints nothing, and
/// minijinja does not know it: it becomes an `if` that is always taken.
fn expand_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        // In `{%}` the end is not that of this tag.
        let Some(length) = rest[start + 2..].find("%}") else { break };
        let inner = &rest[start + 2..start + 2 + length];
        let word = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        out.push_str(&rest[..start + 2]);
        match replacement {
            Some(new) => out.push_str(&inner.replace(word, &format!(" {new} "))),
            None => out.push_str(inner),
        }
        out.push_str("%}");
        rest = &rest[start + 2 + length + 2..];
    }
    out.push_str(rest);
    out
}

/// A template's error in words: what it raised itself, or what is wrong at which line.
fn explain(error: &JinjaError) -> Error {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes more steps than a conversation of this length can need".to_string(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_string),
    };
    match error.line() {
        Some(line) => Error::argument(format!("the chat template (line {line}): {what}")),
        None => Error::argument(format!("the chat template: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(source: &str, options: &ChatOptions) -> Result<String> {
        let messages = json!([
            {"role": "user", "content": " hi "},
            {"role": "assistant", "content": "a</think>b", "extra": {"z": 1, "a": [true, null, "é"]}},
        ]);
        ChatTemplate::new(source)?.render(&messages, options, None)
    }

    #[test]
    fn python_idioms_work() {
        let cases = [
            ("{{ messages[0].content.strip() }}", "hi"),
            ("{{ messages[1]['content'].split('</think>')[-1] }}", "b"),
            ("{{ messages[1].extra | tojson }}", r#"{"z": 1, "a": [true, null, "é"]}"#),
            ("{{ add_generation_prompt }} {{ tools }}", "False None"),
            (
                "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}",
                "assistant",
            ),
            ("{% for k, v in messages[1].extra.items() %}{{ k }}{% endfor %}", "za"),
            (
                "{% set ns = namespace(n=0) %}{% for m in messages[::-1] %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
                "2",
            ),
            ("{%- generation -%} x {%- endgeneration %}", "x"),
            ("{{ '<a>' ~ messages|length }}", "<a>2"),
            ("a\n{% if true %}\nb\n{% endif %}\n", "a\nb\n"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source, &ChatOptions::default()).expect(source), expected, "{source}");
        }
    }

    #[test]
    fn the_date_is_the_one_passed_in() {
        let source = "{{ strftime_now('%d %b %Y') }}";
        let options = ChatOptions { now: Some(1_706_745_600), ..ChatOptions::default() };
        assert_eq!(render(source, &options).expect("renders"), "01 Feb 2024");
        let error = render(source, &ChatOptions::default()).expect_err("no time").to_string();
        assert!(
            error.ends_with("it writes the date, and no time was given: pass `now` in the options"),
            "{error}"
        );
    }

    #[test]
    fn a_template_ends() {
        let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let error = render(loops, &ChatOptions::default()).expect_err("ten billion steps").to_string();
        assert_eq!(
            error,
            "the chat template (line 1): it takes more steps than a conversation of this length can need"
        );
    }

    #[test]
    fn a_template_s_own_error_is_passed_on() {
        let error = render("a\n{{ raise_exception('roles must alternate') }}", &ChatOptions::default());
        assert_eq!(
            error.expect_err("raises").to_string(),
            "the chat template (line 2): roles must alternate"
        );
        for source in ["{% for %}", "{%}", "{%}{% if true %}{% endif %}"] {
            let error = ChatTemplate::new(source).expect_err("bad syntax").to_string();
            assert!(error.starts_with("the chat template (line 1): "), "{source}: {error}");
        }
    }
}
