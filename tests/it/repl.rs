//! The prompt: sessions as data, completion, Ctrl-C.
//!
//! A file of `tests/repl` is a conversation: after `> ` and `>> ` what is typed, under it what is
//! printed and answered, errors after `! `, and a time after `~ `. `LOTA_UPDATE=1` writes the answers
//! anew.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lota::api::Files;
use lota::runtime::host::Cancel;
use lota::{Engine, Language, Name};
use lota_cli::repl::{LUA, Outcome, RHAI, Session, Syntax, World, complete, signature};

/// A session in Lua whose files are those of a folder, and what it prints.
fn session(folder: &Path, cancel: &Cancel) -> (Session, Arc<Mutex<String>>) {
    session_in(&LUA, folder, cancel)
}

fn session_in(syntax: &'static Syntax, folder: &Path, cancel: &Cancel) -> (Session, Arc<Mutex<String>>) {
    let printed = Arc::new(Mutex::new(String::new()));
    let (sink, folder, cancel) = (printed.clone(), folder.to_path_buf(), cancel.clone());
    let make = move || {
        let sink = sink.clone();
        let output = move |text: &str| sink.lock().expect("no panic while printing").push_str(text);
        let reference = std::env::var_os("LOTA_TEST_REFERENCE").is_some();
        let files = Files::roots([folder.clone()]);
        let builder = Engine::builder(syntax.language).reference(reference).cancel(cancel.clone());
        builder.files(files).output(output).build()
    };
    // Every look at the clock is a quarter of a second after the one before.
    let now = Cell::new(Duration::ZERO);
    let clock = move || now.replace(now.get() + Duration::from_millis(250));
    (Session::new(syntax, make).expect("a session").with_clock(clock), printed)
}

/// What a prompt answers to the inputs of a conversation, as the conversation would be written.
fn replay(syntax: &'static Syntax, conversation: &str, folder: &Path) -> String {
    let (mut session, printed) = session_in(syntax, folder, &Cancel::default());
    let mut out = String::new();
    let mut lines = conversation.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("> ") else {
            if line.starts_with("# ") || (line.is_empty() && out.is_empty()) {
                out += &format!("{line}\n");
            }
            continue;
        };
        out += &format!("> {first}\n");
        let mut reply = session.line(first);
        while let Some(more) = lines.peek().and_then(|l| l.strip_prefix(">>")) {
            lines.next();
            assert_eq!(reply.outcome, Outcome::More, "'{first}' was complete before '{more}'");
            out += &format!(">>{more}\n");
            reply = session.line(more.strip_prefix(' ').unwrap_or(more));
        }
        assert_ne!(reply.outcome, Outcome::More, "'{first}' is not complete");
        out += &std::mem::take(&mut *printed.lock().expect("no panic while printing"));
        let mark = if reply.outcome == Outcome::Failed { "! " } else { "" };
        for line in reply.text.lines() {
            out += format!("{mark}{line}").trim_end();
            out.push('\n');
        }
        if let Some(took) = reply.took {
            out += &format!("~ {} s\n", took.as_secs_f64());
        }
    }
    out
}

#[test]
fn sessions_answer_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/repl");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "session"));
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let written = std::fs::read_to_string(&file).expect("reads");
        let rhai = file.file_name().is_some_and(|name| name == "rhai.session");
        let answered = replay(if rhai { &RHAI } else { &LUA }, &written, scratch.path());
        if std::env::var_os("LOTA_UPDATE").is_some() {
            std::fs::write(&file, answered).expect("writes");
        } else {
            assert!(written == answered, "{}: LOTA_UPDATE=1 writes it anew:\n{answered}", file.display());
        }
    }
}

#[test]
fn a_saved_session_is_a_script_that_does_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut session, printed) = session(folder.path(), &Cancel::default());
    let mut shown = String::new();
    let inputs = [
        "local x = 2 -- two",
        "x * 3 -- six",
        "_ + 1",
        "_1 * 10;",
        "function f()\n  return x, _3\nend",
        "f()",
        "oops(",
        "",
        "",
        "nothing.at.all",
        "do local y = 1 print(y + x) end",
        "local z <const> = {1, 2}",
        "#z, 'a'",
    ];
    for input in inputs {
        let reply = session.line(input);
        shown += &std::mem::take(&mut *printed.lock().expect("no panic"));
        if reply.outcome == Outcome::Done {
            shown += &reply.text;
        }
    }
    assert_eq!(shown, "6\n7\n2\t60\n3\n2\ta\n");
    assert_eq!(
        session.line(":save a.lua").text,
        "a.lua: 10 inputs, 1 of which failed or were stopped; 1 that did not parse left out\n"
    );
    let script = std::fs::read_to_string(folder.path().join("a.lua")).expect("it was written");
    let again = Arc::new(Mutex::new(String::new()));
    let sink = again.clone();
    let output = move |text: &str| sink.lock().expect("no panic").push_str(text);
    let engine = Engine::builder(Language::Lua).output(output).build().expect("an engine");
    engine.run(&script, "a.lua").unwrap_or_else(|e| panic!("{e}\n{script}"));
    assert_eq!(*again.lock().expect("no panic"), shown, "{script}");
    // It may be written over, and nothing else.
    assert_eq!(session.line(":save a.lua").outcome, Outcome::Done);
    std::fs::write(folder.path().join("mine.lua"), "-- mine").expect("writes");
    assert!(session.line(":save mine.lua").text.contains("is no saved session"));
    assert_eq!(std::fs::read_to_string(folder.path().join("mine.lua")).expect("is there"), "-- mine");
}

#[test]
fn a_stop_in_a_training_step_keeps_every_variable() {
    let cancel = Cancel::default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut session, _) = session(folder.path(), &cancel);
    for input in [
        "model = lota.model.builtin()",
        "text = {prompt = ('a b c d '):rep(60), target = ('e f g h '):rep(60)}",
        "examples = lota.data.examples(model:tokenizer(), {text, text}, {max_len = 512})",
        "batch = lota.data.batches(examples, {size = 2, seed = 1}):next()",
        "trainer = lota.train.new(model, {mask = lota.mask.all(model), lr = 1e-3, steps = 10})",
        "before = model:hash()",
        "steps = 0",
    ] {
        let reply = session.line(input);
        assert_eq!(reply.outcome, Outcome::Done, "{input}: {}", reply.text);
    }
    let asks = cancel.clone();
    let asking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        asks.cancel();
    });
    let reply = session.line("while true do pcall(trainer.step, trainer, batch) steps = steps + 1 end");
    asking.join().expect("no panic");
    assert_eq!((reply.outcome, reply.text.as_str()), (Outcome::Failed, "stopped\n"));
    for input in ["assert(model:entries() > 0 and #batch > 0)", "assert(trainer:step(batch).loss > 0)"] {
        let reply = session.line(input);
        assert_eq!(reply.outcome, Outcome::Done, "{input}: {}", reply.text);
    }
    // A stop while nothing runs is not meant for the next input.
    cancel.cancel();
    assert_eq!(session.line("1 + 1").text, "2\n");
}

/// What Tab offers after `before`, `start` included.
fn offered(world: &dyn World, before: &str) -> String {
    let (start, found) = complete(world, before);
    format!("{}[{}]", &before[..start], found.join(" "))
}

#[test]
fn tab_offers_what_can_stand_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    for file in ["data/train.jsonl", "data/helper.lua", "mine.lua", ".hidden"] {
        std::fs::write(folder.path().join(file), "").expect("writes");
    }
    let (mut session, _) = session(folder.path(), &Cancel::default());
    for input in [
        "my_mask = lota.mask.none(lota.model.init('tiny'))",
        "my_table = {first = 1, second = {third = lota.ones({2})}}",
        "union = lota.mask.union",
        "text = 'abc'",
    ] {
        assert_eq!(session.line(input).outcome, Outcome::Done, "{input}");
    }
    for (before, wanted) in [
        // Variables and words.
        ("my_", "[my_mask my_table]"),
        ("x = unti", "x = [until]"),
        ("", "[]"),
        ("-- my_", "-- my_[]"),
        // Fields, areas and methods.
        ("my_table.s", "my_table.[second]"),
        ("my_table.second.third:resh", "my_table.second.third:[reshape]"),
        ("lota.ma", "lota.[markdown mask]"),
        ("lota.mask.un", "lota.mask.[union units]"),
        ("f(my_mask:count(), my_mask:den", "f(my_mask:count(), my_mask:[density]"),
        ("text:up", "text:[upper]"),
        ("('a'):up", "('a'):[upper]"),
        ("my_mask.co", "my_mask.[]"),
        // Results of calls.
        ("lota.model.builtin():tokenizer():dec", "lota.model.builtin():tokenizer():[decode]"),
        ("lota.model.builtin{dtype = 'f32'}:ent", "lota.model.builtin{dtype = 'f32'}:[entries]"),
        ("union(my_mask):jac", "union(my_mask):[jaccard]"),
        ("(lota.ones({2})):sum", "(lota.ones({2})):[sum]"),
        ("lota.ones({2})[1]:ite", "lota.ones({2})[1]:[item]"),
        ("lota.version:up", "lota.version:[upper]"),
        ("unknown:jacc", "unknown:[jaccard]"),
        // Options.
        ("lota.mask.random(m, {de", "lota.mask.random(m, {[density = ]"),
        ("lota.mask.random(m, {density = 0.1, s", "lota.mask.random(m, {density = 0.1, [scope =  seed = ]"),
        ("lota.mask.random(m, {within = my_", "lota.mask.random(m, {within = [my_mask my_table]"),
        ("lota.model.builtin{dt", "lota.model.builtin{[dtype = ]"),
        (
            "adapt.lota(m, task, {cali",
            "adapt.lota(m, task, {[calibrate =  calibration_lr =  calibration_steps = ]",
        ),
        ("adapt.lotto(m, {task}, {density = 0.1, af", "adapt.lotto(m, {task}, {density = 0.1, [after = ]"),
        // Strings.
        ("require 'lota.adapt.lot", "require '[lota.adapt.lota lota.adapt.lotto]"),
        ("require('mi", "require('[mine]"),
        ("require 'data.h", "require '[data.helper]"),
        ("lota.data.read('da", "lota.data.read('[data/]"),
        ("lota.data.read(\"data/t", "lota.data.read(\"data/[train.jsonl]"),
        ("io.open('.h", "io.open('[.hidden]"),
        // Commands.
        (":pl", ":[plot]"),
        (":time my_m", ":time [my_mask]"),
        (":load mi", ":load [mine.lua]"),
        (":set t", ":set [time]"),
        (":doc mask.un", ":doc [mask.union mask.units]"),
        ("?Mask:jac", "?[Mask:jaccard]"),
        ("?adapt.lot", "?[adapt.lota adapt.lotto]"),
    ] {
        assert_eq!(offered(&session, before), wanted);
    }
    let arguments = signature(&session, "x = lota.rng(");
    assert_eq!(arguments.as_deref(), Some("seed)"));
    assert_eq!(signature(&session, "x = unknown("), None);
}

/// A world that speaks Rhai: the registry, and variables that are given.
struct Rhai {
    registry: lota::api::Registry,
    variables: Vec<Name>,
}

impl World for Rhai {
    fn syntax(&self) -> &'static lota_cli::repl::Syntax {
        &RHAI
    }

    fn registry(&self) -> &lota::api::Registry {
        &self.registry
    }

    fn names(&self, path: &[&str]) -> Vec<Name> {
        let name = |name: &str, primitive: Option<&str>| Name {
            name: name.into(),
            ty: if primitive.is_some() { "function" } else { "table" }.into(),
            primitive: primitive.map(str::to_string),
        };
        match path {
            [] => self.variables.iter().cloned().chain([name("lota", None)]).collect(),
            ["lota"] => vec![name("mask", None)],
            ["lota", "mask"] => vec![name("random", Some("mask.random")), name("rows", Some("mask.rows"))],
            _ => Vec::new(),
        }
    }

    fn modules(&self) -> Vec<String> {
        vec!["lota/adapt".into()]
    }

    fn files(&self, _: &str) -> Vec<(String, bool)> {
        vec![("mine.rhai".into(), false), ("mine.lua".into(), false)]
    }
}

#[test]
fn tab_offers_the_same_in_rhai() {
    let mask = Name { name: "my_mask".into(), ty: "Mask".into(), primitive: None };
    let world = Rhai { registry: lota::api::standard(), variables: vec![mask] };
    for (before, wanted) in [
        ("let x = my_", "let x = [my_mask]"),
        ("lota::mask::r", "lota::mask::[random rows]"),
        ("my_mask.jac", "my_mask.[jaccard]"),
        ("lota::mask::random(m).jac", "lota::mask::random(m).[jaccard]"),
        ("lota::mask::random(m, #{den", "lota::mask::random(m, #{[density: ]"),
        ("lota::mask::random(m, #{density: 0.1, sc", "lota::mask::random(m, #{density: 0.1, [scope: ]"),
        ("adapt::lota(m, task, #{dens", "adapt::lota(m, task, #{[density: ]"),
        ("import \"lota/ad", "import \"[lota/adapt]"),
        ("import \"mi", "import \"[mine]"),
        ("// my_", "// my_[]"),
        ("unt", "[until]"),
    ] {
        assert_eq!(offered(&world, before), wanted);
    }
}
