//! What a newcomer runs first: the built-in scripts, the demo, a new study, the documentation; and progress in a log.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn lota(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
    command.args(words).current_dir(folder).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The standard output of a program that succeeds.
fn said(folder: &Path, words: &[&str]) -> String {
    let out = lota(folder, words);
    assert!(out.status.success(), "{words:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn built_in_scripts_are_listed_and_run_from_any_folder() {
    let folder = folder();
    let listed = said(folder.path(), &["scripts"]);
    for name in ["lota:lota ", "lota:merge ", "lota:pretrain_tiny "] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
    }
    let help = said(folder.path(), &["run", "lota:lota", "--help"]);
    assert!(help.contains("Usage: lota run lota:lota") && help.contains("--task-a"), "{help}");
    let wrong = lota(folder.path(), &["run", "lota:lotta"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(text(&wrong.stderr), "error: no built-in script is called 'lotta'; did you mean 'lota'?\n");
    // An error in one shows its line, as for a file.
    let failed = lota(folder.path(), &["run", "lota:lota", "--model", "no_such"]);
    let told = text(&failed.stderr);
    assert!(told.contains("lota:lota:") && told.contains(" | "), "{told}");
    // A wrong option is the user's: it is told without lines of the script.
    let told = |words: &[&str]| text(&lota(folder.path(), &[&["run"][..], words].concat()).stderr);
    let wrong = [
        told(&["lota:lota", "--task-a", "nope.lua"]),
        told(&["lota:lota", "--task-b", "jsonl:nope"]),
        told(&["lota:merge", "--tasks", "skip,nins"]),
        told(&["lota:lota", "--chat"]),
    ];
    insta::assert_snapshot!(wrong.concat(), @r"
    error: --task-a: nope.lua: No such file or directory
    error: --task-b: nope/train.jsonl: No such file or directory (os error 2)
    error: --tasks: no task is called `nins`; did you mean `nines`? (tasks.names() lists them)
    error: --chat needs a model with a chat template, and builtin has none
    ");
}

/// Every option of a script that takes a whole number, from its help.
fn counts_of(folder: &Path, script: &str) -> Vec<String> {
    let help = said(folder, &["run", script, "--help"]);
    let option = |line: &str| {
        let (flag, rest) = line.trim_start().strip_prefix("--")?.split_once(" <")?;
        let kind = rest.split_once('>')?.0;
        (kind == "integer").then(|| flag.to_string())
    };
    help.lines().filter_map(option).collect()
}

#[test]
fn a_count_that_cannot_be_is_refused_by_the_name_of_its_option() {
    let folder = folder();
    said(folder.path(), &["new", "study"]);
    let growth = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/bench/growth_model.lua");
    let growth = growth.to_string_lossy();
    let mut counts = 0;
    for script in ["lota:lota", "lota:merge", "lota:pretrain_tiny", "study.lua", &*growth] {
        for flag in counts_of(folder.path(), script) {
            counts += 1;
            let out = lota(folder.path(), &["run", script, &format!("--{flag}"), "-1"]);
            let told = text(&out.stderr);
            assert_eq!(out.status.code(), Some(1), "{script} --{flag}: {told}");
            let begin = format!("error: --{flag} must be a whole number, ");
            assert!(told.starts_with(&begin) && told.contains(" or more, got '-1'"), "{script}: {told}");
        }
    }
    assert!(counts > 20, "{counts} options were tried");
    let wrong = lota(folder.path(), &["run", "lota:lota", "--density", "10"]);
    assert_eq!(
        text(&wrong.stderr),
        "error: --density must be a number above 0, at most 1, got '10' (--help lists the options)\n"
    );
    assert!(!folder.path().join("runs").exists(), "nothing is left of what was refused");
}

#[test]
fn programs_started_together_take_different_run_folders() {
    let folder = folder();
    let source = "local report = require 'lota.report'\nlocal run = report.start 'job'\nprint(run:dir())\n\
                  io.stdout:flush()\nio.read()";
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lota"));
        let pipes = command.args(["eval", "-e", source]).stdin(Stdio::piped()).stdout(Stdio::piped());
        pipes.current_dir(folder.path()).spawn().expect("the program runs")
    };
    let programs: Vec<_> = (0..4).map(|_| start()).collect();
    let mut taken: Vec<String> = programs
        .into_iter()
        .map(|program| text(&program.wait_with_output().expect("ends").stdout).trim().to_string())
        .collect();
    taken.sort();
    assert_eq!(taken, [1, 2, 3, 4].map(|n| format!("runs/job-{n}")));
    let source = "require('lota.report').start('job', nil, {resume = true})";
    let told = text(&lota(folder.path(), &["eval", "-e", source]).stderr);
    assert!(told.contains("to resume a run of job, name its folder (--out"), "{told}");
}

#[test]
fn the_demo_ends_with_a_table_and_what_it_says() {
    let folder = folder();
    let out = lota(folder.path(), &["demo", "--progress", "plain:0"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let said = text(&out.stdout);
    for part in ["LoTTO", "| arm", "of task A right", "What next:", "runs/demo-1/report.md"] {
        assert!(said.contains(part), "'{part}' is missing:\n{said}");
    }
    assert!(folder.path().join("runs/demo-1/report.md").is_file());
    // Its progress is lines that say how far it is.
    let lines = text(&out.stderr);
    let line = lines
        .lines()
        .find(|l| l.contains("] adapt ") && l.contains("loss "))
        .unwrap_or_else(|| panic!("{lines}"));
    assert!(line.contains(" %), ") && line.contains(" left"), "{line}");
}

#[test]
fn a_new_study_runs_as_it_is_written() {
    let folder = folder();
    let written = said(folder.path(), &["new", "plurals"]);
    assert!(written.contains("plurals.lua") && written.contains("plurals-task.lua"), "{written}");
    let table = said(
        folder.path(),
        &["run", "plurals.lua", "--steps", "6", "--calibration-steps", "2", "--seeds", "1"],
    );
    for arm in ["| none", "| full", "| random", "| lota"] {
        assert!(table.contains(arm), "{table}");
    }
    assert!(folder.path().join("runs/plurals-1/report.md").is_file());
    // Nothing is written over, and a name must be one.
    let again = lota(folder.path(), &["new", "plurals.lua"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("plurals.lua is there already"), "{}", text(&again.stderr));
    std::fs::remove_file(folder.path().join("plurals.lua")).expect("it is there");
    assert!(!lota(folder.path(), &["new", "plurals"]).status.success());
    assert!(!folder.path().join("plurals.lua").exists(), "both are written or none");
    for wrong in ["a.b", "a b", "..", ".lua", "x/..", "_a", "lota", "lota.lua", "a*", "../a\\b"] {
        let out = lota(folder.path(), &["new", wrong]);
        assert_eq!(out.status.code(), Some(1), "{wrong}");
        assert!(
            text(&out.stderr).contains(&format!("'{wrong}' is no name of a study")),
            "{}",
            text(&out.stderr)
        );
    }
}

#[test]
fn a_study_elsewhere_is_told_by_its_whole_path() {
    let folder = folder();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    let whole = folder.path().canonicalize().expect("it is there");
    let told = said(&inner, &["new", "../plurals"]);
    for file in ["plurals.lua", "plurals-task.lua"] {
        assert!(told.contains(&format!("{}  ", whole.join(file).display())), "{told}");
        assert!(folder.path().join(file).is_file());
    }
    assert!(told.contains("lota run ../plurals.lua runs it."), "{told}");
    assert!(
        !said(&inner, &["new", "plurals"]).contains(&*whole.to_string_lossy()),
        "here the name is enough"
    );
}

#[test]
fn a_new_study_is_checked_before_anything_trains() {
    let folder = folder();
    said(folder.path(), &["new", "plurals"]);
    let refused = |words: &[&str], part: &str| {
        let out = lota(folder.path(), &[&["run", "plurals.lua"][..], words].concat());
        let told = text(&out.stderr);
        assert!(!out.status.success() && told.contains(part), "{words:?}: '{part}' is missing: {told}");
        assert!(!folder.path().join("runs").exists(), "{words:?} began a run");
    };
    refused(&["--steps", "10"], "--steps (10) must be more than --calibration-steps (20)");
    refused(&["--density", "2"], "--density must be a number above 0, at most 1, got '2'");
    refused(&["--seeds", "0"], "--seeds must be a whole number, 1 or more, got '0'");
    refused(&["--batch", "0"], "--batch must be a whole number, 1 or more, got '0'");
    let task = |source: &str| {
        std::fs::write(folder.path().join("plurals-task.lua"), source).expect("writes");
    };
    task("return 'skip'");
    refused(&[], "require(\"lota.tasks\").open");
    task("return { train = { { prompt = 'a', target = 'b' } } }");
    refused(&[], "the task has no `score`: add");
}

#[test]
fn options_of_the_standard_library_are_documented_with_their_defaults() {
    let folder = folder();
    let page = said(folder.path(), &["doc", "adapt.lota"]);
    for line in [
        "    calibration_steps integer: optimizer steps of calibration (default 100)",
        "    steps             integer: optimizer steps (default 100)",
        "    scope             one of global, parameter, layer, row: where the density holds (default \"global\")",
    ] {
        assert!(page.lines().any(|l| l == line), "'{line}' is missing:\n{page}");
    }
    let function = said(folder.path(), &["doc", "report.curves"]);
    assert!(
        function.starts_with("report.curves(path, series, given), of require \"lota.report\""),
        "{function}"
    );
    // What is documented is what is checked.
    let declared = page.split("\noptions:\n").nth(1).expect("it has options");
    for line in declared.lines().take_while(|l| l.starts_with("    ")) {
        let name = line.split_whitespace().next().expect("a name");
        let source = format!("require('lota.adapt').lota(nil, nil, {{{name} = {{}}}})");
        let told = text(&lota(folder.path(), &["eval", "-e", &source]).stderr);
        assert!(!told.contains("unknown option"), "{name}: {told}");
        let source = format!("import \"lota/adapt\" as adapt; adapt::lota((), (), #{{{name}: 1}})");
        let told = text(&lota(folder.path(), &["eval", "--rhai", "-e", &source]).stderr);
        assert!(!told.contains("unknown option") && !told.is_empty(), "Rhai, {name}: {told}");
    }
}

#[test]
fn documentation_is_listed_by_area_and_searched() {
    let folder = folder();
    let areas = said(folder.path(), &["doc"]);
    assert!(areas.lines().count() < 120, "{} lines", areas.lines().count());
    assert!(
        areas.contains("\n    mask ")
            && areas.contains("\n    Tensor ")
            && areas.contains("\n    lota.adapt ")
    );
    assert!(said(folder.path(), &["doc", "all"]).contains("\n    mask.union "));
    let found = said(folder.path(), &["doc", "--search", "jaccard"]);
    assert!(found.starts_with("    Mask:jaccard"), "{found}");
    let wrong = lota(folder.path(), &["doc", "--search", "jacard"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(text(&wrong.stderr), "error: nothing is said about 'jacard'; did you mean 'jaccard'?\n");
}

const COUNTING: &str = "
local bar = require('lota').progress('count', 3)
for i = 1, 2 do bar:update(i, 'loss ' .. i) end
bar:done()";

#[test]
fn progress_is_lines_where_there_is_no_terminal() {
    let folder = folder();
    std::fs::write(folder.path().join("script.lua"), COUNTING).expect("writes");
    let told = |words: &[&str]| {
        let all: Vec<&str> = ["run", "script.lua"].iter().chain(words).copied().collect();
        let out = lota(folder.path(), &all);
        assert!(out.status.success(), "{}", text(&out.stderr));
        text(&out.stderr)
    };
    // A script that is done sooner than the first line is due tells nothing.
    assert_eq!(told(&[]), "");
    let lines = told(&["--progress", "plain:0"]);
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[lines.len() - 2].starts_with("[0:00] count 2/3 (66 %), "), "{lines:?}");
    assert!(lines[lines.len() - 1].starts_with("[0:00] count 3/3, done in 0:00, loss 2"), "{lines:?}");
    assert_eq!(told(&["--progress=none"]), "");
    assert_eq!(told(&["--quiet"]), "");
    let wrong = lota(folder.path(), &["run", "script.lua", "--progress", "dots"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("bar, plain, plain:SECONDS and none"), "{}", text(&wrong.stderr));
    let wrong = lota(folder.path(), &["--progress", "dots", "run", "script.lua"]);
    assert_eq!(wrong.status.code(), Some(2));
}
