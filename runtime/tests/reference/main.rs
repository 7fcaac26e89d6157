//! Tests against reference values that are too large to be part of the project. Without them they are reported as ignored.

#[path = "../it/common.rs"]
#[allow(dead_code, reason = "what other tests share")]
mod common;
mod data;
mod lora;
mod methods;
mod smollm2;
mod train;
mod wanda;

use common::on_the_reference_path;
use data::Need::{Shared, SmolLm2};
use data::{Need, trial, whole_trajectories};
use libtest_mimic::{Arguments, Trial};

/// A test that trains: on the reference path, several times as slow, only where whole trajectories are asked for. It computes
/// the same losses and gradients there as the tests before it, and makes the same steps of them as on the other path.
fn training(name: &str, needs: &[Need], test: fn()) -> Trial {
    let trial = trial(name, needs, test);
    if on_the_reference_path() && !whole_trajectories() { trial.with_ignored_flag(true) } else { trial }
}

fn main() {
    let both = [Shared, SmolLm2];
    let trials = vec![
        trial("smollm2_tokenizes_every_reference_string", &both, smollm2::tokenizes_every_reference_string),
        trial(
            "smollm2_renders_the_reference_conversations",
            &both,
            smollm2::renders_the_reference_conversations,
        ),
        trial("smollm2_has_the_reference_logits", &both, smollm2::has_the_reference_logits),
        trial("smollm2_has_the_reference_largest_logits", &both, smollm2::has_the_reference_largest_logits),
        trial(
            "smollm2_has_the_reference_loss_and_gradients",
            &both,
            smollm2::has_the_reference_loss_and_gradients,
        ),
        trial("smollm2_generates_the_reference_tokens", &both, smollm2::generates_the_reference_tokens),
        // A measurement: run it alone, in release.
        trial("smollm2_speed_of_generation", &both, smollm2::speed_of_generation).with_ignored_flag(true),
        training(
            "smollm2_follows_the_reference_from_full_fine_tuning_to_masked_training",
            &both,
            train::follows_the_reference,
        ),
        training("smollm2_factors_of_low_rank_follow_the_reference", &both, lora::follows_the_reference),
        training(
            "smollm2_projects_gradients_as_the_reference",
            &both,
            methods::projects_gradients_as_the_reference,
        ),
        training(
            "smollm2_consolidates_weights_as_the_reference",
            &both,
            methods::consolidates_weights_as_the_reference,
        ),
        trial(
            "smollm2_has_the_input_norms_and_masks_of_wanda",
            &both,
            wanda::has_the_input_norms_and_masks_of_wanda,
        ),
        training("smollm2_in_bf16_stays_within_one_percent", &both, train::in_bf16_stays_within_one_percent),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
