//! What an embedding host sees: cancellation, panics, callbacks, grants.

use std::sync::Arc;
use std::time::Duration;

use lota::api::{Args, Ctx, Files, Primitive, ScriptFn, Value};
use lota::{Engine, ErrorKind, Language};

use crate::stopping::stops;

fn engine() -> Engine {
    Engine::builder(Language::Lua).build().expect("an engine")
}

/// Scripts that try not to end.
const ENDLESS: [(&str, &str); 10] = [
    ("loop", "while true do end"),
    ("pcall", "local function f() while true do end end\nwhile true do pcall(f) end"),
    (
        "xpcall",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
    ),
    ("handler", "xpcall(error, function() while true do end end)"),
    (
        "coroutine",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
    ),
    ("wrap", "while true do pcall(coroutine.wrap(function() while true do end end)) end"),
    (
        "sort",
        "local t = {} for i = 1, 2000 do t[i] = i end\nwhile true do pcall(table.sort, t, function(a, b) for _ = 1, 1e6 do end return a < b end) end",
    ),
    ("recursion", "local function f() return pcall(f) or f() end f()"),
    (
        "metamethod",
        "local t = setmetatable({}, {__index = function() while true do end end})\nwhile true do pcall(function() return t.x end) end",
    ),
    (
        "primitive",
        "local lota = require 'lota'\nlocal r = lota.rng(1)\nwhile true do pcall(function() r:uniform() end) end",
    ),
];

#[test]
fn endless_scripts_stop_soon_after_a_cancel() {
    for (name, script) in ENDLESS {
        let took = stops(Language::Lua, name, script);
        // Generous: the machine may be busy. A script that escapes does not end at all.
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
    }
}

#[test]
fn an_engine_goes_on_after_a_cancel() {
    let engine = engine();
    engine.cancel_handle().cancel();
    let error = engine.run("for _ = 1, 1e9 do end", "x").expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    engine.cancel_handle().reset();
    assert!(matches!(engine.run("return 1 + 1", "x"), Ok(Value::Int(2))));
}

#[test]
fn a_panic_in_a_primitive_is_an_error_and_the_engine_goes_on() {
    let broken = Primitive::new("broken", "Panics.")
        .call(|_: &Ctx, _: &mut Args| -> lota::Result<Value> { panic!("on purpose") });
    let engine = Engine::builder(Language::Lua).primitive(broken).build().expect("an engine");
    let error = engine.run("require('lota').broken()", "script.lua").expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Host);
    assert!(error.to_string().starts_with("script.lua:1: broken: a fault of lota itself"), "{error}");
    assert!(error.to_string().ends_with("on purpose"), "{error}");
    let caught = engine.run("local ok = pcall(require('lota').broken) return ok", "x").expect("caught");
    assert!(matches!(caught, Value::Bool(false)));
}

#[test]
fn a_callbacks_error_comes_back_as_itself() {
    let each = Primitive::new("each", "Calls back.").arg("f", "function", "what to call").call(
        |_: &Ctx, args: &mut Args| {
            let f: Arc<dyn ScriptFn> = args.get("f")?;
            // Through the runtime's error type and back, as a callback of a trainer goes.
            let through: lota::runtime::Result<Value> = f.call(&[Value::Int(1)]).map_err(lota::of_callback);
            Ok(through?)
        },
    );
    let engine = Engine::builder(Language::Lua).primitive(each).build().expect("an engine");
    let script = "local lota = require 'lota'\n\
        local key = {}\n\
        local ok, e = pcall(lota.each, function() error(key) end)\n\
        assert(not ok and e == key)\n\
        assert(lota.each(function(x) return x + 1 end) == 2)\n\
        lota.each(function(x)\n\
            local y = x.field.deeper\n\
        end)";
    let error = engine.run(script, "script.lua").expect_err("an error");
    assert!(error.to_string().starts_with("script.lua:7: attempt to index a n"), "{error}");
    assert!(error.traceback().is_some_and(|t| t.contains("script.lua:7")), "{:?}", error.traceback());
}

#[test]
fn nothing_is_granted_by_default() {
    let engine = engine();
    for name in ["io", "os", "package", "dofile", "loadfile"] {
        let absent = engine.run(&format!("return {name} == nil"), "x").expect("runs");
        assert!(matches!(absent, Value::Bool(true)), "{name} is there");
    }
    let error = engine.run("require 'elsewhere'", "x").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[test]
fn values_go_in_and_out() {
    let echo = Primitive::new("echo", "Gives back.")
        .arg_or("x", "any", (), "anything")
        .call(|_: &Ctx, args: &mut Args| args.get::<Value>("x"));
    let engine = Engine::builder(Language::Lua).primitive(echo).build().expect("an engine");
    let script = "local e = require('lota').echo\n\
        assert(e(nil) == nil and e(true) == true and e(3) == 3 and math.type(e(3.0)) == 'float')\n\
        local t = e { 1, 'two', { three = 3, [1] = 'mixed' } }\n\
        assert(t[2] == 'two' and t[3].three == 3 and t[3]['1'] == 'mixed')\n\
        local f = function() end\n\
        assert(e(f) == f)\n\
        return { b = 1, a = { 2, 3 } }";
    let Ok(Value::Map(map)) = engine.run(script, "x") else { panic!("a map") };
    assert_eq!(map.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_prompt_evaluates_expressions_and_keeps_variables() {
    let engine = engine();
    assert!(matches!(engine.eval("1 + 1").expect("runs")[..], [Value::Int(2)]));
    engine.eval("local x = 5").expect("runs");
    assert!(matches!(engine.eval("x").expect("runs")[..], [Value::Int(5)]));
    assert!(engine.eval("for i = 1, 3 do").expect_err("incomplete").is_incomplete());
    assert!(!engine.eval("for for").expect_err("wrong").is_incomplete());
}

#[test]
fn two_engines_do_not_meet() {
    let (a, b) = (engine(), engine());
    a.run("x = 1", "a").expect("runs");
    assert!(matches!(b.run("return x", "b"), Ok(Value::Nil)));
    let other = std::thread::spawn(move || b.run("return 7", "b").map(|_| ()));
    other.join().expect("no panic").expect("runs");
}

#[test]
fn an_exit_is_not_swallowed() {
    let engine =
        Engine::builder(Language::Lua).open(true).files(Files::everything()).build().expect("an engine");
    let error = engine.run("pcall(function() os.exit(3) end) return 1", "x").expect_err("exits");
    assert_eq!(error.kind(), ErrorKind::Exit(3));
}
