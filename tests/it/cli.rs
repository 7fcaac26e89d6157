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
    let module = text(&lota(&["doc", "adapt.lotto"]).stdout);
    assert!(module.starts_with("require \"lota.adapt.lotto\"\n    LoTTO, "), "{module}");
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
        local function all()\n  local s = lota.scores.new(m, score)\n  return s\nend\nall()\n";
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
    assert!(text(&out.stderr).starts_with("error: input:1: attempt to index a"), "{}", text(&out.stderr));
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
