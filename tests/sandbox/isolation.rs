//! Engines in processes of their own: what crosses between host and guest, what the system holds, and how a guest ends.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use lota::api::{Files, FromValue, Map, Object, Primitive, Scripted, Value, show};
use lota::isolation::{Isolation, Process};
use lota::runtime::host::{Cancel, Event};
use lota::{Builder, Engine, Error, ErrorKind, Language, Limits};

type Outcome = Result<(), Failed>;
type Test = fn() -> Outcome;

/// How long after its cause an end may be told, on a machine that has other things to do.
const SOON: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 19] = [
        ("values cross", values_cross),
        ("functions of the guest are called by the host", guest_functions),
        ("objects of the guest go out and back", guest_objects),
        ("primitives, functions and objects of the host", host_things),
        ("a callback inside a callback", nested),
        ("output and events come in order", output_and_events),
        ("errors keep their kind, place and calls", errors),
        ("a prompt", prompt),
        ("what is too large to be sent", too_large),
        ("a cancelled guest can be used again", cancelled),
        ("time", time),
        ("a guest that always has something to say", talks),
        ("a guest that is killed", killed),
        ("memory", memory),
        ("files, programs and processes", confined),
        ("a file that grows too large", file_size),
        ("processor time", processor_time),
        ("programs that are no guests", strangers),
        ("guests beside each other", several),
    ];
    tests.into_iter().map(|(name, test)| Trial::test(format!("isolation: {name}"), test)).collect()
}

fn builder(language: Language) -> Builder {
    with(language, Process::new())
}

fn with(language: Language, process: Process) -> Builder {
    Engine::builder(language).limits(Limits::untrusted()).isolation(Isolation::Process(process))
}

fn lua() -> Result<Engine, Failed> {
    Ok(builder(Language::Lua).build()?)
}

fn refused<T: std::fmt::Debug>(
    result: lota::Result<T>,
    kind: ErrorKind,
    text: &str,
) -> Result<Error, Failed> {
    match result {
        Err(error) if error.kind() == kind && error.to_string().contains(text) => Ok(error),
        Err(error) => Err(format!("expected {kind:?} with {text:?}, got {error:?}").into()),
        Ok(value) => Err(format!("expected {kind:?} with {text:?}, but got {value:?}").into()),
    }
}

fn check(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(what.into()) }
}

fn values_cross() -> Outcome {
    for (language, source) in [
        (
            Language::Lua,
            "function same(x) return x end function all() return {1, 2.5, 'a\\0\u{e9}', {x = true, y = {}}, 1/0} end",
        ),
        (
            Language::Rhai,
            "fn same(x) { x } fn all() { [1, 2.5, \"a\\x00\u{e9}\", #{x: true, y: []}, 1.0/0.0] }",
        ),
    ] {
        let engine = builder(language).build()?;
        engine.run(source, "values")?;
        let all: Value = engine.call("all", ())?;
        let back: Value = engine.call("same", (all.clone(),))?;
        check(show(&all) == show(&back), &format!("{} became {}", show(&all), show(&back)))?;
        let Value::List(items) = all else { return Err("no list".into()) };
        check(matches!(items[4], Value::Float(x) if x.is_infinite()), "an infinity")?;
        check(matches!(&items[2], Value::Str(s) if s == "a\0\u{e9}"), "a text")?;
        let nothing: Value = engine.call("same", (Value::Nil,))?;
        check(nothing.is_nil(), "nothing")?;
    }
    Ok(())
}

fn guest_functions() -> Outcome {
    let engine = lua()?;
    let adder: Value = engine.run("local n = 0 return function(x) n = n + x return n end", "adder")?;
    let Value::Function(adder) = adder else { return Err("no function".into()) };
    adder.call(&[Value::Int(2)])?;
    let sum = i64::from_value(adder.call(&[Value::Int(40)])?).map_err(|_| "no number")?;
    check(sum == 42, "the function keeps its state")?;
    let same: bool = engine
        .run("function is_function(f) return type(f) == 'function' and f(0) == 42 end", "same")
        .and_then(|_| engine.call("is_function", (Value::Function(adder.clone()),)))?;
    check(same, "it comes back as itself")?;
    drop(engine);
    refused(adder.call(&[Value::Int(1)]).map(drop), ErrorKind::Crashed, "build another engine").map(drop)
}

fn guest_objects() -> Outcome {
    let engine = lua()?;
    let tensor = engine.run("return require('lota').tensor{{1, 2}, {3, 4}}", "tensor")?;
    let Value::Object(object) = &tensor else { return Err("no object".into()) };
    check(object.type_name() == "object of a guest", object.type_name())?;
    check(
        object.show().contains("[2, 2]") || object.show().contains("2x2") || object.show().contains("1"),
        &object.show(),
    )?;
    engine.run("function total(t) return t:sum():item() end", "total")?;
    let total: f64 = engine.call("total", (tensor.clone(),))?;
    check(total == 10.0, "it is the same tensor")?;
    // Another guest gets it as a thing of the host, which it can only hand back.
    let other = lua()?;
    other.run("function same(t) return t end function use(t) return t:sum() end", "other")?;
    let back: Value = other.call("same", (tensor.clone(),))?;
    check(matches!(&back, Value::Object(b) if b.same(object)), "it comes back as itself")?;
    refused(
        other.call::<Value>("use", (tensor,)),
        ErrorKind::Argument,
        "object of a guest has no method 'sum'",
    )
    .map(drop)
}

/// A thing of the host.
struct Counter(Mutex<i64>);

impl Scripted for Counter {
    const TYPE: &'static str = "Counter";

    fn show(&self) -> String {
        format!("Counter({})", self.0.lock().map_or(0, |n| *n))
    }
}

fn host_things() -> Outcome {
    for (language, source) in [
        (
            Language::Lua,
            "local lota = require 'lota' local c = lota.desk.counter(5, {step = 2})\n\
             c:add() c:add(10)\n\
             assert(tostring(c) == 'Counter(5)', tostring(c))\n\
             assert(not pcall(lota.desk.counter, 'no'))\n\
             return {c:value(), lota.desk.apply(function(x) return x .. '!' end, 'a'), c}",
        ),
        (
            Language::Rhai,
            "let c = lota::desk::counter(5, #{step: 2});\n\
             c.add(); c.add(10);\n\
             [c.value(), lota::desk::apply(|x| x + \"!\", \"a\"), c]",
        ),
    ] {
        let engine = builder(language)
            .primitive(
                Primitive::new("desk.counter", "A counter.")
                    .arg("start", "integer", "where it starts")
                    .opt("step", "integer", 1, "what it starts with in addition")
                    .returns("Counter", "the counter")
                    .call(|_, args| {
                        let start: i64 = args.get("start")?;
                        let _: i64 = args.get("step")?;
                        Ok(Object::new(Counter(Mutex::new(start))))
                    }),
            )
            .primitive(
                Primitive::method("Counter", "add", "Counts.").arg_or("by", "integer", 1, "how far").call(
                    |_, args| {
                        let by: i64 = args.get("by")?;
                        let counter = args.this::<Counter>()?;
                        if let Ok(mut n) = counter.0.lock() {
                            *n += by;
                        }
                        Ok(())
                    },
                ),
            )
            .primitive(
                Primitive::method("Counter", "value", "Its count.")
                    .returns("integer", "the count")
                    .call(|_, args| Ok(args.this::<Counter>()?.0.lock().map_or(0, |n| *n))),
            )
            .primitive(
                Primitive::new("desk.apply", "Calls a function.")
                    .arg("f", "function", "the function")
                    .arg("x", "any", "what it is given")
                    .returns("any", "what it gives")
                    .call(|_, args| {
                        let f: Arc<dyn lota::api::ScriptFn> = args.get("f")?;
                        let x: Value = args.get("x")?;
                        f.call(&[x])
                    }),
            )
            .build()?;
        let Value::List(items) = engine.run(source, "host")? else { return Err("no list".into()) };
        check(matches!(items[0], Value::Int(16)), &show(&items[0]))?;
        check(matches!(&items[1], Value::Str(s) if s == "a!"), &show(&items[1]))?;
        let Value::Object(counter) = &items[2] else { return Err("no object".into()) };
        check(counter.downcast_ref::<Counter>().is_some(), "the host's own counter comes back")?;
        // What was not offered is not to be had: these are primitives of the guest's engine, not of the host's.
        let error = engine.run(
            if language == Language::Lua {
                "require('lota').desk.counter('x')"
            } else {
                "lota::desk::counter(\"x\")"
            },
            "wrong",
        );
        let error = refused(error, ErrorKind::Argument, "argument 'start' must be")?;
        check(error.primitive() == Some("desk.counter"), "the primitive is named")?;
        check(error.place() == Some("wrong:1"), "the place is named")?;
    }
    Ok(())
}

fn nested() -> Outcome {
    let slot: Arc<Mutex<Option<Arc<Engine>>>> = Arc::default();
    let theirs = slot.clone();
    let engine = builder(Language::Lua)
        .primitive(
            Primitive::new("desk.again", "Calls the guest from inside a call of the guest.")
                .arg("n", "integer", "how often")
                .returns("integer", "the sum")
                .call(move |_, args| {
                    let n: i64 = args.get("n")?;
                    let engine = theirs.lock().ok().and_then(|slot| slot.clone());
                    match engine.filter(|_| n > 0) {
                        Some(engine) => engine.call::<i64>("down", (n - 1,)),
                        None => Ok(0),
                    }
                }),
        )
        .build()?;
    let engine = Arc::new(engine);
    *slot.lock().map_err(|_| "a lock")? = Some(engine.clone());
    engine.run("function down(n) return n + require('lota').desk.again(n) end", "down")?;
    let sum: i64 = engine.call("down", (20,))?;
    slot.lock().map_err(|_| "a lock")?.take();
    check(sum == 210, &format!("{sum}"))
}

fn output_and_events() -> Outcome {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (prints, tells) = (seen.clone(), seen.clone());
    let dir = tempfile::tempdir()?;
    let engine = builder(Language::Lua)
        .files(Files::roots([dir.path().to_path_buf()]))
        .output(move |text| prints.lock().map(|mut s| s.push(text.to_string())).unwrap_or_default())
        .on_event(move |event| {
            if let Event::Saved(path) = event {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
                tells
                    .lock()
                    .map(|mut s| s.push(format!("saved {}", name.unwrap_or_default())))
                    .unwrap_or_default();
            }
        })
        .build()?;
    engine.run(
        "local lota = require 'lota' print('before') \
         lota.model.init('tiny'):save('model') print('after')",
        "order",
    )?;
    let seen = seen.lock().map_err(|_| "a lock")?.clone();
    check(seen == ["before\n", "saved model", "after\n"], &format!("{seen:?}"))?;
    check(dir.path().join("model/config.json").exists(), "the file is there")
}

fn errors() -> Outcome {
    let engine = lua()?;
    let error =
        refused(engine.run("local function f() error('oh') end\nf()", "bad.lua"), ErrorKind::Runtime, "oh")?;
    check(error.place() == Some("bad.lua:1"), &format!("{:?}", error.place()))?;
    check(error.traceback().is_some_and(|t| t.contains("bad.lua:2")), "the calls are told")?;
    refused(engine.run("x = = 1", "bad.lua"), ErrorKind::Syntax, "bad.lua:1")?;
    refused(engine.run("while true do end", "endless").map(drop), ErrorKind::Limit, "instructions")?;
    refused(
        engine.run("require('lota').data.read('/etc/passwd')", "far").map(drop),
        ErrorKind::Denied,
        "granted no files",
    )?;
    check(matches!(engine.run("return 1 + 1", "after")?, Value::Int(2)), "the engine goes on")
}

fn prompt() -> Outcome {
    for language in [Language::Lua, Language::Rhai] {
        let engine = builder(language).build()?;
        engine.open_prompt()?;
        let line = if language == Language::Lua { "local answer = 42" } else { "let answer = 42;" };
        engine.eval(line)?;
        let values = engine.eval("answer + 1")?;
        check(values.len() == 1 && matches!(values[0], Value::Int(43)), "a variable stays")?;
        check(engine.names(&[]).iter().any(|name| name.name == "answer"), "its name is known")?;
        let half = if language == Language::Lua { "if x then" } else { "if true {" };
        let error = engine.check(half).err().ok_or("it parses")?;
        check(error.is_incomplete(), "more input could complete it")?;
        engine.forget(&["answer".to_string()]);
        check(!engine.names(&[]).iter().any(|name| name.name == "answer"), "it is forgotten")?;
    }
    Ok(())
}

fn too_large() -> Outcome {
    let engine = with(Language::Lua, Process::new().message(100_000)).build()?;
    refused(
        engine.run("return ('x'):rep(200000)", "long").map(drop),
        ErrorKind::Limit,
        "a message may have 100000",
    )?;
    refused(
        engine.call::<Value>("f", ("x".repeat(200_000),)),
        ErrorKind::Argument,
        "a message may have 100000",
    )?;
    let printed = Arc::new(Mutex::new(String::new()));
    let theirs = printed.clone();
    let engine = with(Language::Lua, Process::new().message(10_000))
        .output(move |text| theirs.lock().map(|mut s| s.push_str(text)).unwrap_or_default())
        .build()?;
    engine.run("print(('\u{e9}'):rep(20000))", "long")?;
    let printed = printed.lock().map_err(|_| "a lock")?.clone();
    check(printed == "\u{e9}".repeat(20_000) + "\n", "a long text is printed in pieces")
}

fn cancelled() -> Outcome {
    for (language, source) in [(Language::Lua, "while true do end"), (Language::Rhai, "loop { }")] {
        let cancel = Cancel::default();
        let limits = Limits { instructions: None, ..Limits::untrusted() };
        let engine = builder(language).limits(limits).cancel(cancel.clone()).build()?;
        let thrower = cancel.clone();
        let thrown = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            thrower.cancel();
            Instant::now()
        });
        refused(engine.run(source, "endless"), ErrorKind::Cancelled, "")?;
        let thrown = thrown.join().map_err(|_| "the thread")?;
        check(thrown.elapsed() < SOON, &format!("it took {:?}", thrown.elapsed()))?;
        cancel.reset();
        let after = if language == Language::Lua { "return 2" } else { "2" };
        check(matches!(engine.run(after, "after")?, Value::Int(2)), "it can be used again")?;
    }
    Ok(())
}

fn time() -> Outcome {
    let limits = Limits { time: Some(Duration::from_millis(200)), instructions: None, ..Limits::untrusted() };
    let engine = builder(Language::Lua).limits(limits.clone()).build()?;
    let start = Instant::now();
    refused(engine.run("while true do end", "endless"), ErrorKind::Limit, "0.2 s")?;
    check(start.elapsed() < Duration::from_millis(200) + SOON, &format!("it took {:?}", start.elapsed()))?;
    check(
        matches!(engine.run("return 2", "after")?, Value::Int(2)),
        "a guest that stops by itself can be used again",
    )?;
    // One that does not: a stopped process looks at no clock.
    let engine = stopped(builder(Language::Lua).limits(limits), "SIGSTOP")?;
    let start = Instant::now();
    refused(engine.run("return 1", "stopped"), ErrorKind::Limit, "its process was ended")?;
    check(start.elapsed() < Duration::from_millis(200) + SOON, &format!("it took {:?}", start.elapsed()))?;
    refused(engine.run("return 1", "gone"), ErrorKind::Crashed, "build another engine").map(drop)
}

fn talks() -> Outcome {
    let limits = Limits {
        time: Some(Duration::from_millis(300)),
        instructions: None,
        output: None,
        ..Limits::untrusted()
    };
    // The host's own primitive is slow to answer, so that the guest is never waited for.
    let builder = builder(Language::Lua).limits(limits);
    let engine = builder.output(|_| std::thread::sleep(Duration::from_micros(200))).build()?;
    let start = Instant::now();
    refused(engine.run("while true do print('more') end", "talk"), ErrorKind::Limit, "0.3 s")?;
    check(start.elapsed() < Duration::from_millis(300) + SOON, &format!("it took {:?}", start.elapsed()))
}

/// The processes that this one started.
fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn signal(pid: u32, name: &str) -> Outcome {
    let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    check(sent.success(), "kill")
}

/// An engine whose process got a signal. The function that says its number is one of the host.
fn stopped(builder: Builder, name: &str) -> Result<Engine, Failed> {
    let (engine, pid) = with_pid(builder)?;
    signal(pid, name)?;
    Ok(engine)
}

fn with_pid(builder: Builder) -> Result<(Engine, u32), Failed> {
    let engine = builder.build()?;
    let pid = engine.process_id().ok_or("it has no process")?;
    check(children().contains(&pid), "it is a process of this one")?;
    Ok((engine, pid))
}

fn killed() -> Outcome {
    for (name, kind, text) in [
        ("KILL", ErrorKind::Crashed, "SIGKILL"),
        ("SEGV", ErrorKind::Crashed, "SIGSEGV"),
        ("ABRT", ErrorKind::Crashed, "SIGABRT"),
        ("BUS", ErrorKind::Crashed, "SIGBUS"),
        ("TERM", ErrorKind::Crashed, "SIGTERM"),
        ("XCPU", ErrorKind::Limit, "processor time"),
        ("SYS", ErrorKind::Crashed, "not allowed"),
    ] {
        let limits = Limits { instructions: None, ..Limits::untrusted() };
        let (engine, pid) = with_pid(builder(Language::Lua).limits(limits))?;
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            // The first of a fault that did not happen is taken for a stack that overflowed, and the second is answered.
            let sent = signal(pid, name);
            if matches!(name, "SEGV" | "BUS") {
                std::thread::sleep(Duration::from_millis(100));
                drop(signal(pid, name));
            }
            (sent, Instant::now())
        });
        refused(engine.run("while true do end", "endless"), kind, text)?;
        let (sent, at) = sender.join().map_err(|_| "the thread")?;
        sent?;
        check(at.elapsed() < SOON, &format!("{name}: it took {:?}", at.elapsed()))?;
        refused(engine.run("return 1", "gone"), ErrorKind::Crashed, "build another engine")?;
        check(!children().contains(&pid), "no zombie stays")?;
    }
    check(matches!(lua()?.run("return 2", "new")?, Value::Int(2)), "another can be built")
}

fn memory() -> Outcome {
    // The limits of the engine are lifted: the system's alone hold.
    let unlimited = || Limits { time: Some(Duration::from_secs(60)), ..Limits::none() };
    for (language, source) in [
        (Language::Lua, "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end"),
        (
            Language::Lua,
            "local l, t = require 'lota', {} for i = 1, 1e6 do t[i] = l.ones{1000, 1000} + i end",
        ),
        (
            Language::Rhai,
            "fn hold(n) { let b = blob(1000000, 1); if n > 0 { hold(n - 1) } else { lota::zeros([1000000000]) } } hold(50)",
        ),
    ] {
        let process = Process::new().memory(256 << 20);
        let engine = with(language, process).limits(unlimited()).build()?;
        let result = engine.run(source, "greedy");
        let error = refused(result, ErrorKind::Limit, "memory")?;
        check(!error.to_string().is_empty(), "it is told")?;
    }
    Ok(())
}

fn confined() -> Outcome {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    std::fs::create_dir(&root)?;
    std::fs::write(dir.path().join("secret"), "secret")?;
    std::fs::write(root.join("mine"), "mine")?;
    // The libraries of the language are there, so that the system alone says no.
    let engine = builder(Language::Lua).files(Files::roots([root.clone()])).open(true).build()?;
    let in_force = engine.in_force().ok_or("it has no process")?.clone();
    let run = |source: String| engine.run(&source, "probe").map(|value| show(&value));
    let inside = run(format!("return io.open('{}'):read('a')", root.join("mine").display()))?;
    check(inside.contains("mine"), &inside)?;
    if in_force.landlock.is_some() {
        for path in
            [dir.path().join("secret").as_path(), "/etc/passwd".as_ref(), "/proc/self/environ".as_ref()]
        {
            let told = run(format!("return select(2, io.open('{}'))", path.display()))?;
            check(told.contains("Permission denied"), &told)?;
        }
        let told = run(format!("return select(2, io.open('{}', 'w'))", dir.path().join("new").display()))?;
        check(told.contains("Permission denied") && !dir.path().join("new").exists(), &told)?;
    }
    if in_force.seccomp {
        let told = run(format!("return tostring(os.execute('touch {}'))", root.join("touched").display()))?;
        check(!root.join("touched").exists(), &told)?;
        let told = engine.run("return io.popen('id'):read('a')", "probe");
        check(told.is_err() || told.is_ok_and(|v| !show(&v).contains("uid")), "no program is run")?;
    }
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    check(in_force.seccomp, "this system has seccomp")?;
    let environment = run("return tostring(os.getenv('PATH')) .. tostring(os.getenv('HOME'))".into())?;
    check(environment.contains("nilnil"), &environment)
}

fn processor_time() -> Outcome {
    let engine = with(Language::Lua, Process::new().processor_time(Duration::from_millis(1))).build()?;
    refused(engine.run("while true do end", "busy"), ErrorKind::Limit, "more processor time than")?;
    Ok(())
}

fn file_size() -> Outcome {
    let dir = tempfile::tempdir()?;
    let engine = with(Language::Lua, Process::new().file_size(100 << 10))
        .files(Files::roots([dir.path().to_path_buf()]))
        .build()?;
    let saved = engine.run("require('lota').model.init('tiny'):save('model')", "large");
    refused(saved, ErrorKind::Runtime, "too large")?;
    let left: Vec<_> = std::fs::read_dir(dir.path())?.flatten().map(|e| e.file_name()).collect();
    check(left.is_empty(), &format!("{left:?} is left"))?;
    check(matches!(engine.run("return 2", "after")?, Value::Int(2)), "the engine goes on")
}

fn strangers() -> Outcome {
    let dir = tempfile::tempdir()?;
    let program = |name: &str, text: &str| -> Result<Builder, Failed> {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(with(Language::Lua, Process::new().program(path)))
    };
    let built = |builder: Builder| builder.build().map(|_| ());
    refused(built(program("gone", "exit 3")?), ErrorKind::Crashed, "with code 3")?;
    refused(built(program("talks", "echo 'cannot begin' >&2; exit 1")?), ErrorKind::Crashed, "cannot begin")?;
    refused(
        built(program("huge", "printf '\\377\\377\\377\\377' >&0; sleep 5")?),
        ErrorKind::Crashed,
        "a message of 4294967295 bytes",
    )?;
    refused(
        built(program("nonsense", "printf '\\005\\000\\000\\000hello' >&0; sleep 5")?),
        ErrorKind::Crashed,
        "it sent",
    )?;
    let missing = with(Language::Lua, Process::new().program(dir.path().join("missing")));
    refused(built(missing), ErrorKind::Host, "missing").map(drop)
}

fn several() -> Outcome {
    let threads: Vec<_> = (0..4)
        .map(|n: i64| {
            std::thread::spawn(move || -> Result<i64, String> {
                let engine = builder(Language::Lua).build().map_err(|e| e.to_string())?;
                engine
                    .run("total = 0 function add(x) total = total + x return total end", "add")
                    .map_err(|e| e.to_string())?;
                (1..=50).try_fold(0, |_, x| engine.call("add", (x * n,)).map_err(|e| e.to_string()))
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        let sum = thread.join().map_err(|_| "a thread panicked")??;
        check(sum == 1275 * n as i64, &format!("{sum}"))?;
    }
    let map = Map::new().with("x", 1);
    let engine = lua()?;
    let job = engine.spawn(move |engine| {
        engine.run("function x(m) return m.x end", "x")?;
        engine.call::<i64>("x", (map,))
    })?;
    let (_, result) = job.wait();
    check(result? == 1, "an engine on a thread of its own")
}
