//! Generation: what ends it, what it depends on and what it does not.

use lota_runtime::data::Batch;
use lota_runtime::host::Host;
use lota_runtime::model::{Finish, GenerateOptions, Model, Sampling};
use serde_json::json;

use crate::common::values;
use crate::folders::{model, words};

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![5, 6, 7], vec![9], vec![11, 12, 13, 14, 15], vec![3, 3]]
}

fn options(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_tokens, eos: Some(vec![]), ..GenerateOptions::default() }
}

fn tokens(model: &Model, options: &GenerateOptions) -> Vec<Vec<u32>> {
    let generated = model.generate(&prompts(), options, &Host::default(), None).expect("generates");
    generated.into_iter().map(|g| g.tokens).collect()
}

#[test]
fn greedy_takes_the_likeliest_token_of_the_full_forward() {
    let model = model("llama", json!({}));
    for (prompt, generated) in prompts().into_iter().zip(tokens(&model, &options(6))) {
        let mut sequence = prompt;
        for token in generated {
            let batch = Batch::of_tokens(&[&sequence]);
            let logits =
                model.decoder.logits(&model.exec, &Host::default(), &model.params, &batch).expect("runs");
            let logits = values(&logits.get(sequence.len() - 1).expect("the last row"));
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("not empty");
            assert_eq!(token, best as u32);
            sequence.push(token);
        }
    }
}

#[test]
fn a_text_does_not_depend_on_the_prompts_beside_it() {
    let model = model("qwen3", json!({"head_dim": 8}));
    let sampling = Sampling { temperature: 1.5, top_k: Some(20), top_p: Some(0.95), ..Sampling::default() };
    let sampled = GenerateOptions { sampling, seed: 3, ..options(8) };
    let together = tokens(&model, &sampled);
    for batch in [1, 3] {
        assert_eq!(tokens(&model, &GenerateOptions { batch, ..sampled.clone() }), together);
    }
    assert_ne!(tokens(&model, &GenerateOptions { seed: 4, ..sampled.clone() }), together);
    assert_eq!(tokens(&model, &sampled), together);
}

#[test]
fn ends_are_found_and_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model("llama", json!({})).with_tokenizer(words(dir.path()));
    let host = Host::default();
    let run = |options: &GenerateOptions| {
        model.generate(&prompts()[..1], options, &host, None).expect("generates").remove(0)
    };
    let free = run(&options(8));
    assert_eq!((free.finish, free.tokens.len()), (Finish::Length, 8));
    let ended = run(&GenerateOptions { eos: Some(vec![free.tokens[3], 36]), ..options(8) });
    let first = free.tokens.iter().position(|t| *t == free.tokens[3]).expect("there");
    assert_eq!((ended.finish, &ended.tokens[..]), (Finish::Eos, &free.tokens[..=first]));
    let stop = vec![format!("w{} w{}", free.tokens[2], free.tokens[3])];
    let mut shown = String::new();
    let mut on_text = |prompt: usize, piece: &str| {
        assert_eq!(prompt, 0);
        shown.push_str(piece);
        Ok(true)
    };
    let stopping = GenerateOptions { stop: stop.clone(), ..options(8) };
    let stopped =
        model.generate(&prompts()[..1], &stopping, &host, Some(&mut on_text)).expect("runs").remove(0);
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.text, free.text[..free.text.find(&stop[0]).expect("there")]);
    assert_eq!(shown, stopped.text);
    // The model was made for 64 positions.
    assert_eq!(run(&options(100)).tokens.len(), 61);
    assert_eq!(run(&options(0)).tokens.len(), 0);
}

#[test]
fn a_receiver_can_stop_everything_and_a_host_cancels() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model("llama", json!({})).with_tokenizer(words(dir.path()));
    let host = Host::default();
    let mut pieces = 0;
    let mut on_text = |_: usize, _: &str| {
        pieces += 1;
        Ok(pieces < 3)
    };
    let sequential = GenerateOptions { batch: 1, ..options(8) };
    let generated = model.generate(&prompts(), &sequential, &host, Some(&mut on_text)).expect("stops");
    assert_eq!(generated.len(), 1);
    assert!(generated[0].tokens.len() < 8);
    host.cancel.cancel();
    let error = model.generate(&prompts(), &options(8), &host, None).expect_err("cancelled");
    assert_eq!(error.to_string(), "cancelled");
}

#[test]
fn what_cannot_be_generated_is_explained() {
    let model = model("llama", json!({"bos_token_id": "absent"}));
    let text = |prompts: &[Vec<u32>], options: &GenerateOptions| {
        model.generate(prompts, options, &Host::default(), None).expect_err("refused").to_string()
    };
    assert_eq!(text(&[vec![]], &options(1)), "prompt 1 is empty and the model has no token to begin with");
    assert_eq!(
        text(&[vec![1], vec![1; 64]], &options(1)),
        "prompt 2 has 64 tokens; the model was made for 64 (max_position_embeddings), new ones included: shorten it"
    );
    assert_eq!(text(&[vec![40]], &options(1)), "token 40 is outside the vocabulary of 37");
    let stop = GenerateOptions { stop: vec!["x".into()], ..options(1) };
    assert!(text(&[vec![1]], &stop).starts_with("the model test has no tokenizer"));
    let stop = GenerateOptions { stop: vec![String::new()], ..options(1) };
    assert_eq!(text(&[vec![1]], &stop), "a stop string is empty: it would end every text at once");
}
