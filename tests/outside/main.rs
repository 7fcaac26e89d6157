//! Tests of the program that need something besides the project: a terminal (tmux), or reference values. Without it they are
//! reported as ignored.

#[path = "../../runtime/tests/reference/data.rs"]
#[allow(dead_code, reason = "tests of the runtime need a model, too")]
mod data;
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
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
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
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(!tmux)
    };
    all.into_iter().map(trial).collect()
}
