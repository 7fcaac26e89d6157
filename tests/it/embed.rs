//! What a host does with an engine: functions by name, limits, jobs, events.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use lota::api::{Args, Ctx, Map, Primitive, Value};
use lota::runtime::host::Event;
use lota::{Engine, ErrorKind, Language, Limits};

use crate::stopping::job_stops;

fn engine() -> Engine {
    Engine::builder(Language::Lua).build().expect("an engine")
}

#[test]
fn functions_are_called_by_name_with_typed_values() {
    let engine = engine();
    let source = "function join(a, b) return a .. '/' .. b end\n\
        task = { scale = function(list, by) local out = {} for i, x in ipairs(list) do out[i] = x * by end return out end }\n\
        function nothing() end\n\
        function fails() error('on purpose') end";
    engine.run(source, "host.lua").expect("runs");
    let text: String = engine.call("join", ("a", 1)).expect("runs");
    assert_eq!(text, "a/1");
    let scaled: Vec<f64> = engine.call("task.scale", (vec![1.0, 2.5], 2)).expect("runs");
    assert_eq!(scaled, [2.0, 5.0]);
    engine.call::<()>("nothing", ()).expect("runs");
    assert_eq!(engine.call::<Option<i64>>("nothing", ()).expect("runs"), None);
    let error = engine.call::<i64>("join", ("a", "b")).expect_err("text is no number");
    assert_eq!(error.to_string(), "join must give integer, but gave string \"a/b\"");
    let error = engine.call::<()>("absent.f", ()).expect_err("there is none");
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Argument, "the script has no function 'absent.f', but nil".into())
    );
    let error = engine.call::<()>("fails", ()).expect_err("fails");
    assert_eq!(error.to_string(), "host.lua:4: on purpose");
}

#[test]
fn functions_of_rhai_are_called_by_name_too() {
    let engine = Engine::builder(Language::Rhai).build().expect("an engine");
    engine
        .run("fn join(a, b) { a + \"/\" + b }\nfn fails() { throw \"on purpose\" }", "host.rhai")
        .expect("runs");
    engine.run("fn scale(list, by) { list.map(|x| x * by) }", "more.rhai").expect("runs");
    let text: String = engine.call("join", ("a", 1)).expect("runs");
    assert_eq!(text, "a/1");
    let scaled: Vec<f64> = engine.call("scale", (vec![1.0, 2.5], 2.0)).expect("runs");
    assert_eq!(scaled, [2.0, 5.0]);
    for (name, text) in [
        ("absent", "the script has no function 'absent'"),
        ("join", "'join' of the script takes 2 values, not 0"),
    ] {
        let error = engine.call::<()>(name, ()).expect_err("there is none");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Argument, text.into()));
    }
    let error = engine.call::<()>("fails", ()).expect_err("fails");
    assert_eq!(error.to_string(), "host.rhai:2: on purpose");
}

#[test]
fn time_ends_a_script_and_long_work_of_a_primitive() {
    let wait = Primitive::new("wait", "Waits for a cancellation.").call(
        |ctx: &Ctx, _: &mut Args| -> lota::Result<()> {
            loop {
                ctx.host.cancel.check()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        },
    );
    let limits = Limits { time: Some(Duration::from_millis(30)), ..Limits::none() };
    let engine = Engine::builder(Language::Lua).limits(limits).primitive(wait).build().expect("an engine");
    for script in [
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(require('lota').wait) end",
    ] {
        let error = engine.run(script, "x").expect_err("too long");
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Limit, "the script ran longer than the 0.03 s it may run")
        );
        assert!(matches!(engine.run("return 1", "x"), Ok(Value::Int(1))), "the engine goes on");
    }
    assert!(!engine.cancel_handle().is_cancelled());
}

#[test]
fn counts_begin_anew_with_each_call_of_the_host() {
    let limits = Limits { instructions: Some(100_000), output: Some(10), ..Limits::none() };
    let engine = Engine::builder(Language::Lua).limits(limits).build().expect("an engine");
    for _ in 0..5 {
        engine.run("for _ = 1, 20000 do end print('12345678')", "x").expect("below the limits");
    }
    assert_eq!(engine.run("for _ = 1, 200000 do end", "x").expect_err("above").kind(), ErrorKind::Limit);
}

#[test]
fn a_cancel_of_the_host_is_no_limit() {
    let engine = Engine::builder(Language::Lua).limits(Limits::untrusted()).build().expect("an engine");
    let cancel = engine.cancel_handle();
    let job = engine.spawn(|engine| engine.run("while true do pcall(error) end", "x")).expect("starts");
    std::thread::sleep(Duration::from_millis(20));
    cancel.cancel();
    let (engine, result) = job.wait();
    assert_eq!(result.expect_err("cancelled").kind(), ErrorKind::Cancelled);
    assert!(matches!(engine.run("return 2", "x"), Ok(Value::Int(2))));
}

/// Scripts that work inside a primitive, a callback of one, or a library function, for ever.
const DEEP: [(&str, &str); 6] = [
    ("training", "while true do pcall(trainer.step, trainer, batches:next()) end"),
    ("loss", "while true do pcall(slow.step, slow, batches:next()) end"),
    ("scorer", "while true do pcall(lota.values.new, model, function() while true do end end) end"),
    ("pattern", "while true do pcall(string.find, ('a'):rep(30000), ('.-'):rep(50) .. 'b') end"),
    ("sort", "table.sort({ 2, 1 }, function() while true do end end)"),
    ("gsub", "local s = ('a'):gsub('a', function() while true do end end)"),
];

#[test]
fn work_inside_primitives_stops_soon_after_a_cancel() {
    let begin = "lota = require 'lota'\n\
        model = lota.model.init('tiny', { seed = 1 })\n\
        batches = lota.data.batches(lota.data.examples(model, { { prompt = '1+1=', target = '2' } }), { size = 1 })\n\
        trainer = lota.train.new(model, { lr = 1e-3 })\n\
        slow = lota.train.new(lota.model.init('tiny', { seed = 2 }), { lr = 1e-3, loss = function() while true do end end })";
    let mut engine = engine();
    engine.run(begin, "begin.lua").expect("runs");
    for (name, script) in DEEP {
        engine = job_stops(engine, name, script.into(), Duration::from_millis(50));
    }
}

const DEEP_RHAI: [(&str, &str); 4] = [
    ("training", "loop { try { trainer.step(batches.next()); } catch {} }"),
    ("loss", "loop { try { slow.step(batches.next()); } catch {} }"),
    ("sort", "loop { try { let a = [2, 1, 3]; a.sort(|x, y| { loop {} }); } catch {} }"),
    ("map", "loop { try { [1, 2].map(|x| { loop {} }); } catch {} }"),
];

#[test]
fn work_inside_primitives_stops_in_rhai_too() {
    let begin = "let model = lota::model::init(\"tiny\", #{ seed: 1 });\n\
        let batches = lota::data::batches(lota::data::examples(model, [#{ prompt: \"1+1=\", target: \"2\" }]), #{ size: 1 });\n\
        let trainer = lota::train::new(model, #{ lr: 0.001 });\n\
        let slow = lota::train::new(lota::model::init(\"tiny\", #{ seed: 2 }), #{ lr: 0.001, loss: |logp| { loop {} } });";
    let mut engine = Engine::builder(Language::Rhai).build().expect("an engine");
    for (name, script) in DEEP_RHAI {
        let source = format!("{begin}\n{script}");
        engine = job_stops(engine, name, source, Duration::from_millis(300));
    }
    assert!(matches!(engine.run("1", "x"), Ok(Value::Int(1))));
}

#[test]
fn a_job_is_a_future_and_gives_the_engine_back() {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut job = Box::pin(
        engine()
            .spawn(|engine| engine.run("x = 0 for i = 1, 1e6 do x = x + 1 end return x", "x"))
            .expect("starts"),
    );
    let (engine, result) = loop {
        match job.as_mut().poll(&mut context) {
            Poll::Ready(done) => break done,
            Poll::Pending => std::thread::park(),
        }
    };
    assert!(matches!(result, Ok(Value::Int(1_000_000))));
    assert_eq!(
        engine.run("return x", "x").map(|v| v.describe()).expect("the variable is there"),
        "integer 1000000"
    );
}

#[test]
fn a_panic_in_a_job_is_an_error() {
    let job = engine().spawn(|_| -> lota::Result<()> { panic!("on purpose") }).expect("starts");
    let (engine, result) = job.wait();
    let error = result.expect_err("panicked");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Host, "the job panicked: on purpose"));
    assert!(engine.run("return 1", "x").is_ok());
}

#[test]
fn steps_epochs_and_files_are_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Engine::builder(Language::Lua)
        .files(lota::api::Files::roots([folder.path().to_path_buf()]))
        .on_event(move |event| {
            let line = match event {
                Event::Step { step, loss, tokens, .. } => {
                    format!("step {step} {} {}", loss.is_finite(), *tokens > 0)
                }
                Event::Epoch(epoch) => format!("epoch {epoch}"),
                Event::Saved(path) => format!("saved {}", path.file_name().expect("a name").display()),
                _ => return,
            };
            sink.lock().expect("no panic").push(line);
        })
        .build()
        .expect("an engine");
    let script = "local lota = require 'lota'\n\
        local model = lota.model.init('tiny', { seed = 1 })\n\
        local rows = { { prompt = '1+1=', target = '2' }, { prompt = '1+2=', target = '3' } }\n\
        local batches = lota.data.batches(lota.data.examples(model, rows), { size = 2 })\n\
        local trainer = lota.train.new(model, { lr = 1e-3 })\n\
        trainer:fit(batches, { steps = 2 })\n\
        trainer:step(batches:next())\n\
        model:save('out')";
    engine.run(script, "x").expect("runs");
    let told = told.lock().expect("no panic").clone();
    let expected =
        ["step 1 true true", "epoch 1", "step 2 true true", "epoch 2", "step 3 true true", "saved out"];
    assert_eq!(told, expected);
}

#[test]
fn the_globals_of_a_sandbox_are_those_allowed() {
    let engine = engine();
    let script = "local out = {}\n\
        for name, value in pairs(_G) do\n\
            out[#out + 1] = name\n\
            if type(value) == 'table' and value ~= _G then\n\
                for inner in pairs(value) do out[#out + 1] = name .. '.' .. inner end\n\
            end\n\
        end\n\
        table.sort(out)\n\
        return out";
    let Ok(Value::List(names)) = engine.run(script, "x") else { panic!("a list") };
    let names: Vec<String> = names
        .into_iter()
        .map(|v| match v {
            Value::Str(s) => s,
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(names.join(" "), @"_G _VERSION assert collectgarbage coroutine coroutine.close coroutine.create coroutine.isyieldable coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield debug debug.traceback error getmetatable ipairs load math math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.floor math.fmod math.frexp math.huge math.ldexp math.log math.log10 math.max math.maxinteger math.min math.mininteger math.modf math.pi math.pow math.rad math.random math.randomseed math.sin math.sinh math.sqrt math.tan math.tanh math.tointeger math.type math.ult next pairs pcall print rawequal rawget rawlen rawset require select setmetatable string string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match string.pack string.packsize string.rep string.reverse string.sub string.unpack string.upper table table.concat table.insert table.move table.pack table.remove table.sort table.unpack tonumber tostring type utf8 utf8.char utf8.charpattern utf8.codepoint utf8.codes utf8.len utf8.offset xpcall");
}

#[test]
fn maps_are_values_too() {
    let engine = engine();
    engine.run("function swap(m) return { a = m.b, b = m.a } end", "x").expect("runs");
    let swapped: Map = engine.call("swap", (Map::new().with("a", 1).with("b", "two"),)).expect("runs");
    assert_eq!(swapped.get("b").and_then(|v| if let Value::Int(i) = v { Some(*i) } else { None }), Some(1));
}
