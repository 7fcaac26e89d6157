//! The scripts of the project from outside: the main job over data of a user's own, stopped and resumed; the growth
//! benchmark from another folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
}

fn lota(folder: &Path, script: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.arg("run").arg(script).args(args).current_dir(folder);
    command.output().expect("starts")
}

/// What it prints; fails where it fails.
fn printed(done: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    out.into_owned()
}

/// A task in a Lua file, which fails as long as a file named `fail` is there; and rows of the user's own.
fn own_data(folder: &Path) {
    let rows = (0..12).map(|i| format!("{{\"prompt\": \"{i}=\", \"target\": \"{}\"}}\n", i + 1));
    std::fs::write(folder.join("rows.jsonl"), rows.collect::<String>()).expect("writes");
    let task = r#"
        local rows = require("lota").data.read "rows.jsonl"
        return {
          train = rows,
          test = { rows[1] },
          max_tokens = 2,
          judge = function()
            local fail = io.open "fail"
            if fail then
              fail:close()
              error "stopped on purpose"
            end
            return 1
          end,
        }
    "#;
    std::fs::write(folder.join("task.lua"), task).expect("writes");
}

const SHORT: [&str; 14] = [
    "--task-a",
    "task.lua",
    "--task-b",
    "jsonl:rows.jsonl",
    "--seeds",
    "1",
    "--steps",
    "3",
    "--calibration-steps",
    "2",
    "--arms",
    "lotto,full",
    "--batch",
    "2",
];

fn records(folder: &Path, run: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(run).join("metrics.jsonl")).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

/// How often each step of each arm, task and phase was taken.
fn steps(records: &[Value]) -> BTreeMap<String, usize> {
    let mut steps = BTreeMap::new();
    for r in records.iter().filter(|r| r["kind"] == "step") {
        let name = format!("{} {} {} {}", r["arm"], r["task"], r["phase"], r["step"]);
        *steps.entry(name).or_insert(0) += 1;
    }
    steps
}

/// The records of scores, without the time they took.
fn results(records: &[Value]) -> Vec<Value> {
    let mut results: Vec<Value> = records.iter().filter(|r| r["kind"] == "result").cloned().collect();
    for result in &mut results {
        result.as_object_mut().expect("a record").remove("seconds");
    }
    results
}

#[test]
fn the_main_job_takes_data_of_ones_own_and_its_report_shows_all_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    own_data(folder);
    let out = printed(&lota(folder, &script("lota.lua"), &[&SHORT[..], &["--out", "run"]].concat()));
    assert!(out.contains("A = task (score), B = rows (same text), 1 and 1 test rows"), "{out}");
    let report = std::fs::read_to_string(folder.join("run/report.md")).expect("it was written");
    for picture in ["loss.svg", "overlap.svg"] {
        assert!(report.contains(&format!("]({picture})")), "{picture} is not in {report}");
        let svg = std::fs::read_to_string(folder.join("run").join(picture)).expect("it was written");
        assert!(svg.contains("</svg>"));
    }
    for part in [
        "--task-a task.lua",
        "- lota: ",
        "fingerprint: `",
        " entries, weights in f32",
        "- time: ",
        "|    1 | LoTA on A, LoTTO on B |",
        "|    1 | full fine-tuning      |",
        "`lotto` is LoTA on A, LoTTO on B; `full` is full fine-tuning.",
        "seed 1 alone",
        "(to run it again, choose another folder for --out)",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let loss = std::fs::read_to_string(folder.join("run/loss.svg")).expect("it was written");
    for name in [">LoTA on A, LoTTO on B<", ">full fine-tuning<", ">task A<", ">task B<", ">calibration ends"]
    {
        assert!(loss.contains(name), "{name} is not in {loss}");
    }
}

#[test]
fn forgetting_is_measured_only_where_something_was_learnt() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let row = r#"{ prompt = "a", target = "b" }"#;
    // A task with these scores: before training, after A, and after B.
    let task = |scores: &str| {
        let text = format!(
            "local scores, at = {{ {scores} }}, 0\n\
             return {{ train = {{ {row} }}, test = {{ {row} }}, score = function() at = at + 1 return scores[at] end }}\n"
        );
        std::fs::write(folder.join("a.lua"), text).expect("writes");
    };
    let short = ["--task-a", "a.lua", "--task-b", "nines", "--arms", "full", "--seeds", "1", "--steps", "1"];
    let run = |out: &str| {
        let more = ["--calibration-steps", "1", "--batch", "1", "--eval", "1", "--out", out];
        let table = printed(&lota(folder, &script("lota.lua"), &[&short[..], &more[..]].concat()));
        (table, results(&records(folder, out)).pop().expect("a result of the arm"))
    };
    task("0.5, 0.5, 0.25");
    let (table, result) = run("not-learnt");
    assert!(result.get("forgetting").is_none(), "{result}");
    assert!(table.contains("Forgetting is - where an arm is no better at A"), "{table}");
    task("0.25, 0.5, 0.25");
    let (table, result) = run("learnt");
    assert_eq!(result["forgetting"], 0.25);
    assert!(!table.contains("Forgetting is -"), "{table}");
}

#[test]
fn a_run_that_was_stopped_goes_on_inside_its_arm() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    own_data(folder);
    let run = |more: &[&str]| lota(folder, &script("lota.lua"), &[&SHORT[..], more].concat());
    printed(&run(&["--out", "whole"]));

    // It fails when the first task is scored for the first time after training: both phases of that task are done.
    let task = std::fs::read_to_string(folder.join("task.lua")).expect("it is there");
    let later = task.replace(
        "local fail = io.open \"fail\"",
        "calls = (calls or 0) + 1\nlocal fail = calls > 1 and io.open \"fail\"",
    );
    std::fs::write(folder.join("task.lua"), later).expect("writes");
    std::fs::write(folder.join("fail"), "").expect("writes");
    let stopped = run(&["--out", "cut"]);
    let text = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert!(!stopped.status.success() && text.contains("stopped on purpose"), "{text}");
    assert_eq!(steps(&records(folder, "cut")).len(), 5, "both phases of the first task");

    std::fs::remove_file(folder.join("fail")).expect("removes");
    printed(&run(&["--out", "cut", "--resume"]));
    let (cut, whole) = (records(folder, "cut"), records(folder, "whole"));
    assert_eq!(steps(&cut), steps(&whole), "no step is taken twice, and none is left out");
    assert_eq!(results(&cut), results(&whole));
    assert!(!folder.join("cut/training").exists(), "what resuming needed is removed");
}

#[test]
#[cfg(unix)]
fn growth_finds_its_models_from_any_folder() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // Stands for the program that is measured: each step takes a second, and running a script needs the script.
    let program = r#"#!/bin/sh
if [ "$1" = run ]; then
  test -f "$2" && echo "$2" > fitted
else
  echo '{"entries": 1000, "seconds_least": 1.0, "peak_mib": 100}'
fi
"#;
    let path = folder.join("measured");
    std::fs::write(&path, program).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("may be run");
    let args = ["--quick", "--out", ".", "--program", "./measured"];
    printed(&lota(folder, &script("bench/growth.lua"), &args));
    let fitted = std::fs::read_to_string(folder.join("fitted")).expect("the models are fitted");
    assert!(fitted.trim().ends_with("growth_model.lua"), "{fitted}");
    assert!(folder.join("growth.json").is_file());
}
