//! Signals, full devices and closed pipes: the program saves what it has, says what happened by its exit code, and does
//! not panic.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn lota(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(words).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// Starts a script in a folder and waits until it has printed something.
fn started(folder: &Path, source: &str) -> Child {
    std::fs::write(folder.join("script.lua"), source).expect("writes");
    let mut child = lota(folder, &["run", "script.lua"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it prints");
    child
}

/// A training that says when it has begun, and goes on for long.
const TRAINING: &str = "
local lota = require 'lota'
local model = lota.model.builtin()
local rows = {{prompt = 'ab', target = 'cd'}}
local examples = lota.data.examples(model, rows, {max_len = 16, max_prompt = 8})
local batches = lota.data.batches(examples, {size = 1, seed = 1})
local trainer = lota.train.new(model, {params = 'all', lr = 1e-4, steps = 1000000})
trainer:fit(batches, {
  steps = 1000000,
  save_to = 'saved.safetensors',
  on_step = function(info) if info.step == 2 then print 'begun' end end,
})";

/// Whether this process, and so what it starts, was told to ignore SIGHUP.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn every_signal_saves_what_was_trained() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        if signal == "-HUP" && hangups_are_ignored() {
            continue; // the tests run under nohup, and what is started from them keeps to that
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = started(folder.path(), TRAINING);
        send(signal, &child);
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(out.status.code(), Some(code), "{signal}: {}", text(&out.stderr));
        assert!(text(&out.stderr).ends_with("\nstopped\n"), "{signal}: {}", text(&out.stderr));
        assert!(folder.path().join("saved.safetensors").is_file(), "{signal} saved nothing");
    }
}

#[test]
fn a_second_signal_ends_a_program_that_does_not_stop() {
    // A program that the script waits for is not stopped by the first.
    for waits in [
        "os.execute('exec sleep 20 >/dev/null 2>&1')",
        "io.popen('exec sleep 20 2>/dev/null'):read('a')",
        "pcall(function() io.popen('exec sleep 20 2>/dev/null'):close() end)",
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = format!("io.stdout:write('go\\n') io.stdout:flush() {waits}");
        let mut child = started(folder.path(), &source);
        send("-TERM", &child);
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().expect("it can be asked").is_none(), "{waits}: the first signal only asks");
        send("-TERM", &child);
        assert_eq!(child.wait().expect("it ends").code(), Some(143), "{waits}");
    }
}

#[test]
fn a_hangup_that_is_to_be_ignored_is_ignored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = "io.stdout:write('go\\n') io.stdout:flush() os.execute('sleep 1') print 'at the end'";
    std::fs::write(folder.path().join("script.lua"), source).expect("writes");
    let line = format!("trap '' HUP; exec {} run script.lua", env!("CARGO_BIN_EXE_lota"));
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("sh runs");
    let mut first = [0; 3];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it prints");
    send("-HUP", &child);
    let out = child.wait_with_output().expect("it ends");
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(0), "at the end\n"));
}

#[test]
fn a_prompt_that_waits_ends_at_a_signal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = lota(folder.path(), &["repl"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    // Its input stays open, so that the signal alone can end it.
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, b"1 + 1\n").expect("writes");
    let mut first = [0; 2];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("it answers");
    send("-TERM", &child);
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(143));
    drop(input);
}

/// Runs a script whose standard output is a full device.
#[cfg(target_os = "linux")]
fn on_a_full_device(words: &[&str], source: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("script.lua"), source).expect("writes");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    lota(folder.path(), words).stdout(full).output().expect("it runs")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_told_and_is_a_failure() {
    let run = ["run", "script.lua"];
    for (words, source) in [
        (&run[..], "print 'text'"),
        (&run, "io.write 'text'"),
        (&run, "pcall(print, 'text') pcall(print, 'more')"),
        (&run, "print 'text' os.exit(0)"),
        (&["doc"], ""),
        (&["doc", "mask.union"], ""),
        (&["eval", "-e", "1 + 1"], ""),
        (&["--help"], ""),
        (&["--version"], ""),
        (&["scripts"], ""),
    ] {
        let out = on_a_full_device(words, source);
        let told = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{words:?} {source}: {told}");
        assert_eq!(told.lines().count(), 1, "{words:?} {source}: {told}");
        assert!(told.starts_with("error: standard output: No space left"), "{words:?} {source}: {told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_whose_output_is_lost_saves_what_it_has() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("script.lua"), TRAINING).expect("writes");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let out = lota(folder.path(), &["run", "script.lua"]).stdout(full).output().expect("it runs");
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(folder.path().join("saved.safetensors").is_file());
}

#[test]
fn a_closed_pipe_is_a_failure_without_a_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = "for i = 1, 100000 do print(i) end";
    std::fs::write(folder.path().join("script.lua"), source).expect("writes");
    for words in [&["run", "script.lua"][..], &["doc", "all"]] {
        let mut child = lota(folder.path(), words).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut first = [0];
        let mut pipe = child.stdout.take().expect("a pipe");
        pipe.read_exact(&mut first).expect("it prints");
        drop(pipe);
        let out = child.wait_with_output().expect("it ends");
        // A text that fits the pipe was written before it was closed.
        if words[0] == "run" {
            assert_eq!(out.status.code(), Some(141), "{}", text(&out.stderr));
        }
        assert_eq!(text(&out.stderr), "", "{words:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_for_errors_is_no_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("script.lua"), "error 'text'").expect("writes");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let out = lota(folder.path(), &["run", "script.lua"]).stderr(full).output().expect("it runs");
    assert_eq!(out.status.code(), Some(1));
}
