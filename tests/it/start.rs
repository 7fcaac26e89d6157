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
    let failed = lota(folder.path(), &["run", "lota:lota", "--task-a", "no_such"]);
    let told = text(&failed.stderr);
    assert!(told.contains("lota:lota:") && told.contains(" | "), "{told}");
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
    for wrong in ["a.b", "a b", ".."] {
        assert_eq!(lota(folder.path(), &["new", wrong]).status.code(), Some(1), "{wrong}");
    }
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
    refused(&["--density", "2"], "option `density` must be a number above 0, and at most 1");
    refused(&["--seeds", "0"], "--seeds must be 1 or more, got 0");
    refused(&["--batch", "0"], "option `batch` must be a whole number, 1 or more");
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
        "    density           number: fraction of the `params` entries in the mask (default 0.1)",
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
