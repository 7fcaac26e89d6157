//! The program: help, errors, documentation, exit codes.

use std::process::{Command, Output, Stdio};

fn lota(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(args).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a script in a folder of its own, so that messages name a bare file.
fn script(source: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("script.lua"), source).expect("writes");
    Command::new(env!("CARGO_BIN_EXE_lota"))
        .args(["run", "script.lua"])
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

#[test]
fn the_version_is_printed() {
    assert_eq!(text(&lota(&["--version"]).stdout), format!("lota {}\n", lota::VERSION));
}

#[test]
fn help_lists_every_command_and_common_option() {
    let help = text(&lota(&["--help"]).stdout);
    for word in ["demo", "run", "scripts", "new", "eval", "repl", "doc", "types", "model", "ticket", "health"]
    {
        assert!(help.contains(&format!("\n  {word} ")), "{word} is missing:\n{help}");
    }
    for option in ["--device", "--threads", "--quiet", "--progress", "--reference"] {
        assert!(help.contains(option), "{option} is missing");
    }
    assert!(text(&lota(&["run", "--help"]).stdout).contains("lota run FILE"));
}

#[test]
fn a_scripts_options_are_read_and_its_help_is_its_own() {
    let source = "local args = require('lota').args{rate = {0.5, 'how fast'}, name = {'x', 'a name'}}\n\
        print(args.rate, args.name)";
    assert_eq!(text(&script(source, &[]).stdout), "0.5\tx\n");
    assert_eq!(
        text(&script(source, &["--rate", "2.5", "--name=y", "--threads", "1", "--quiet"]).stdout),
        "2.5\ty\n"
    );
    let help = script(source, &["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    assert!(help.contains("--rate") && help.contains("how fast"), "{help}");
    assert!(help.contains("--device") && help.starts_with("Usage: lota run script.lua "), "{help}");
    let wrong = script(source, &["--raet", "1"]);
    assert_eq!(wrong.status.code(), Some(1));
    // The command line is wrong, not the script: no line of it is shown.
    assert_eq!(
        text(&wrong.stderr),
        "error: unknown option '--raet'; did you mean 'rate'? (--help lists the options)\n"
    );
    let described = script(&format!("--- Rates things.\n{source}"), &["--help"]);
    assert!(text(&described.stdout).starts_with("Rates things.\n\nUsage: "), "{}", text(&described.stdout));
}

#[test]
fn options_of_a_script_that_declares_none_are_not_ignored() {
    let wrong = script("print 'ran'", &["--rate", "1"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), String::new()));
    assert!(text(&wrong.stderr).contains("declares no options"), "{}", text(&wrong.stderr));
    let help = script("print 'ran'", &["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("declares no options"));
}

#[test]
fn misused_operators_say_what_there_is() {
    let error =
        |source: &str| text(&script(source, &[]).stderr).lines().next().unwrap_or_default().to_string();
    let with = |line: &str| error(&format!("local x = require('lota').tensor{{1, 2}}\nlocal y = {line}"));
    assert_eq!(
        with("x < x"),
        "error: script.lua:2: Tensor has no operator '<'; a:lt(b) compares element by element"
    );
    assert_eq!(with("x // 2"), "error: script.lua:2: Tensor has no operator '//'; write (a / b):floor()");
    assert_eq!(
        with("x + require('lota').tensor{1, 2, 3}"),
        "error: script.lua:2: Tensor:add: the shapes {2} and {3} do not fit together"
    );
    let caught = "print(select(2, pcall(x.reshape, x, {5})))";
    let out = script(&format!("local x = require('lota').tensor{{1, 2}}\n{caught}"), &[]);
    assert!(text(&out.stdout).starts_with("script.lua:2: Tensor:reshape: "), "{}", text(&out.stdout));
}

#[test]
fn modules_are_documented_and_models_shown_and_converted() {
    let source = text(&lota(&["doc", "--source", "adapt.lotto"]).stdout);
    assert_eq!(source, include_str!("../../stdlib/adapt/lotto.lua"));
    let source = text(&lota(&["doc", "--source", "--rhai", "adapt.lotto"]).stdout);
    assert_eq!(source, include_str!("../../stdlib/adapt/lotto.rhai"));
    let none = lota(&["doc", "--source", "adapt.loto"]);
    assert!(text(&none.stderr).contains("'adapt.loto' is no module of the standard library"), "{none:?}");
    let module = text(&lota(&["doc", "adapt.lotto"]).stdout);
    assert!(module.starts_with("require \"lota.adapt.lotto\"\n    LoTTO, "), "{module}");
    let rhai = text(&lota(&["doc", "--rhai", "tasks"]).stdout);
    assert!(rhai.starts_with("import \"lota/tasks\"\n") && rhai.contains("tasks::open(\"sort\")"), "{rhai}");
    assert!(text(&lota(&["doc", "--rhai", "adapt.lora"]).stdout).contains("\n    rank "));
    assert_eq!(text(&lota(&["doc", "tensor:MATMUL"]).stdout), text(&lota(&["doc", "Tensor:matmul"]).stdout));
    assert!(text(&lota(&["doc", "all"]).stdout).contains("\n    lota.adapt.lota "));
    let info = text(&lota(&["model", "info", "builtin"]).stdout);
    assert!(info.contains("attention: 16 parameters, 262144 entries\n"), "{info}");
    assert!(info.contains("heads          4 for queries, 4 for keys and values, of 32\n"), "{info}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("converted").to_string_lossy().into_owned();
    let told = text(&lota(&["model", "convert", "builtin", &out, "--dtype", "f16"]).stdout);
    let files: Vec<&str> = told.lines().collect();
    assert!(files.len() >= 4 && files.iter().all(|f| std::path::Path::new(f).is_file()), "{told}");
    let refused = lota(&["model", "convert", "builtin", &out]);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("holds a model already") && said.contains("give --replace"), "{said}");
    assert!(lota(&["model", "convert", "builtin", &out, "--replace"]).status.success());
    let shown = text(&lota(&["model", "info", "builtin", "--fingerprint"]).stdout);
    assert!(shown.lines().any(|line| line.starts_with("fingerprint ") && line.len() == 79), "{shown}");
}

#[test]
fn an_error_names_the_line_and_shows_it() {
    let out = script("local lota = require 'lota'\nlocal x = lota.zeros({2}, {dtpye = 'f32'})\n", &[]);
    assert_eq!(out.status.code(), Some(1));
    insta::assert_snapshot!(text(&out.stderr), @r"
    error: script.lua:2: zeros: unknown option 'dtpye'; did you mean 'dtype'?
         2 | local x = lota.zeros({2}, {dtpye = 'f32'})
    ");
}

#[test]
fn a_deeper_error_tells_who_called() {
    let source = "local function inner(x)\n  return x.field\nend\nlocal function outer()\n  local y = inner(nil)\n  return y\nend\nouter()\n";
    let out = script(source, &[]);
    insta::assert_snapshot!(text(&out.stderr), @r"
    error: script.lua:2: attempt to index a nil value (local 'x')
         2 |   return x.field
    called from:
        script.lua:2: in upvalue 'inner'
        script.lua:5: in local 'outer'
        script.lua:8: in main chunk
    ");
}

#[test]
fn an_error_inside_a_callback_tells_who_called_the_primitive() {
    let source = "local lota = require 'lota'\nlocal m = lota.model.init('tiny', {seed = 1})\n\
        local function score(name, w)\n  return w.x\nend\n\
        local function all()\n  local s = lota.values.new(m, score)\n  return s\nend\nall()\n";
    let told = text(&script(source, &[]).stderr);
    let begin = "error: script.lua:4: Tensor has no method 'x'; did you mean 't'?\n     4 |   return w.x\ncalled from:\n";
    let frames = told.strip_prefix(begin).unwrap_or_else(|| panic!("{told}"));
    let lines: Vec<&str> = frames.lines().filter_map(|l| l.trim().strip_prefix("script.lua:")).collect();
    let lines: Vec<&str> = lines.iter().filter_map(|l| l.split(':').next()).collect();
    assert_eq!(lines, ["4", "7", "10"], "{told}");
}

#[test]
fn a_script_that_does_not_parse_is_refused_with_its_line() {
    let out = script("local x = = 3\n", &[]);
    insta::assert_snapshot!(text(&out.stderr), @r"
    error: script.lua:1: unexpected symbol near '='
         1 | local x = = 3
    ");
}

#[test]
fn exit_codes_are_the_scripts() {
    assert_eq!(script("os.exit(3)", &[]).status.code(), Some(3));
    assert_eq!(script("pcall(os.exit, 4)", &[]).status.code(), Some(4));
    assert_eq!(script("error 'x'", &[]).status.code(), Some(1));
    assert_eq!(lota(&["run"]).status.code(), Some(2));
    assert_eq!(text(&lota(&["run", "nowhere.lua"]).stderr).lines().count(), 1);
}

#[test]
fn expressions_are_evaluated() {
    assert_eq!(text(&lota(&["eval", "-e", "1 + 1, 'a', {1, {b = 2}}"]).stdout), "2\ta\t{1, {b = 2}}\n");
    assert_eq!(text(&lota(&["eval", "-e", "lota.tensor({1, 2}):sum():item()"]).stdout), "3\n");
    assert!(text(&lota(&["eval", "-e", "for i = 1, 2 do"]).stderr).contains("not complete"));
}

#[test]
fn what_a_script_writes_comes_in_its_order_and_bytes_that_are_no_text_are_shown() {
    let out = script(r"io.write 'a\n' print 'b' io.write 'c\n' print 'x\xffy'", &[]);
    assert_eq!(text(&out.stdout), "a\nb\nc\nx\u{fffd}y\n", "{}", text(&out.stderr));
}

#[test]
fn documentation_comes_from_the_registry() {
    let one = text(&lota(&["doc", "rng"]).stdout);
    insta::assert_snapshot!(one, @r"
    lota.rng(seed)
        A random generator.

    arguments:
        seed             integer: the seed

    returns:
        Rng: the generator

    example:
        assert(lota.rng(7):uniform() == lota.rng(7):uniform())
    ");
    assert_eq!(text(&lota(&["doc", "lota.rng"]).stdout), one);
    assert!(text(&lota(&["doc", "Tensor"]).stdout).contains("Tensor:matmul"));
    assert!(text(&lota(&["doc", "all"]).stdout).lines().count() > 50);
    let unknown = lota(&["doc", "tensro"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stderr), "error: nothing is called 'tensro'; did you mean 'tensor'?\n");
    assert!(text(&lota(&["types"]).stdout).contains("function Tensor:matmul(other) end"));
}

#[test]
fn pages_are_found_by_the_end_of_their_name_and_scripts_by_theirs() {
    let doc = |name: &str| lota(&["doc", name]);
    assert_eq!(text(&doc("lotto").stdout), text(&doc("adapt.lotto").stdout));
    assert_eq!(text(&doc("curves").stdout), text(&doc("report.curves").stdout));
    let several = text(&doc("random").stdout);
    for name in ["mask.random", "adapt.random", "scores.random"] {
        assert!(several.contains(&format!("    {name} ")), "{several}");
    }
    let script = text(&doc("lota:lota").stdout);
    assert!(script.starts_with("lota:lota, a built-in script\n    LoTA and LoTTO on two tasks"), "{script}");
    assert!(script.ends_with("`lota run lota:lota --help` lists its options.\n"), "{script}");
    assert_eq!(
        text(&doc("lota:mrege").stderr),
        "error: nothing is called 'lota:mrege'; did you mean 'lota:merge'?\n"
    );
    assert!(text(&doc("report.curvs").stderr).contains("did you mean 'report.curves'?"));
    let table = text(&doc("cl.table").stdout);
    assert!(table.starts_with("cl.table(results), of require \"lota.cl\"\n"), "{table}");
    assert!(text(&doc("cl").stdout).contains("\n    cl.table "));
    assert!(text(&doc("cl.tabel").stderr).contains("did you mean 'cl.table'?"));
}

#[test]
fn pages_in_rhai_are_of_rhai_or_say_on_top_that_they_are_not() {
    let doc = |name: &str| text(&lota(&["doc", "--rhai", name]).stdout);
    let spread = doc("report.spread");
    assert!(
        spread.starts_with(
            "report::spread(values, style) and report::spread(values), of import \"lota/report\"\n    \"mean ± sd\""
        ),
        "{spread}"
    );
    assert!(
        doc("cl.table").starts_with("cl::table(results), of import \"lota/cl\"\n"),
        "{}",
        doc("cl.table")
    );
    for (name, module, page) in [
        ("adapt.agem", "lota.adapt.agem", "require \"lota.adapt.agem\"\n"),
        ("sweep", "lota.sweep", "require \"lota.sweep\"\n"),
        ("report.write", "lota.report", "report.write("),
    ] {
        let shown = doc(name);
        let top =
            format!("Rhai has no '{name}'; this is the page of Lua's, in `require \"{module}\"`:\n\n{page}");
        assert!(shown.starts_with(&top), "{shown}");
    }
    for name in ["adapt.lora", "tasks", "mask.union", "report.spread"] {
        assert!(!doc(name).contains("Rhai has no"), "{}", doc(name));
    }
}

#[test]
fn a_script_in_the_place_of_a_command_is_answered_with_run() {
    for word in ["first.lua", "x.rhai", "lota:merge"] {
        let out = lota(&[word, "--steps", "3"]);
        assert_eq!(out.status.code(), Some(2));
        let told = format!("error: '{word}' is no command; did you mean `lota run {word}`?\n");
        assert_eq!(text(&out.stderr), told);
    }
    assert!(text(&lota(&["runn"]).stderr).contains("unrecognized subcommand"));
}

#[test]
fn an_unknown_device_is_refused() {
    let out = text(&lota(&["--device", "gpu", "eval", "-e", "1"]).stderr);
    assert_eq!(out, "error: unknown device 'gpu'; known are cpu, cuda:N and metal\n");
    if cfg!(not(feature = "cuda")) {
        let out = text(&lota(&["--device", "cuda:0", "eval", "-e", "1"]).stderr);
        assert!(out.contains("built without cuda; build it with --features cuda"), "{out}");
    }
}

#[test]
fn the_prompt_reads_lines_without_a_terminal() {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_lota"))
        .arg("repl")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = b"local x = 2\nx * 3\nfor i = 1, 2 do\nprint(i)\nend\nx.y.z\n:quit\nprint 'not reached'\n";
    child.stdin.take().expect("a pipe").write_all(lines).expect("writes");
    let out = child.wait_with_output().expect("ends");
    assert_eq!(text(&out.stdout), "6\n1\n2\n");
    // The error is told by its line of the pipe.
    assert!(text(&out.stderr).starts_with("error: input:6: attempt to index a"), "{}", text(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "an input failed");
}

/// What a prompt says to the lines of a pipe: its output, its errors, and its exit code.
fn piped(words: &[&str], lines: &str) -> (String, String, Option<i32>) {
    piped_bytes(words, lines.as_bytes())
}

fn piped_bytes(words: &[&str], lines: &[u8]) -> (String, String, Option<i32>) {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    let command = command.arg("repl").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(lines).expect("writes");
    let out = child.wait_with_output().expect("ends");
    (text(&out.stdout), text(&out.stderr), out.status.code())
}

#[test]
fn a_piped_line_that_is_not_text_is_told_and_the_rest_goes_on() {
    for (language, print) in [(&[][..], "print"), (&["--rhai"][..], "print")] {
        let mut lines = b"1 + 1\n\"caf\xe9\"\n2 + 2\r\n".to_vec();
        let (out, err, code) = piped_bytes(language, &lines);
        assert_eq!((out.as_str(), code), ("2\n4\n", Some(1)), "{err}");
        assert_eq!(err, "error: input:2: not UTF-8 text; the line is left out\n");
        // What was open before it goes with it, and the lines are counted on.
        lines.extend(format!("{print}(\n\"\u{e9}\"\n").into_bytes());
        lines.extend(b"\xff)\n");
        lines.extend(b"nowhere()\n");
        let (out, err, _) = piped_bytes(language, &lines);
        assert_eq!(out, "2\n4\n");
        assert!(
            err.contains(
                "error: input:6: not UTF-8 text; the line is left out, with what of its input came before\n"
            ),
            "{err}"
        );
        assert!(err.contains("error: input:7: "), "{err}");
    }
}

#[test]
fn an_error_of_the_system_names_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = folder.path().join("nowhere");
    for words in [
        &["run", "nowhere.lua"][..],
        &["run", "nowhere.rhai"],
        &["model", "info", "./nowhere"],
        &["ticket", "info", "nowhere.lota"],
        &["lora", "info", "./nowhere"],
        &["merge", "nowhere.yml", "out"],
        &["new", "nowhere/study"],
        &["doc", "--markdown", "file/nowhere"],
        &["bench", "step", "nowhere.json"],
        &["bench", "step", "nowhere/model"],
        &["bench", "select", "--scores", "nowhere.safetensors"],
        &["eval", "require('lota').data.read('nowhere.jsonl')"],
        &["eval", "require('lota').model.load('./nowhere')"],
        &["eval", "require('lota').lora.load('./nowhere')"],
        &["eval", "require('lota').tokenizer.load('./nowhere')"],
        &["eval", "require('lota').data.padded('nowhere.safetensors')"],
        &["eval", "require('lota').plot.lines({a = {1}}, {path = 'file/nowhere.svg'})"],
        &["eval", "require('lota').run.start('file/nowhere')"],
    ] {
        std::fs::write(folder.path().join("file"), "no folder").expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
        let out = command.args(words).current_dir(&folder).stdin(Stdio::null()).output().expect("runs");
        let told = text(&out.stderr);
        assert!(!out.status.success(), "{words:?}");
        let named = told.contains("nowhere") || told.contains("file: ");
        assert!(named, "{words:?}: {told}");
        assert!(!nowhere.exists());
    }
}

#[test]
fn a_piped_prompt_ends_as_its_lines_say_and_names_them_in_errors() {
    let (_, told, _) = piped(&[], "x = 1\n:foo\n?nothing.here\n");
    assert!(
        told.contains("error: input:2: ") && told.contains("error: input:3: nothing is called"),
        "{told}"
    );
    assert_eq!(piped(&[], "1 + 1\n"), ("2\n".into(), String::new(), Some(0)));
    assert_eq!(piped(&[], "os.exit(3)\n").2, Some(3));
    assert_eq!(piped(&[], "error 'x'\nos.exit(0)\n").2, Some(1), "a failure is not undone");
    let (out, err, code) = piped(&["--rhai"], "let x = 1;\n\nx +\n  y\nx");
    assert_eq!((out.as_str(), code), ("1\n", Some(1)));
    assert_eq!(err, "error: input:4: there is no variable 'y'\n");
    let (_, err, _) = piped(&[], "function f()\n  return nil + 1\nend\n\nlocal x = = 1\nf()\n");
    insta::assert_snapshot!(err, @r"
    error: input:5: unexpected symbol near '='
    error: input:2: attempt to perform arithmetic on a nil value
    ");
}

#[test]
fn a_saved_session_that_shows_a_file_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let saved = folder.path().join("saved.lua").to_string_lossy().into_owned();
    let (out, err, code) = piped(&[], &format!("io.write('')\n:save {saved}\nlota.zeros(io.stdout)\n"));
    assert!(out.starts_with("file (0x"), "{out}");
    assert!(err.contains("argument 'shape' must be") && err.contains("got userdata"), "{err}");
    assert_eq!(code, Some(1), "what needs a shape takes no file");
    let ran = lota(&["run", &saved]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).starts_with("file (0x"), "{}", text(&ran.stdout));
}

#[test]
fn exit_and_quit_leave_the_prompt() {
    for word in ["exit", "exit()", "quit", "quit();"] {
        for language in [&[][..], &["--rhai"]] {
            let said = piped(language, &format!("{word}\nprint(\"not reached\")\n"));
            assert_eq!(said, (String::new(), String::new(), Some(0)), "{word}");
        }
    }
    // A variable of the user's own is what it is.
    assert_eq!(piped(&[], "quit = 5\nquit\n").0, "5\n");
}

#[test]
fn habits_of_python_are_answered_where_they_do_not_parse() {
    let run = |line: &str| text(&script(line, &[]).stderr).lines().next().unwrap_or_default().to_string();
    let typed = |line: &str| piped(&[], &format!("{line}\n")).1;
    let mut told = String::new();
    for line in [
        "import lota",
        "x = 1 # one",
        "if x != 1 then end",
        "x += 1",
        "print(sep='')",
        "x = None )",
        "None.x = 1",
    ] {
        told += &format!("{line}\n  {}\n  {}\n", run(line), typed(line).lines().next().unwrap_or_default());
    }
    insta::assert_snapshot!(told, @r#"
    import lota
      error: script.lua:1: syntax error near 'lota'; a module is loaded by `local name = require "name"`
      error: input:1: syntax error near 'lota'; a module is loaded by `local name = require "name"`
    x = 1 # one
      error: script.lua:1: unexpected symbol near '#'; a comment begins with `--`
      error: input:1: unexpected symbol near '#'; a comment begins with `--`
    if x != 1 then end
      error: script.lua:1: 'then' expected near '!'; `not equal` is written `~=`
      error: input:1: 'then' expected near '!'; `not equal` is written `~=`
    x += 1
      error: script.lua:1: syntax error near '+'; there is no `+=`: write x = x + 1
      error: input:1: syntax error near '+'; there is no `+=`: write x = x + 1
    print(sep='')
      error: script.lua:1: ')' expected near '='; named arguments are a table: f { key = value }, or after others f(x, { key = value })
      error: input:1: ')' expected near '='; named arguments are a table: f { key = value }, or after others f(x, { key = value })
    x = None )
      error: script.lua:1: unexpected symbol near ')'; `None` is written `nil`
      error: input:1: unexpected symbol near ')'; `None` is written `nil`
    None.x = 1
      error: script.lua:1: attempt to index a nil value (global 'None'): `None` is written `nil`
      error: input:1: attempt to index a nil value (global 'None'): `None` is written `nil`
    "#);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_script_that_guards_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = "io.stdout:write('go\\n') io.stdout:flush()\nwhile true do pcall(function() while true do end end) end";
    std::fs::write(folder.path().join("endless.lua"), source).expect("writes");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lota"))
        .args(["run", "endless.lua"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut first = [0u8; 3];
    std::io::Read::read_exact(&mut child.stdout.take().expect("a pipe"), &mut first).expect("it started");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let out = child.wait_with_output().expect("ends");
    assert_eq!(out.status.code(), Some(130));
    assert_eq!(text(&out.stderr), "stopped\n");
}

/// A script that is not trusted says nothing of how it is held, and is told what would allow more.
#[cfg(unix)]
#[test]
fn a_sandbox_is_asked_for_before_the_script_and_holds_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, source: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, source).expect("writes");
        path.display().to_string()
    };
    let told = |args: &[&str]| {
        let out = lota(&[&["run"], args].concat());
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let held = file("held.lua", "print(io, os, require('lota').model.builtin():info().entries) -- args");
    assert_eq!(told(&["--sandbox", &held]), (Some(0), "nil\tnil\t886016\n".into(), String::new()));
    for after in [&["--sandbox"][..], &["--root=."], &["--memory", "2G"]] {
        let args = [&["--sandbox", held.as_str()], after].concat();
        let (code, out, err) = told(&args);
        assert!(code != Some(0) && out.is_empty() && err.contains("before the script's file"), "{err}");
    }
    let (code, out, err) = told(&[&held, "--sandbox"]);
    assert!(code != Some(0) && out.is_empty() && err.contains("before the script's file"), "{err}");
    let (_, _, err) = told(&["--sandbox", "--memory", "100K", &held]);
    assert!(err.contains("at least 16M"), "{err}");
    let busy = file("busy.lua", "while true do end");
    let (code, _, err) = told(&["--sandbox", "--time", "0.2", &busy]);
    assert!(code == Some(1) && err.contains("0.2 s") && err.contains("--time"), "{err}");
    let reads = file("reads.lua", "return require('lota').mask.load('x')");
    let (code, _, err) = told(&["--sandbox", &reads]);
    assert!(code == Some(1) && err.contains("--root DIR"), "{err}");
}
