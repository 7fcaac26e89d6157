//! What is on the disk when a program is killed, when the disk is full, and when two programs write at once.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn lota(folder: &Path, script: &str) -> Command {
    let file = folder.join(format!("{}.lua", script.len()));
    // Programs at work may read it just now.
    if !std::fs::read_to_string(&file).is_ok_and(|text| text == script) {
        std::fs::write(&file, script).expect("writes");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(["--quiet", "run", &format!("{}.lua", script.len())]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a script prints, and what it fails with.
fn run(folder: &Path, script: &str) -> (String, String) {
    let out = lota(folder, script).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr))
}

/// Starts a script and waits for its first line.
fn begun(mut command: Command) -> Child {
    let mut child = command.spawn().expect("the program runs");
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("reads");
    if line.is_empty() {
        let mut told = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut told).expect("reads");
        panic!("the script ended before it began: {told}");
    }
    child
}

/// Two models of several files each, in `1` and `2`.
const TWO: &str = "local lota = require 'lota'
    for seed = 1, 2 do
      local c = lota.model.init('tiny'):config()
      c.hidden_size, c.intermediate_size, c.num_hidden_layers = 64, 128, 2
      local m = lota.model.init(c, {seed = seed, tokenizer = lota.tokenizer.train({'a'}, {vocab = 257})})
      m:save(tostring(seed), {shard = 100000})
      print(m:fingerprint())
    end";

/// Saves a model over the other, again and again.
const OVER: &str = "local lota = require 'lota'
    local all = {lota.model.load '1', lota.model.load '2'}
    for i = 1, 1e6 do
      all[i % 2 + 1]:save('out', {shard = 100000})
      if i == 1 then print 'begun' io.flush() end
    end";

fn killed_while_saving(with_another_file: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, told) = run(folder.path(), TWO);
    let whole: Vec<&str> = whole.lines().collect();
    assert_eq!(whole.len(), 2, "{told}");
    let out = folder.path().join("out");
    if with_another_file {
        std::fs::create_dir(&out).expect("a folder");
        std::fs::write(out.join("notes.md"), "mine").expect("writes");
    }
    for i in 0..12u64 {
        let mut child = begun(lota(folder.path(), OVER));
        // Moments that do not follow the rhythm of the saves.
        std::thread::sleep(Duration::from_micros(1000 + i * 7919 % 40_000));
        child.kill().expect("kills");
        child.wait().expect("ends");
        let (got, told) = run(folder.path(), "print(require('lota').model.load('out'):fingerprint())");
        assert!(whole.contains(&got.trim()), "try {i}: neither of the two models: {got}{told}");
    }
    // A last save that is not killed leaves nothing of the killed ones, in the folder or beside it.
    let (_, told) = run(folder.path(), "require('lota').model.load('1'):save('out')");
    assert_eq!(told, "");
    let names = |path: &Path| -> Vec<String> {
        let all = std::fs::read_dir(path).expect("lists");
        all.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let mut left = names(folder.path());
    left.extend(names(&out));
    assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
    assert!(!left.iter().any(|name| name.contains("-of-")), "shards of a former model stay: {left:?}");
    assert_eq!(left.contains(&"notes.md".to_string()), with_another_file);
}

#[test]
fn a_model_saved_over_another_is_one_of_the_two_whenever_the_program_is_killed() {
    killed_while_saving(false);
}

#[test]
fn so_it_is_in_a_folder_that_holds_another_file_which_stays() {
    killed_while_saving(true);
}

#[test]
fn a_run_folder_has_one_writer_and_the_second_is_told_which() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = "local run = require('lota').run.start('r', {config = {a = 1}})
        run:log {step = 1} print 'begun' io.flush() io.read() run:log {step = 2}";
    let mut command = lota(folder.path(), first);
    command.stdin(Stdio::piped());
    let mut child = begun(command);
    for resume in ["true", "false"] {
        let second = format!(
            "require('lota').run.start('r', {{config = {{a = 1}}, resume = {resume}}}):log {{step = 9}}"
        );
        let (_, told) = run(folder.path(), &second);
        assert!(told.contains(&format!("process {} on ", child.id())), "{told}");
    }
    child.stdin.take().expect("piped").write_all(b"\n").expect("writes");
    assert!(child.wait().expect("ends").success());
    let again = "local lota = require('lota')
        local run = lota.run.start('r', {config = {a = 1}, resume = true})
        -- The same script may ask for it again: it is the same run.
        local same = lota.run.start('r', {resume = true})
        same:log {step = 3} run:log {step = 4}
        local steps = {} for i, r in ipairs(run:records()) do steps[i] = r.step end
        print(table.concat(steps, ' '), pcall(lota.run.start, 'r'))";
    let (got, told) = run(folder.path(), again);
    assert!(got.starts_with("1 2 3 4\tfalse\t"), "{got}{told}");
    assert!(!folder.path().join("r/.run.lock").exists());
}

#[test]
fn of_several_programs_that_start_a_run_one_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for i in 0..4 {
        let script = format!("require('lota').run.start('r{i}', {{config = {{a = 1}}}}):log {{step = 1}}");
        let all: Vec<Child> = (0..3).map(|_| lota(folder.path(), &script).spawn().expect("runs")).collect();
        let ended = all.into_iter().map(|child| child.wait_with_output().expect("ends"));
        assert_eq!(ended.filter(|out| out.status.success()).count(), 1);
        let text = std::fs::read_to_string(folder.path().join(format!("r{i}/metrics.jsonl"))).expect("reads");
        assert_eq!(text, "{\"step\":1}\n");
    }
}

#[test]
fn a_checkpoint_has_one_writer_and_the_second_is_told_which() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = |rest: &str| {
        format!(
            "local lota = require 'lota' local m = lota.model.init('tiny')
             local t = lota.train.new(m, {{mask = lota.mask.random(m, {{density = 0.01}}), lr = 1e-3}})
             t:save 'training.safetensors' {rest}"
        )
    };
    let mut command =
        lota(folder.path(), &script("print 'begun' io.flush() io.read() t:close() print(io.read())"));
    command.stdin(Stdio::piped());
    let mut child = begun(command);
    let (_, told) = run(folder.path(), &script(""));
    assert!(told.contains(&format!("process {} on ", child.id())), "{told}");
    // It is free when the trainer is closed, before its program ends.
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"\n").expect("writes");
    let free = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !folder.path().join(".training.safetensors.lock").exists()
    });
    assert!(free, "the trainer is closed and the file is still held");
    assert_eq!(run(folder.path(), &script("")).1, "");
    drop(input);
    child.wait().expect("ends");
}

#[test]
fn a_record_that_does_not_fit_on_the_disk_leaves_no_part_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = "local run = require('lota').run.start('r', {config = {a = 1}})
        run:log {step = 1}
        local ok, err = pcall(run.log, run, {text = ('x'):rep(300000)})
        print(ok, err)
        run:log {step = 2}
        for _, r in ipairs(run:records()) do print(r.step) end";
    std::fs::write(folder.path().join("full.lua"), source).expect("writes");
    // No file may grow beyond 100 blocks of 512 or 1024 bytes.
    let out = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 100; exec \"$0\" --quiet run full.lua",
            env!("CARGO_BIN_EXE_lota"),
        ])
        .current_dir(folder.path())
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.starts_with("false\t") && text.contains("metrics.jsonl"), "{text}{out:?}");
    assert!(text.ends_with("\n1\n2\n"), "{text}{out:?}");
}
