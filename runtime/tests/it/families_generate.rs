//! Generation with a cache gives the logits of the full forward.

use candle_core::IndexOp;
use lota_runtime::data::Batch;
use lota_runtime::host::{Host, Rng};

use crate::common::{decoder, difference, exec, params, tokens};
use crate::zoo;

#[test]
fn cached_logits_equal_the_full_forward() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let params = params(&decoder, 7);
        let exec = exec();
        let mut rng = Rng::new(8);
        // Prompts of different lengths, then three single tokens, then chunks of different lengths.
        let sequences: Vec<Vec<u32>> = [13, 9, 10].iter().map(|&n| tokens(&mut rng, n, 37)).collect();
        let steps = [[7, 1, 4], [1, 1, 1], [1, 1, 1], [1, 1, 1], [3, 5, 3]];
        let full: Vec<_> = sequences
            .iter()
            .map(|s| decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&[s])).expect("runs"))
            .collect();
        let mut cache = decoder.cache(3);
        let mut done = [0; 3];
        for step in steps {
            let new: Vec<&[u32]> = (0..3).map(|i| &sequences[i][done[i]..done[i] + step[i]]).collect();
            let logits = decoder
                .read(&exec, &Host::default(), &params, &mut cache, &new)
                .and_then(|read| read.logits())
                .expect("steps");
            for i in 0..3 {
                done[i] += step[i];
                assert_eq!(cache.tokens(i), done[i]);
                let worst = difference(&logits.i(i).expect("a row"), &full[i].i(done[i] - 1).expect("a row"));
                assert!(worst <= 2e-5, "{}: token {} of sequence {i} differs by {worst}", case.name, done[i]);
            }
        }
    }
}

#[test]
fn sequences_can_be_dropped_copied_and_shortened() {
    let case = &zoo::all()[0];
    let decoder = decoder(&case.json);
    let (params, exec) = (params(&decoder, 9), exec());
    let mut cache = decoder.cache(3);
    let prompts: [&[u32]; 3] = [&[1, 2, 3], &[4, 5], &[6, 7, 8, 9]];
    decoder
        .read(&exec, &Host::default(), &params, &mut cache, &prompts)
        .and_then(|read| read.logits())
        .expect("steps");
    cache.retain(|i| i != 1);
    assert_eq!((cache.len(), cache.tokens(0), cache.tokens(1)), (2, 3, 4));
    let mut twice = cache.select(&[1, 1], 0);
    twice.truncate(0, 2).expect("shortens");
    let logits = decoder
        .read(&exec, &Host::default(), &params, &mut twice, &[[10], [10]])
        .and_then(|read| read.logits())
        .expect("steps");
    for (i, whole) in [vec![6, 7, 10], vec![6, 7, 8, 9, 10]].iter().enumerate() {
        let full =
            decoder.logits(&exec, &Host::default(), &params, &Batch::of_tokens(&[whole])).expect("runs");
        let worst = difference(&logits.i(i).expect("a row"), &full.i(whole.len() - 1).expect("a row"));
        assert!(worst <= 2e-5, "sequence {i} differs by {worst}");
    }
    // The sequences that were copied from are as they were.
    let logits = decoder
        .read(&exec, &Host::default(), &params, &mut cache, &[[11], [12]])
        .and_then(|read| read.logits())
        .expect("steps");
    let full = decoder
        .logits(&exec, &Host::default(), &params, &Batch::of_tokens(&[[6, 7, 8, 9, 12]]))
        .expect("runs");
    let worst = difference(&logits.i(1).expect("a row"), &full.i(4).expect("a row"));
    assert!(worst <= 2e-5, "the original differs by {worst}");
    let empty: &[u32] = &[];
    assert!(
        decoder
            .read(&exec, &Host::default(), &params, &mut cache, &[empty, &[1]])
            .and_then(|read| read.logits())
            .is_err()
    );
}

#[test]
fn a_sequence_that_outgrows_its_rotary_embedding_must_start_again() {
    let decoder = decoder(&zoo::phi3_long(6));
    let (params, exec) = (params(&decoder, 25), exec());
    let ids = tokens(&mut Rng::new(26), 9, 37);
    let batch = Batch::of_tokens(&[&ids[..3], &ids[..], &ids[..6]]);
    let packed = decoder.logits(&exec, &Host::default(), &params, &batch).expect("runs");
    for (at, len) in [(0, 3), (3, 9), (12, 6)] {
        let mut cache = decoder.cache(1);
        let logits = decoder
            .read(&exec, &Host::default(), &params, &mut cache, &[&ids[..len]])
            .and_then(|read| read.logits())
            .expect("steps");
        let worst = difference(&logits.i(0).expect("a row"), &packed.i(at + len - 1).expect("a row"));
        assert!(worst <= 2e-5, "{len} tokens differ by {worst}");
        let next = decoder
            .read(&exec, &Host::default(), &params, &mut cache, &[[1, 2]])
            .and_then(|read| read.logits());
        assert_eq!(next.is_err(), len == 6, "from {len} tokens by two");
    }
}

#[test]
fn a_stopped_forward_says_so() {
    for case in zoo::all() {
        let decoder = decoder(&case.json);
        let (params, exec, host) = (params(&decoder, 30), exec(), Host::default());
        let batch = Batch::of_tokens(&[[1u32, 2, 3]]);
        let mut cache = decoder.cache(1);
        decoder
            .read(&exec, &host, &params, &mut cache, &[[1u32, 2]])
            .and_then(|read| read.logits())
            .expect("steps");
        host.cancel.cancel();
        let stopped = [
            decoder.read(&exec, &host, &params, &mut cache, &[[3u32]]).and_then(|read| read.logits()),
            decoder.logits(&exec, &host, &params, &batch),
            decoder.hidden(&exec, &host, &params, &batch),
        ];
        for result in stopped {
            assert!(result.is_err_and(|error| error.is_cancelled()), "{}", case.name);
        }
        assert_eq!(cache.tokens(0), 2, "{}", case.name);
    }
}
