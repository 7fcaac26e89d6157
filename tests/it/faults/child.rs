//! Faults that end the process, or stop it: this program starts itself again, to write one version and to be killed, to
//! lack memory or to be held up on the way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lota::runtime::host::disk::watch::Watch;

use super::refusing;
use super::{Content, ROWS, Row, changes, each_row, engine, restore};

/// What the child is told: what to write and where, what happens, and at which change or request.
const TOLD: [&str; 4] = ["LOTA_TEST_ROW", "LOTA_TEST_PATH", "LOTA_TEST_FAULT", "LOTA_TEST_NUMBER"];

fn start(row: &Row, fault: &str, number: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([
        "--exact",
        "faults::child::writes",
        "--include-ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    let path = row.path.display().to_string();
    for (name, value) in TOLD.into_iter().zip([row.what, &path, fault, &number.to_string()]) {
        command.env(name, value);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("starts")
}

/// What a child printed, and whether it succeeded.
fn end(child: Child) -> (bool, String) {
    let out = child.wait_with_output().expect("ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.success(), text(&out.stdout) + text(&out.stderr).as_str())
}

/// The child.
#[test]
#[ignore = "other tests start it"]
fn writes() {
    let told = TOLD.map(|name| std::env::var(name).unwrap_or_default());
    let [what, path, fault, number] = &told;
    let Some(what) = ROWS.into_iter().find(|row| row == what) else { return };
    let number: u64 = number.parse().expect("a number");
    let engine = engine();
    let out = Path::new(path).parent().expect("lies in a folder");
    engine.call::<()>("prepare", ()).expect("prepares");
    let mut watch = None;
    match fault.as_str() {
        "kill" => {
            watch = Some(Watch::below(out, move |step| {
                if step.number as u64 == number {
                    // Nothing of this process runs after it.
                    std::process::abort();
                }
                Ok(())
            }));
        }
        "pause" => {
            watch = Some(Watch::below(out, move |step| {
                if step.number as u64 == number {
                    println!("\npaused");
                    std::io::stdin().read_line(&mut String::new())?;
                }
                Ok(())
            }));
        }
        "memory" => refusing::refuse(number),
        other => panic!("no such fault: {other}"),
    }
    let outcome = engine.call::<()>("write", (what, path.as_str(), 2));
    let asked = refusing::asked();
    drop(watch);
    println!("\nasked {asked}");
    outcome.unwrap_or_else(|e| panic!("told: {e}"));
}

/// The old version or the new one is there, and the next write goes on from it.
fn check(row: &Row, before: &Content, after: &Content, at: &str) -> bool {
    let is_new = row.is_whole(before, after, at);
    row.goes_on(after, at);
    is_new
}

#[test]
fn killed_at_any_change_there_is_the_old_version_or_the_new_one() {
    each_row(|row| {
        let (mut killed, mut new) = (0, 0);
        for (before, after) in row.starts() {
            for step in changes(&row, before) {
                restore(&row.out, before);
                let at = format!("{}, killed at {step:?}", row.what);
                let (good, told) = end(start(&row, "kill", step.number as u64));
                assert!(!good, "{at}: it lives: {told}");
                new += usize::from(check(&row, before, after, &at));
                killed += 1;
            }
        }
        println!("{}: killed at {killed} changes, {new} times the new version was there", row.what);
        assert!(new > 0 && new < killed, "{}: {new} of {killed}", row.what);
    });
}

#[test]
fn without_memory_on_the_way_there_is_the_old_version_or_the_new_one() {
    each_row(|row| {
        let (before, after) = row.starts()[0];
        restore(&row.out, before);
        let (good, told) = end(start(&row, "memory", u64::MAX));
        assert!(good, "{}: {told}", row.what);
        let asked: u64 = told
            .lines()
            .find_map(|line| line.strip_prefix("asked ").and_then(|n| n.parse().ok()))
            .unwrap_or_else(|| panic!("{told}"));
        let mut refused = 0;
        for part in 0..16 {
            restore(&row.out, before);
            let number = asked * part / 16;
            let at = format!("{}, request {number} of {asked} refused", row.what);
            let (good, told) = end(start(&row, "memory", number));
            refused += usize::from(!good);
            let is_new = check(&row, before, after, &at);
            assert!(!good || is_new, "{at}: success is told of the old version: {told}");
        }
        println!("{}: {refused} of 16 requests for memory were fatal to the write", row.what);
        assert!(refused > 0, "{}: nothing was refused", row.what);
    });
}

#[test]
fn a_second_writer_is_told_of_the_first_or_both_succeed() {
    each_row(|row| {
        let (before, after) = row.starts()[0];
        let all = changes(&row, before).len();
        let mut refused = 0;
        for part in 0..6 {
            restore(&row.out, before);
            let number = all * part / 6;
            let mut child = start(&row, "pause", number as u64);
            let id = child.id();
            let mut lines = BufReader::new(child.stdout.take().expect("piped"));
            let mut line = String::new();
            while line.trim_end() != "paused" {
                line.clear();
                assert!(lines.read_line(&mut line).expect("reads") > 0, "{}: it ended", row.what);
            }
            let second = row.write(2);
            let at = format!("{}, the first at change {number} of {all}", row.what);
            if let Err(told) = &second {
                // The first may be about to say who it is.
                let named = told.contains(&format!("process {id} on "));
                assert!(named || told.contains("another process is writing it"), "{at}: {told}");
                assert!(told.contains(&row.path.display().to_string()), "{at}: {told}");
                refused += usize::from(named);
            }
            let mut input = child.stdin.take().expect("piped");
            input.write_all(b"\n").expect("writes");
            let mut rest = String::new();
            lines.read_to_string(&mut rest).expect("reads");
            let (good, told) = end(child);
            assert!(good || second.is_ok() && told.contains("process "), "{at}: {rest}{told}");
            assert!(row.is_whole(before, after, &at), "{at}: the old version");
            row.goes_on(after, &at);
        }
        println!("{}: of 6 second writers {refused} were told of the first", row.what);
        // A single file is put in place in one go, and the last to do so has written it.
        let is_one_go = ["mask", "ticket", "values"].contains(&row.what);
        assert_eq!(refused == 0, is_one_go, "{}: {refused} were refused", row.what);
    });
}
