//! Rhai from outside: the same bits as Lua, errors, limits, cancellation, the program.

use std::process::{Command, Stdio};
use std::time::Duration;

use lota::api::{Files, Value};
use lota::{Engine, ErrorKind, Language};

use crate::stopping::stops;

fn run(source: &str) -> lota::Result<Value> {
    Engine::builder(Language::Rhai).build().expect("an engine").run(source, "test.rhai")
}

fn fails(source: &str) -> lota::Error {
    run(source).map(|value| format!("{value:?}")).expect_err("an error")
}

/// What both languages are asked for: the counts and losses as text, and tickets in files.
const LUA: &str = r#"
local lota, adapt = require "lota", require "lota.adapt"
local function task(first)
    local rows = {}
    for i = 1, 12 do rows[i] = { prompt = (first + i) .. "+1=", target = tostring(first + i + 1) } end
    return { name = "sums", train = rows }
end
local model = lota.model.init("tiny", { seed = 1 })
local settings = { density = 0.1, calibration_steps = 3, steps = 4, lr = 1e-3, seed = 5, warmup = 2, batch = 3 }
local all = adapt.lotto(model, { task(0), task(50) }, settings)
local out = { capacity = all.capacity, taken = all.taken:count(), after = model:fingerprint() }
for i, stage in ipairs(all.stages) do
    stage.ticket:save("ticket-" .. i)
    stage.mask:save("mask-" .. i)
    out["losses" .. i], out["calibrate" .. i] = stage.losses.adapt, stage.losses.calibrate
end
local one = adapt.lota(lota.model.init("tiny", { seed = 2 }), task(7), { steps = 3, calibration_steps = 2, lr = 1e-3 })
one.ticket:save("ticket-3")
one.mask:save("mask-3")
out.lota = one.losses
local drawn = adapt.random(lota.model.init("tiny", { seed = 2 }), task(7), { steps = 3, lr = 1e-3, seed = 3 })
drawn.ticket:save("ticket-4")
drawn.mask:save("mask-4")
out.random = drawn.losses
local fft = adapt.fft(lota.model.init("tiny", { seed = 2 }), task(7), { steps = 3, lr = 1e-3, optimizer = "adamw" })
out.fft = fft.losses
local few = adapt.lota(lota.model.init("tiny", { seed = 2 }), task(7), { steps = 2, calibration_steps = 1, count = 9 })
out.few = { few.losses, few.mask:count() }
local taught = lota.model.init("tiny", { seed = 2 })
local held = adapt.ewc(taught, task(7), { earlier = { task(30) }, fisher_rows = 3, steps = 3, lr = 1e-3 })
out.ewc = { held.losses, held.fisher:sum(), taught:fingerprint() }
local pairs_of = {}
for i = 1, 12 do pairs_of[i] = { prompt = i .. "+1=", chosen = tostring(i + 1), rejected = tostring(i) } end
local liked = adapt.dpo(taught, { train = pairs_of }, { steps = 3, lr = 1e-3, accumulate = 2 })
out.dpo = { liked.losses, taught:fingerprint() }
return lota.json.encode(out)
"#;

const RHAI: &str = r#"
import "lota/adapt" as adapt;
fn task(first) {
    let rows = [];
    for i in 1..=12 { rows.push(#{ prompt: (first + i) + "+1=", target: (first + i + 1).to_string() }); }
    #{ name: "sums", train: rows }
}
let model = lota::model::init("tiny", #{ seed: 1 });
let settings = #{ density: 0.1, calibration_steps: 3, steps: 4, lr: 0.001, seed: 5, warmup: 2, batch: 3 };
let all = adapt::lotto(model, [task(0), task(50)], settings);
let out = #{ capacity: all.capacity, taken: all.taken.count(), after: model.fingerprint() };
let i = 0;
for stage in all.stages {
    i += 1;
    stage.ticket.save("ticket-" + i);
    stage.mask.save("mask-" + i);
    out["losses" + i] = stage.losses.adapt;
    out["calibrate" + i] = stage.losses.calibrate;
}
let one = adapt::lota(lota::model::init("tiny", #{ seed: 2 }), task(7), #{ steps: 3, calibration_steps: 2, lr: 0.001 });
one.ticket.save("ticket-3");
one.mask.save("mask-3");
out.lota = one.losses;
let drawn = adapt::random(lota::model::init("tiny", #{ seed: 2 }), task(7), #{ steps: 3, lr: 0.001, seed: 3 });
drawn.ticket.save("ticket-4");
drawn.mask.save("mask-4");
out.random = drawn.losses;
let tuned = adapt::fft(lota::model::init("tiny", #{ seed: 2 }), task(7), #{ steps: 3, lr: 0.001, optimizer: "adamw" });
out.fft = tuned.losses;
let few = adapt::lota(lota::model::init("tiny", #{ seed: 2 }), task(7), #{ steps: 2, calibration_steps: 1, count: 9 });
out.few = [few.losses, few.mask.count()];
let taught = lota::model::init("tiny", #{ seed: 2 });
let held = adapt::ewc(taught, task(7), #{ earlier: [task(30)], fisher_rows: 3, steps: 3, lr: 0.001 });
out.ewc = [held.losses, held.fisher.sum(), taught.fingerprint()];
let pairs_of = [];
for i in 1..=12 { pairs_of.push(#{ prompt: i + "+1=", chosen: (i + 1).to_string(), rejected: i.to_string() }); }
let liked = adapt::dpo(taught, #{ train: pairs_of }, #{ steps: 3, lr: 0.001, accumulate: 2 });
out.dpo = [liked.losses, taught.fingerprint()];
lota::json::encode(out)
"#;

#[test]
fn methods_have_the_same_bits_in_both_languages() {
    let [lua, rhai] = [(Language::Lua, LUA), (Language::Rhai, RHAI)].map(|(language, source)| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::builder(language).files(Files::roots([folder.path().to_path_buf()]));
        let engine = engine.reference(std::env::var_os("LOTA_TEST_REFERENCE").is_some());
        let value = engine.build().expect("an engine").run(source, "parity").expect("runs");
        let Value::Str(text) = value else { panic!("{language:?} gave {value:?}") };
        let files = ["ticket-1", "ticket-2", "ticket-3", "ticket-4", "mask-1", "mask-2", "mask-3", "mask-4"];
        let files = files.map(|name| std::fs::read(folder.path().join(name)).expect("was saved"));
        (text, files)
    });
    assert!(lua.0.contains("\"losses2\":[") && lua.0.contains("\"calibrate2\":["), "{}", lua.0);
    // JSON writes every digit that tells a number from its neighbours, so equal text is equal bits.
    assert_eq!(lua.0, rhai.0);
    for (i, (a, b)) in lua.1.iter().zip(&rhai.1).enumerate() {
        assert!(!a.is_empty() && a == b, "file {i} differs");
    }
}

#[test]
fn a_bound_closure_takes_its_module_along() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        folder.path().join("own.rhai"),
        "const ONE = 1;\nfn more(x) { x + global::ONE }\n\
         fn free() { |x| more(x) }\nfn kept() { bound(|x, y| [more(x), y]) }\n",
    )
    .expect("writes");
    let script = folder.path().join("script.rhai");
    let run = |code: &str| {
        let source = format!("import \"own\" as own;\nlota::json::encode([{code}])");
        std::fs::write(&script, source).expect("writes");
        let files = Files::roots([folder.path().to_path_buf()]);
        let engine = Engine::builder(Language::Rhai).files(files).build().expect("an engine");
        engine.run_file(&script).map(|value| format!("{value:?}"))
    };
    for (code, wanted) in [
        ("own::kept().call(2, 3)", "[[3,3]]"),
        ("own::kept().call(2)", "[[3,null]]"),
        ("own::kept().call(2, 3, 4)", "[[3,3]]"),
        ("format(\"%.2f %s\", [0.125, 3.0])", "0.12 3.0"),
    ] {
        let got = run(code).expect(code);
        assert!(got.contains(wanted), "{code}: {got}");
    }
    assert!(run("own::free().call(2)").is_err(), "what bound is for");
}

#[test]
fn an_error_names_its_line_the_primitive_and_what_was_meant() {
    let cases = [
        (
            "let a = 1;\nlota::mask::unoin(a, a)",
            "test.rhai:2: there is no function 'lota::mask::unoin'",
            "mask::union",
        ),
        ("lota::msk::union(1, 2)", "test.rhai:1: ", "did you mean 'lota::mask::union'"),
        ("lota.mask", "lota is a module here", "lota::mask"),
        ("lota::zeros([2]).summ()", "test.rhai:1: ", "did you mean 'sum'"),
        ("lota::zeros([2]).shape", "it is a method", "x.shape("),
        ("lota::model::init(\"tiny\").shape()", "Model has no method 'shape'", ""),
        (
            "lota::zeros([2], #{ dtpye: \"f32\" })",
            "test.rhai:1: zeros: unknown option 'dtpye'",
            "did you mean 'dtype'",
        ),
        ("lota::zeros(\"x\")", "test.rhai:1: zeros: argument 'shape' must be", "string"),
        ("lota::rng()", "rng: argument 'seed' is missing", "usage: rng("),
        ("lota::zeros([2]) < 3", "Tensor has no operator '<'", "a.lt(b)"),
        ("lota::zeros([2])[5]", "test.rhai:1: ", "is 5, outside"),
        (
            "let m = lota::model::init(\"tiny\");\nlet s = lota::values::new(m, |n, w| w);\ns.map(|n, w| s.get(n))",
            "argument #1 of function 'map' uses the object",
            "let same = x;",
        ),
        ("throw \"mine\"", "test.rhai:1: mine", ""),
        ("fn f() { throw #{ message: \"mine\" } }\nf()", "test.rhai:1: mine", ""),
        ("nothing + 1", "there is no variable 'nothing'", ""),
        ("import \"lota/adpat\" as a;", "did you mean 'lota/adapt'", ""),
    ];
    for (source, expected, hint) in cases {
        let text = fails(source).to_string();
        assert!(
            text.contains(expected) && text.contains(hint),
            "{source}\n  gave: {text}\n  expected: {expected} {hint}"
        );
    }
    let error = fails("fn outer() {\n  inner()\n}\nfn inner() { lota::zeros(\"x\") }\nouter()");
    assert_eq!(error.place(), Some("test.rhai:4"), "{error}");
    assert!(
        error.traceback().is_some_and(|t| t.contains("test.rhai:2") && t.contains("test.rhai:5")),
        "{:?}",
        error.traceback()
    );
    assert_eq!(fails("let x = ;").kind(), ErrorKind::Syntax);
    assert_eq!(fails("lota::zeros(\"x\")").kind(), ErrorKind::Argument);
}

#[test]
fn errors_are_caught_whole_and_thrown_again_as_they_are() {
    let caught = "try { lota::zeros(\"x\") } catch (e) { \
        assert(e.kind == \"argument\" && e.primitive == \"zeros\" && e.message.contains(\"must be\")); throw e; }";
    assert_eq!(fails(caught).kind(), ErrorKind::Argument);
    let through = "let m = lota::model::init(\"tiny\");\n\
        let code = 0;\n\
        try { lota::values::new(m, |name, w| { throw #{ code: 5 } }) } catch (e) { code = e.code; }\n\
        code";
    assert!(matches!(run(through), Ok(Value::Int(5))), "{:?}", run(through));
    let inside =
        fails("let m = lota::model::init(\"tiny\");\nlota::values::new(m, |name, w| {\n  w.summ()\n})");
    assert_eq!(inside.place(), Some("test.rhai:3"), "{inside}");
}

#[test]
fn a_callback_takes_as_many_values_as_it_names_and_keeps_what_it_captures() {
    let source = "let m = lota::model::init(\"tiny\");\nlet seen = 0;\n\
        let s = lota::values::new(m, |name| { seen += 1; if name.contains(\"mlp\") { lota::ones(m.param(name).shape()) } });\n\
        assert(s.names().len() == 6);\nseen == m.params().len()";
    assert!(matches!(run(source), Ok(Value::Bool(true))), "{:?}", run(source));
}

/// Scripts that try not to end.
const ENDLESS: [(&str, &str); 9] = [
    ("loop", "loop {}"),
    ("while", "while true { let x = 1; }"),
    ("catch", "fn f() { loop {} }\nloop { try { f(); } catch { } }"),
    ("catch in catch", "loop { try { throw 1; } catch { try { loop {} } catch { loop {} } } }"),
    (
        "sort",
        "let a = []; for i in 0..2000 { a.push(i); }\nloop { a.sort(|x, y| { for i in 0..100000 {} x - y }); }",
    ),
    ("map", "loop { [1, 2].map(|x| { loop {} }); }"),
    (
        "callback",
        "let m = lota::model::init(\"tiny\"); loop { try { lota::values::new(m, |n, w| { loop {} }); } catch { } }",
    ),
    ("primitive", "let r = lota::rng(1); loop { try { r.uniform(); } catch { } }"),
    ("sleep", "loop { try { sleep(1000); } catch { } }"),
];

#[test]
fn endless_scripts_stop_soon_after_a_cancel() {
    for (name, script) in ENDLESS {
        let took = stops(Language::Rhai, name, script);
        // Generous: the machine may be busy. A script that escapes does not end at all.
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
    }
}

#[test]
fn what_is_nested_deeply_is_refused_by_every_primitive() {
    for call in ["lota::fingerprint(a)", "lota::json::encode(a)", "lota::print(a)"] {
        let script = format!("let a = []; for i in 0..5000 {{ a = [a]; }} {call}");
        let error = fails(&script);
        assert!(error.to_string().contains("nested more than 64 levels deep"), "{call}: {error}");
    }
}

#[test]
fn a_mark_of_the_byte_order_is_no_part_of_a_script() {
    for (language, script) in [(Language::Lua, "\u{feff}return 1 + 1"), (Language::Rhai, "\u{feff}1 + 1")] {
        let engine = Engine::builder(language).build().expect("builds");
        assert!(matches!(engine.run(script, "script").expect("runs"), Value::Int(2)));
    }
}

#[test]
fn depth_and_size_are_limited_and_no_catch_hides_it() {
    let deep = format!("{}1{}", "(1 + ".repeat(500), ")".repeat(500));
    assert_eq!(fails(&deep).kind(), ErrorKind::Syntax);
    for script in [
        "fn f(n) { 1 + f(n + 1) }\ntry { f(0) } catch { 0 }",
        "let s = \"x\"; try { loop { s += s; } } catch { 0 }",
        "let m = lota::model::init(\"tiny\");\n\
         fn nest(m) { lota::values::new(m, |n, w| { nest(m); w }) }\ntry { nest(m) } catch { 0 }",
    ] {
        assert_eq!(fails(script).kind(), ErrorKind::Limit, "{script}");
    }
}

#[test]
fn a_prompt_keeps_variables_functions_and_imports() {
    let engine = Engine::builder(Language::Rhai).build().expect("an engine");
    let eval =
        |input: &str| engine.eval(input).map(|values| values.iter().map(lota::api::show).collect::<Vec<_>>());
    assert_eq!(eval("let x = 3;").expect("runs"), Vec::<String>::new());
    assert_eq!(eval("fn twice(n) { 2 * n }").expect("runs"), Vec::<String>::new());
    eval("import \"lota/options\" as options;").expect("runs");
    assert_eq!(eval("twice(x)").expect("runs"), ["6"]);
    assert_eq!(eval("options::pick(#{a: 1}, #{a: 2, b: 3}).a").expect("runs"), ["2"]);
    for open in
        ["fn f() {", "let x = (1 +", "[1, 2,", "if true { 1 } else {", "#{ a: 1,", "f(1,", "/* a note"]
    {
        let error = engine.check(open).expect_err("is not complete");
        assert!(error.is_incomplete(), "{open}: {error}");
    }
    assert!(!engine.check("let = 3;").expect_err("is wrong").is_incomplete());
}

#[test]
fn the_program_runs_rhai() {
    let lota = |args: &[&str]| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = "// Greets.\nlet args = lota::args(#{ name: [\"you\", \"who\"] });\nprint(`hello ${args.name}`);\nexit(3);";
        std::fs::write(folder.path().join("x.rhai"), source).expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
        let output =
            command.args(args).current_dir(folder.path()).stdin(Stdio::null()).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text + &*String::from_utf8_lossy(&output.stderr))
    };
    assert_eq!(lota(&["run", "x.rhai", "--name", "me"]), (Some(3), "hello me\n".into()));
    let help = lota(&["run", "x.rhai", "--help"]);
    assert!(help.1.starts_with("Greets.\n") && help.1.contains("--name <string>"), "{help:?}");
    assert_eq!(lota(&["eval", "--rhai", "-e", "lota::zeros([2, 3]).shape()[1]"]), (Some(0), "3\n".into()));
    let doc = lota(&["doc", "--rhai", "lota::mask::union"]).1;
    assert!(
        doc.contains("lota::mask::union(a, ...)") && doc.contains("let m = lota::model::init(\"tiny\");"),
        "{doc}"
    );
    assert!(lota(&["types", "--rhai"]).1.contains("fn lota::mask::random(model: Model"), "definitions");
    assert!(lota(&["repl", "--rhai"]).0 == Some(0));
}
