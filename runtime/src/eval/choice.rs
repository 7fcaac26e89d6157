//! Multiple choice: which of several continuations the model finds the likeliest.

use crate::data::{Batch, Example, collate};
use crate::host::Host;
use crate::model::Model;
use crate::{Error, Result};

/// A question: a prompt and what could follow it, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The prompt.
    pub prompt: Vec<u32>,
    /// The continuations.
    pub choices: Vec<Vec<u32>>,
}

/// What the likelihood of a continuation is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Normalize {
    /// Its number of tokens, so that long ones are not at a disadvantage.
    #[default]
    Token,
    /// Nothing.
    None,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The likeliest continuation; of equally likely ones the first.
    pub best: usize,
    /// The (normalised) log-probability of each.
    pub scores: Vec<f64>,
}

/// The most tokens that are run together.
const TOKENS: usize = 2048;

/// Answers each question, in order.
pub fn choose(model: &Model, questions: &[Choice], normalize: Normalize, host: &Host) -> Result<Vec<Chosen>> {
    let mut examples = Vec::new();
    for (q, question) in questions.iter().enumerate() {
        if question.choices.is_empty() {
            return Err(Error::argument(format!("question {} has no choices", q + 1)));
        }
        for (c, choice) in question.choices.iter().enumerate() {
            let example = Example::new(&question.prompt, choice);
            if example.targets() < choice.len() || choice.is_empty() {
                return Err(Error::argument(format!(
                    "choice {} of question {} has no token that follows another one: neither it nor the prompt may \
                     be empty",
                    c + 1,
                    q + 1
                )));
            }
            examples.push(example);
        }
    }
    let mut scores = vec![0f64; examples.len()];
    // Longest first: sequences of a batch are then of similar length, and memory is known at once.
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(examples[i].len()));
    let mut at = 0;
    while at < order.len() {
        let mut tokens = 0;
        let fits = order[at..].iter().take_while(|&&i| {
            tokens += examples[i].len();
            tokens <= TOKENS
        });
        let group = &order[at..at + fits.count().max(1)];
        let batch = collate(group.iter().map(|&i| (i as u32, &examples[i])));
        score(model, &batch, &mut scores, host)?;
        at += group.len();
        host.events.progress("choice", at as u64, order.len() as u64, "");
    }
    let mut rest = scores.into_iter();
    let answer = |question: &Choice| {
        let scores: Vec<f64> = question
            .choices
            .iter()
            .zip(rest.by_ref())
            .map(|(choice, sum)| match normalize {
                Normalize::Token => sum / choice.len() as f64,
                Normalize::None => sum,
            })
            .collect();
        let best = (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        Chosen { best, scores }
    };
    Ok(questions.iter().map(answer).collect())
}

/// Adds the log-probability of each sequence of a batch to the score of its example.
fn score(model: &Model, batch: &Batch, scores: &mut [f64], host: &Host) -> Result<()> {
    let logp = model.decoder.logp(&model.exec, host, &model.params, batch)?.to_vec1::<f32>()?;
    for (l, sequence) in logp.iter().zip(batch.labelled_sequences()) {
        scores[batch.examples[sequence as usize] as usize] += f64::from(*l);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eval::perplexity;
    use crate::model::{Config, Decoder, init};
    use crate::ops::Exec;

    fn model() -> Model {
        let config = Config::from_json(&json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "initializer_range": 0.3,
            "tie_word_embeddings": true, "hidden_act": "silu"
        }))
        .expect("a config");
        let decoder = Decoder::new(&config).expect("a decoder");
        let params = init::random(&decoder, 3, candle_core::DType::F32, &Exec::cpu(), &Host::default());
        Model::new(config, params.expect("weights"), Exec::cpu(), "test").expect("a model")
    }

    #[test]
    fn scores_are_those_of_each_continuation_alone() {
        let (model, host) = (model(), Host::default());
        let questions: Vec<Choice> = (0..30u32)
            .map(|q| Choice {
                prompt: (0..3 + q % 20).map(|i| (i * 7 + q) % 40).collect(),
                choices: (0..3).map(|c| (0..=c).map(|i| (q + 5 * c + i) % 40).collect()).collect(),
            })
            .collect();
        let all = choose(&model, &questions, Normalize::Token, &host).expect("chooses");
        for (question, chosen) in questions.iter().zip(&all) {
            let alone: Vec<f64> = question
                .choices
                .iter()
                .map(|choice| {
                    let batch = collate([(0, &Example::new(&question.prompt, choice))]);
                    -perplexity(&model, [&batch].into_iter(), &host).expect("measures").loss()
                })
                .collect();
            let far = alone.iter().zip(&chosen.scores).any(|(a, b)| (a - b).abs() > 1e-4);
            assert!(!far, "{alone:?} {chosen:?}");
            assert!(alone.iter().all(|a| *a <= alone[chosen.best] + 1e-4));
        }
    }

    #[test]
    fn nothing_to_predict_is_an_error() {
        let none = [Choice { prompt: vec![], choices: vec![vec![1]] }];
        assert!(choose(&model(), &none, Normalize::None, &Host::default()).is_err());
    }
}
