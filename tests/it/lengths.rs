//! Sequences that are longer than those a model was made for: every call says so once, none is silent.

use std::sync::{Arc, Mutex};

use lota::api::Value;
use lota::runtime::host::Event;
use lota::{Engine, Language};

/// An engine whose notices `hear` is given.
fn engine(hear: impl Fn(&str) + Send + Sync + 'static) -> Engine {
    let hear = move |event: &Event| {
        if let Event::Notice(text) = event {
            hear(text);
        }
    };
    Engine::builder(Language::Lua).on_event(hear).build().expect("an engine")
}

/// The notices of a script, to which `m`, its context, and a text and a short text are given.
fn told(script: &str) -> Vec<String> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let engine = engine(move |text| sink.lock().expect("no panic").push(text.to_string()));
    let begin = "local lota = require 'lota'\n\
        local m = lota.model.init('tiny')\n\
        local context = m:info().context\n\
        local text, short = ('x'):rep(context + 10), 'xy'\n\
        local function examples(rows) return lota.data.examples(m, rows, {max_len = 2 * context, eos = false}) end\n\
        local long = examples({{text = text}, {text = text .. 'y'}})\n\
        local fits = examples({{text = short}, {text = text:sub(1, context)}})\n";
    engine.run(&format!("{begin}{script}"), "x").unwrap_or_else(|e| panic!("{e}: {script}"));
    let told = told.lock().expect("no panic");
    told.clone()
}

#[test]
fn each_call_tells_once_that_sequences_are_too_long() {
    let script = "return require('lota').model.init('tiny'):info().context";
    let context = engine(|_| {}).eval(script).expect("runs");
    let [Value::Int(context)] = context[..] else { panic!("{context:?}") };
    let made_for = format!(
        "the model was made for {context} (max_position_embeddings), and what it says beyond them means little"
    );
    let two = format!("2 sequences are long, the longest {} tokens: {made_for}", context + 11);
    let one = format!("a sequence has {} tokens: {made_for}", context + 10);
    for (call, expected) in [
        ("m:logp(DATA)", &two),
        ("m:logits(DATA)", &two),
        ("lota.eval.perplexity(m, DATA)", &two),
        ("lota.train.grad_scores(m, DATA)", &two),
        ("lota.stats.collect(m, DATA, {input_norm = true})", &two),
        (
            "local t = lota.train.new(m, {lr = 1e-3}) local b = lota.data.batches(DATA) t:fit(b, {steps = 3})",
            &two,
        ),
        (
            "local t = lota.train.new(m, {lr = 1e-3}) local b = lota.data.batches(DATA) t:step(b:next()) t:step(b:next())",
            &two,
        ),
    ] {
        assert_eq!(told(&call.replace("DATA", "long")), [expected.as_str()], "{call}");
        assert!(told(&call.replace("DATA", "fits")).is_empty(), "{call}");
    }
    assert_eq!(told("m:logits(text)"), [one.as_str()]);
    let choice =
        "lota.eval.choice(m, {{prompt = PROMPT, choices = {'z', 'zz'}}, {prompt = short, choices = {'z'}}})";
    assert_eq!(told(&choice.replace("PROMPT", "text")).len(), 1);
    assert!(told(&choice.replace("PROMPT", "short")).is_empty());
}

#[test]
fn a_text_that_the_context_ends_is_told() {
    let call = "local function made(text, most)\n\
        \x20 return #m:generate({text}, {max_tokens = most, details = true})[1].tokens\n\
        end\n";
    // The model may end a text itself; some letter does not make it.
    let ended = told(&format!("{call}for c = 97, 122 do made(string.char(c):rep(context - 3), 1000) end"));
    assert!(ended.iter().any(|text| text.starts_with("a text ends before max_tokens, at the ")), "{ended:?}");
    assert!(
        told(&format!("{call}for c = 97, 122 do made(string.char(c):rep(context - 9), 2) end")).is_empty()
    );
}
