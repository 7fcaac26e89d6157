//! What holds in every language.

use std::sync::Arc;
use std::time::Duration;

use super::library::{Script, Vector, entry, text};
use crate::{ErrorKind, Files, Language, Limits, Map, Object, Value};

/// The same script in each language that was built in.
fn both(lua: &'static str, rhai: &'static str) -> Vec<(Language, &'static str)> {
    let mut scripts = Vec::new();
    if cfg!(feature = "lua") {
        scripts.push((Language::Lua, lua));
    }
    if cfg!(feature = "rhai") {
        scripts.push((Language::Rhai, rhai));
    }
    scripts
}

#[test]
fn methods_operators_and_options() {
    for (language, source) in both(
        "local lota = require 'lota'\n\
         local c = lota.counter(5, {step = 2}):add():add(3)\n\
         local v = lota.vector.of({1, 2, 3}) + lota.vector.of({1, 1, 1}) + 1\n\
         assert(v == lota.vector.of({3, 4, 5}) and #v == 3)\n\
         return {c:value(), v:totable(), tostring(c)}",
        "let c = lota::counter(5, #{step: 2}).add().add(3);\n\
         let v = lota::vector::of([1, 2, 3]) + lota::vector::of([1, 1, 1]) + 1;\n\
         assert(v == lota::vector::of([3, 4, 5]) && v.len() == 3);\n\
         [c.value(), v.totable(), c.to_string()]",
    ) {
        let value = Script::new(language).run(source).expect("runs");
        assert_eq!(text(&value), r#"[10,[3.0,4.0,5.0],"Counter(10)"]"#, "{language:?}");
    }
}

#[test]
fn positions_are_counted_as_the_language_counts_and_from_the_end() {
    for (language, source) in both(
        "local v = require('lota').vector.of({7, 9, 8})\nreturn {v[1], v:at(3), v:at(-1), v:largest()}",
        "let v = lota::vector::of([7, 9, 8]);\n[v[0], v.at(2), v.at(-1), v.largest() + 1]",
    ) {
        let value = Script::new(language).run(source).expect("runs");
        assert_eq!(text(&value), "[7.0,8.0,8.0,2]", "{language:?}");
    }
}

#[test]
fn a_wrong_argument_is_told_with_its_primitive_its_name_and_its_line() {
    for (language, source) in both("\nrequire('lota').vector.of('no')", "\nlota::vector::of(\"no\")") {
        let error = Script::new(language).fails(source);
        assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
        assert_eq!(error.primitive(), Some("vector.of"), "{error}");
        assert_eq!(error.place(), Some("test:2"), "{error}");
        assert!(error.message().starts_with("argument 'numbers' must be a list of number"), "{error}");
    }
}

#[test]
fn an_unknown_option_offers_the_nearest() {
    for (language, source) in both("require('lota').counter(1, {stp = 2})", "lota::counter(1, #{stp: 2})") {
        let error = Script::new(language).fails(source);
        assert_eq!(error.message(), "unknown option 'stp'; did you mean 'step'?");
    }
}

#[test]
fn a_panic_of_a_primitive_is_an_error_and_the_script_goes_on_afterwards() {
    for (language, source, next) in both("require('lota').fault()", "lota::fault()")
        .into_iter()
        .zip(["return 1", "1"])
        .map(|((language, source), next)| (language, source, next))
    {
        let script = Script::new(language);
        let error = script.fails(source);
        assert_eq!(error.kind(), ErrorKind::Host);
        assert!(error.message().contains("on purpose"), "{error}");
        assert_eq!(text(&script.run(next).expect("goes on")), "1");
    }
}

#[test]
fn callbacks_get_values_give_values_and_their_errors_come_back_whole() {
    for (language, line, source, throws) in [
        (
            Language::Lua,
            "test:2: ",
            "return require('lota').each({'a', 'b'}, function(name, i) return {name, i} end)",
            "require('lota').each({'a'}, function(name)\n  error('stop at ' .. name)\nend)",
        ),
        (
            Language::Rhai,
            // A thrown value comes out of the call that was given the function.
            "test:1: ",
            "lota::each([\"a\", \"b\"], |name, i| [name, i + 1])",
            "lota::each([\"a\"], |name| {\n  throw \"stop at \" + name\n})",
        ),
    ] {
        if !cfg!(feature = "lua") && language == Language::Lua
            || !cfg!(feature = "rhai") && language == Language::Rhai
        {
            continue;
        }
        let script = Script::new(language);
        assert_eq!(text(&script.run(source).expect("runs")), r#"[["a",1],["b",2]]"#, "{language:?}");
        let error = script.fails(throws);
        assert!(error.to_string().starts_with(line) && error.message().contains("stop at a"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Runtime);
    }
}

#[test]
fn a_host_calls_functions_of_the_script_and_objects_go_there_and_back() {
    for (language, source) in both("function same(x) return x end", "fn same(x) { x }") {
        let script = Script::new(language);
        script.run(source).expect("defines it");
        let map = Map::new().with("a", vec![1i64, 2]).with("b", "text");
        let back = script.frontend.call_function("same", vec![map.into()]).expect("is called");
        assert_eq!(text(&back), r#"{"a":[1,2],"b":"text"}"#);
        let object = Object::new(Vector(vec![1.0]));
        let back = script.frontend.call_function("same", vec![object.clone().into()]).expect("is called");
        assert!(matches!(back, Value::Object(o) if o.same(&object)));
        let missing = script.frontend.call_function("missing", Vec::new()).expect_err("there is none");
        assert_eq!(missing.kind(), ErrorKind::Argument);
    }
}

#[test]
fn options_of_any_name_arrive_where_the_record_allows_them() {
    for (language, source) in
        both("return require('lota').options({b = 1, a = {2}})", "lota::options(#{b: 1, a: [2]})")
    {
        let value = Script::new(language).run(source).expect("runs");
        assert_eq!(text(&value), r#"{"a":[2],"b":1}"#);
        assert_eq!(text(&entry("a", 1i64).into()), r#"{"a":1}"#);
    }
}

#[test]
fn built_in_modules_are_found_and_an_unknown_one_offers_the_nearest() {
    for (language, source, unknown) in [
        (Language::Lua, "return require('lota.twice')(4)", "require 'lota.twise'"),
        (Language::Rhai, "import \"lota/twice\" as twice; twice::twice(4)", "import \"lota/twise\" as x;"),
    ] {
        if both("", "").iter().all(|(l, _)| *l != language) {
            continue;
        }
        let script = Script::new(language);
        assert_eq!(text(&script.run(source).expect("is found")), "8");
        assert!(script.fails(unknown).message().contains("did you mean 'lota"), "{language:?}");
    }
}

#[test]
fn files_beside_the_script_are_read_only_where_they_are_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("own.lua"), "return 7").expect("writes");
    std::fs::write(folder.path().join("own.rhai"), "fn number() { 7 }").expect("writes");
    for (language, source) in both("return require 'own'", "import \"own\" as own; own::number()") {
        let granted = Files::roots([folder.path().to_path_buf()]);
        let script = Script::bounded(language, Limits::none(), granted);
        script.frontend.set_folder(Some(folder.path()));
        assert_eq!(text(&script.run(source).expect("is granted")), "7");
        let script = Script::new(language);
        script.frontend.set_folder(Some(folder.path()));
        assert_eq!(script.fails(source).kind(), ErrorKind::Denied);
    }
}

#[test]
fn no_handler_of_a_script_stops_a_limit_or_a_cancellation() {
    let endless = both(
        "while true do pcall(function() while true do end end) end",
        "loop { try { loop { } } catch { } }",
    );
    for (language, source) in endless {
        let limits = Limits { instructions: Some(200_000), ..Limits::none() };
        let script = Script::bounded(language, limits, Files::default());
        assert_eq!(script.fails(source).kind(), ErrorKind::Limit);
        let limits = Limits { time: Some(Duration::from_millis(30)), ..Limits::none() };
        let script = Script::bounded(language, limits, Files::default());
        assert_eq!(script.fails(source).kind(), ErrorKind::Limit);
        let script = Script::new(language);
        script.cancel.cancel();
        assert_eq!(script.fails(source).kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn what_is_printed_and_what_objects_keep_is_counted() {
    for (language, prints, keeps) in [
        (
            Language::Lua,
            "while true do require('lota').print('0123456789') end",
            "local l = require 'lota'\nlocal t = {}\nfor i = 1, 100 do t[i] = l.vector.zeros(1000) end",
        ),
        (
            Language::Rhai,
            "loop { lota::print(\"0123456789\"); }",
            "let t = []; for i in 0..100 { t.push(lota::vector::zeros(1000)); }",
        ),
    ] {
        if both("", "").iter().all(|(l, _)| *l != language) {
            continue;
        }
        let limits = Limits { output: Some(100), tensor_memory: Some(80_000), ..Limits::none() };
        let script = Script::bounded(language, limits, Files::default());
        assert_eq!(script.fails(prints).kind(), ErrorKind::Limit);
        assert_eq!(script.printed().len(), 100);
        assert!(script.fails(keeps).message().contains("tensors need"), "{language:?}");
    }
}

#[test]
fn a_prompt_keeps_its_variables_and_forgets_them() {
    for (language, declares, uses) in [
        (Language::Lua, "local v = require('lota').vector.of({4})", "v[1]"),
        (Language::Rhai, "let v = lota::vector::of([4]);", "v[0]"),
    ] {
        if both("", "").iter().all(|(l, _)| *l != language) {
            continue;
        }
        let script = Script::new(language);
        script.frontend.eval(declares).expect("runs");
        let kept = script.frontend.eval_keeping(uses, &["last".to_string()]).expect("runs");
        assert_eq!(kept.iter().map(text).collect::<Vec<_>>(), ["4.0"]);
        let names = script.frontend.names(&[]);
        let ty = |name: &str| names.iter().find(|n| n.name == name).map(|n| n.ty.clone());
        assert_eq!(ty("v").as_deref(), Some("Vector"));
        assert!(ty("last").is_some());
        script.frontend.forget(&["v".to_string(), "last".to_string()]);
        assert!(script.frontend.names(&[]).iter().all(|n| n.name != "v" && n.name != "last"));
        let open = script.frontend.check("f(1,").expect_err("is open");
        assert!(open.is_incomplete() && !script.frontend.check("f)").expect_err("is wrong").is_incomplete());
    }
}

/// A thing that the host gives by its type, and one that it does not give.
#[test]
fn things_of_the_host_are_found_by_type() {
    let mut things = crate::Things::default();
    things.put(7u32).put(Arc::new(Vector(vec![2.0])));
    assert_eq!(things.get::<u32>(), Some(&7));
    assert_eq!(things.get::<Arc<Vector>>().map(|v| v.0.len()), Some(1));
    assert!(things.get::<u64>().is_none());
    let (ctx, _) = super::surroundings(Language::Lua, Limits::none(), Files::default());
    assert_eq!(ctx.get::<u64>().expect_err("was not given").kind(), ErrorKind::Host);
}

#[test]
fn a_map_that_was_read_keeps_its_order_and_its_nulls() {
    let lua = "local lota = require 'lota'\n\
         local row = lota.read [[{\"z\": {}, \"b\": null, \"a\": [1, null, {\"y\": 1, \"x\": [null]}, null], \"c\": []}]]\n\
         local same = lota.json({row, row.a[3]})\n\
         row.b, row.d, row.Z, row.z = 2, 3, 4, nil\n\
         return {same, lota.json(row)}";
    let rhai = "let row = lota::read(`{\"z\": {}, \"b\": null, \"a\": [1, null, {\"y\": 1, \"x\": [null]}, null], \"c\": []}`);\n\
         let same = lota::json([row, row.a[2]]);\n\
         row.b = 2; row.d = 3; row.Z = 4; row.remove(\"z\");\n\
         [same, lota::json(row)]";
    for (language, source) in both(lua, rhai) {
        let a = r#"[1,null,{"y":1,"x":[null]},null]"#;
        let same = format!(r#"[{{"z":{{}},"b":null,"a":{a},"c":[]}},{{"y":1,"x":[null]}}]"#);
        let changed = format!(r#"{{"b":2,"a":{a},"c":[],"Z":4,"d":3}}"#);
        let value = Script::new(language).run(source).expect("runs");
        assert_eq!(text(&value), serde_json::json!([same, changed]).to_string(), "{language:?}");
    }
}

#[test]
fn an_order_that_a_script_forges_is_a_hint_and_no_more() {
    for (language, source) in both(
        "local lota = require 'lota'\n\
         local forged = setmetatable({a = 1, b = 2}, {['lota.names'] = {'b', 7, {}, 'nobody'}, ['lota.nulls'] = {'n', 1, {}}})\n\
         local no = setmetatable({a = 1}, {['lota.names'] = 5, ['lota.nulls'] = print})\n\
         return {lota.json(forged), lota.json(no)}",
        "lota::read(`{\"b\": 1, \"x\": 1}`);\n\
         let forged = #{a: 1, b: 2}; forged.set_tag(0x4C6F0000); let no = #{a: 1}; no.set_tag(-2147483647);\n\
         [lota::json(forged), lota::json(no)]",
    ) {
        let value = text(&Script::new(language).run(source).expect("runs"));
        assert!(value.contains(r#"{\"a\":1}"#), "{language:?}: {value}");
        assert!(value.contains(r#"\"b\":2"#), "{language:?}: {value}");
    }
}
