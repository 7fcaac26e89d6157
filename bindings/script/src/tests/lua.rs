//! What only Lua has.

use super::library::{Script, text};
use crate::{ErrorKind, Files, Language, Limits};

#[test]
fn caught_errors_are_texts_with_their_line_and_thrown_tables_stay_tables() {
    let script = Script::new(Language::Lua);
    let value = script.run(
        "local lota = require 'lota'\n\
         local _, told = pcall(lota.refuse, 'no')\n\
         local _, thrown = pcall(lota.each, {'a'}, function() error({code = 5}) end)\n\
         return {told, thrown.code}",
    );
    assert_eq!(text(&value.expect("runs")), r#"["test:2: refuse: no",5]"#);
}

#[test]
fn memory_of_the_interpreter_is_bounded() {
    let limits = Limits { script_memory: Some(4 << 20), ..Limits::none() };
    let script = Script::bounded(Language::Lua, limits, Files::default());
    let error = script.fails("local t = {}\nwhile true do t[#t + 1] = string.rep('x', 1000) .. #t end");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(text(&script.run("return 1 + 1").expect("goes on")), "2");
}

#[test]
fn a_method_called_with_a_dot_is_told() {
    let error = Script::new(Language::Lua).fails("local c = require('lota').counter()\nc.add()");
    assert!(error.message().contains("object:add(...)"), "{error}");
}

#[test]
fn what_only_shows_its_values_takes_tables_that_are_no_lists() {
    let script = Script::new(Language::Lua);
    let shows = |code: &str| match script.run(&format!("return require('lota').shown({code})")) {
        Ok(crate::Value::Str(text)) => text,
        other => panic!("{code}: {other:?}"),
    };
    assert_eq!(shows("{1, nil, 3}"), "{1, nil, 3}");
    assert_eq!(shows("{nil, 2}, {a = {nil, nil, 3}}"), "{nil, 2} {a = {nil, nil, 3}}");
    assert_eq!(shows("{[1] = 1, [1000000000] = 2}"), "{[\"1\"] = 1, [\"1000000000\"] = 2}");
    assert_eq!(shows("{[true] = 1, [0.5] = 2}"), "{[\"0.5\"] = 2, true = 1}");
    assert_eq!(shows("'caf\\xe9', coroutine.create(print)"), "caf\u{fffd} thread");
    let error = script.fails("require('lota').each({1, nil, 3}, print)");
    assert!(error.message().contains("has an entry [3] but none at [2]"), "{error}");
}
