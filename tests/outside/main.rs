//! Tests of the program that need something besides the project: a terminal (tmux), disks that may be mounted, or reference values. Without it they are
//! reported as ignored.

#[path = "../../runtime/tests/reference/data.rs"]
#[allow(dead_code, reason = "tests of the runtime need a model, too")]
mod data;
#[cfg(target_os = "linux")]
mod disks;
mod merge;
#[cfg(unix)]
mod terminal;

use libtest_mimic::{Arguments, Trial};

fn main() {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the others are of Unix alone"))]
    let mut trials = vec![data::trial(
        "results_are_those_of_mergekit",
        &[data::Need::Shared],
        merge::results_are_those_of_mergekit,
    )];
    #[cfg(unix)]
    trials.extend(terminals());
    #[cfg(target_os = "linux")]
    trials.extend(mounted());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

#[cfg(target_os = "linux")]
fn mounted() -> Vec<Trial> {
    let allowed = disks::allowed();
    let all: [(&str, fn()); 2] = [
        (
            "a_disk_that_is_full_keeps_the_old_version_and_says_so",
            disks::a_disk_that_is_full_keeps_the_old_version_and_says_so,
        ),
        ("a_disk_that_is_read_only_is_told_and_read", disks::a_disk_that_is_read_only_is_told_and_read),
    ];
    all.into_iter().map(|(name, test)| trial(name, test, allowed)).collect()
}

/// A test that is reported as ignored where it cannot be run.
#[cfg(unix)]
fn trial(name: &str, test: fn(), possible: bool) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
    .with_ignored_flag(!possible)
}

#[cfg(unix)]
fn terminals() -> Vec<Trial> {
    let tmux = std::process::Command::new("tmux").arg("-V").output().is_ok();
    let all: [(&str, fn()); 7] = [
        ("a_prompt_is_typed_at", terminal::a_prompt_is_typed_at),
        (
            "ctrl_c_stops_training_and_keeps_the_variables",
            terminal::ctrl_c_stops_training_and_keeps_the_variables,
        ),
        ("a_pasted_script_is_one_input", terminal::a_pasted_script_is_one_input),
        (
            "colours_are_shown_unless_they_are_not_wanted",
            terminal::colours_are_shown_unless_they_are_not_wanted,
        ),
        ("the_demo_shows_how_far_it_is", terminal::the_demo_shows_how_far_it_is),
        (
            "a_terminal_is_as_it_was_when_a_signal_has_ended_a_prompt",
            terminal::a_terminal_is_as_it_was_when_a_signal_has_ended_a_prompt,
        ),
        ("history_is_there_the_next_time", terminal::history_is_there_the_next_time),
    ];
    all.into_iter().map(|(name, test)| trial(name, test, tmux)).collect()
}
