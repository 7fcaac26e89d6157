//! Multiple choice: which of several continuations the model finds the likeliest.

use std::cmp::Reverse;

use crate::data::{Example, collate};
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

/// Bytes of keys and values that are held at once for choices that share the work of their prompt. Those of the prompt are
/// held once more for each of its choices.
const CACHED: usize = 512 << 20;

/// Answers each question, in order. The prompt of a question with several choices is run once, and its choices on top of it.
pub fn choose(model: &Model, questions: &[Choice], normalize: Normalize, host: &Host) -> Result<Vec<Chosen>> {
    let mut lines = Vec::new();
    for (q, question) in questions.iter().enumerate() {
        if question.choices.is_empty() {
            return Err(Error::argument(format!("question {} has no choices", q + 1)));
        }
        for (c, choice) in question.choices.iter().enumerate() {
            if question.prompt.is_empty() || choice.is_empty() {
                return Err(Error::argument(format!(
                    "choice {} of question {} has no token that follows another one: neither it nor the prompt may \
                     be empty",
                    c + 1,
                    q + 1
                )));
            }
            lines.push(Line { question: q, prompt: &question.prompt, choice });
        }
    }
    model.decoder.tell_long(host, lines.iter().map(Line::tokens));
    let mut scoring = Scoring { model, host, scores: vec![0.0; lines.len()], done: 0, lines };
    let (shared, whole): (Vec<usize>, Vec<usize>) =
        (0..scoring.lines.len()).partition(|&i| shares(model, &questions[scoring.lines[i].question]));
    scoring.whole(whole)?;
    scoring.shared(shared)?;
    let scores = scoring.scores;
    if let Some(at) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::argument(format!(
            "the log-probabilities of question {} are not numbers: are there NaN or infinite weights in the model?",
            scoring.lines[at].question + 1
        )));
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

/// Whether the choices of a question can be run on top of their prompt, and it is worth it: a model whose rotary embedding
/// changes with the length of a text reads the prompt otherwise in a long one.
fn shares(model: &Model, question: &Choice) -> bool {
    let prompt = question.prompt.len();
    let outgrows = |choice: &Vec<u32>| model.decoder.outgrows(prompt - 1, prompt + choice.len());
    question.choices.len() > 1 && prompt > 1 && !question.choices.iter().any(outgrows)
}

/// One choice of one question.
#[derive(Clone, Copy)]
struct Line<'a> {
    question: usize,
    prompt: &'a [u32],
    choice: &'a [u32],
}

impl Line<'_> {
    fn tokens(&self) -> usize {
        self.prompt.len() + self.choice.len()
    }
}

/// The log-probabilities of all choices.
struct Scoring<'a> {
    model: &'a Model,
    host: &'a Host,
    lines: Vec<Line<'a>>,
    scores: Vec<f64>,
    done: usize,
}

impl Scoring<'_> {
    /// Scores these lines, each from its first token to its last.
    fn whole(&mut self, mut order: Vec<usize>) -> Result<()> {
        // Longest first: sequences of a batch are then of similar length, and memory is known at once.
        order.sort_by_key(|&i| Reverse(self.lines[i].tokens()));
        for group in groups(&order, TOKENS, |i| self.lines[i].tokens()) {
            let examples: Vec<Example> =
                group.iter().map(|&i| Example::new(self.lines[i].prompt, self.lines[i].choice)).collect();
            let batch = collate(group.iter().map(|&i| i as u32).zip(&examples));
            let Model { decoder, exec, params, .. } = self.model;
            let logp = decoder.logp(exec, self.host, params, &batch)?.to_vec1::<f32>()?;
            for (logp, sequence) in logp.iter().zip(batch.labelled_sequences()) {
                self.scores[batch.examples[sequence as usize] as usize] += f64::from(*logp);
            }
            self.progress(group.len());
        }
        Ok(())
    }

    /// Scores these lines, which are all those of their questions, on top of their prompts.
    fn shared(&mut self, order: Vec<usize>) -> Result<()> {
        let mut questions: Vec<&[usize]> =
            order.chunk_by(|&a, &b| self.lines[a].question == self.lines[b].question).collect();
        let prompt = |lines: &[usize]| self.lines[lines[0]].prompt;
        questions.sort_by_key(|lines| Reverse(prompt(lines).len()));
        let all: Vec<usize> = (0..questions.len()).collect();
        let config = &self.model.config;
        let token = 2 * size_of::<f32>() * config.layers.len() * config.kv_size();
        let cached = (CACHED / token.max(1)).clamp(1, 4 * TOKENS);
        for group in groups(&all, TOKENS.min(cached), |q| self.lines[questions[q][0]].prompt.len()) {
            let Model { decoder, exec, params, .. } = self.model;
            // The last token of a prompt is run with each choice, for its log-probabilities are those of the choice's first.
            let heads: Vec<&[u32]> = group
                .iter()
                .map(|&q| self.lines[questions[q][0]].prompt)
                .map(|prompt| &prompt[..prompt.len() - 1])
                .collect();
            let mut cache = decoder.cache(group.len());
            decoder.read(exec, self.host, params, &mut cache, &heads)?;
            let slots = group.iter().enumerate();
            let (slot, lines): (Vec<usize>, Vec<usize>) =
                slots.flat_map(|(slot, &q)| questions[q].iter().map(move |&line| (slot, line))).unzip();
            let places: Vec<usize> = (0..lines.len()).collect();
            for part in groups(&places, cached, |at| self.lines[lines[at]].tokens()) {
                let slots: Vec<usize> = part.iter().map(|&at| slot[at]).collect();
                let longest = part.iter().map(|&at| self.lines[lines[at]].choice.len()).max().unwrap_or(0);
                let mut copies = cache.select(&slots, longest);
                let of = |at: &usize| self.lines[lines[*at]];
                let tokens: Vec<Vec<u32>> = part.iter().map(|at| continuation(of(at))).collect();
                let next: Vec<u32> = part.iter().flat_map(|at| of(at).choice).copied().collect();
                let logp = decoder.read(exec, self.host, params, &mut copies, &tokens)?.logp(&next)?;
                let mut logp = logp.to_vec1::<f32>()?.into_iter();
                for &at in part {
                    let own = logp.by_ref().take(self.lines[lines[at]].choice.len());
                    self.scores[lines[at]] = own.map(f64::from).sum();
                }
                self.progress(part.len());
            }
        }
        Ok(())
    }

    fn progress(&mut self, lines: usize) {
        self.done += lines;
        self.host.events.progress("choice", self.done as u64, self.lines.len() as u64, "");
    }
}

/// The tokens that a choice is predicted from, but for those of the prompt before its last.
fn continuation(line: Line<'_>) -> Vec<u32> {
    let before = &line.choice[..line.choice.len() - 1];
    line.prompt.last().into_iter().chain(before).copied().collect()
}

/// Stretches of `order` whose sizes add up to at most `most`, with at least one each.
fn groups(order: &[usize], most: usize, size: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut found, mut rest) = (Vec::new(), order);
    while !rest.is_empty() {
        let mut sum = 0;
        let fits = rest.iter().take_while(|&&i| {
            sum += size(i);
            sum <= most
        });
        let (group, after) = rest.split_at(fits.count().max(1));
        found.push(group);
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eval::perplexity;
    use crate::model::{Config, Decoder, init};
    use crate::ops::Exec;

    /// A small model with what `more` says of its configuration.
    fn model(more: serde_json::Value) -> Model {
        let mut json = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
            "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "initializer_range": 0.3,
            "tie_word_embeddings": true, "hidden_act": "silu"
        });
        for (name, value) in more.as_object().expect("names and values") {
            json[name] = value.clone();
        }
        let config = Config::from_json(&json).expect("a config");
        let decoder = Decoder::new(&config).expect("a decoder");
        let params = init::random(&decoder, 3, candle_core::DType::F32, &Exec::cpu(), &Host::default());
        Model::new(config, params.expect("weights"), Exec::cpu(), "test").expect("a model")
    }

    /// Questions of 1 to 20 tokens and some longer ones, with 1 to 4 choices of different lengths.
    fn questions() -> Vec<Choice> {
        let prompt = |q: u32, len: u32| (0..len).map(|i| (i * 7 + q) % 40).collect();
        let choices =
            |q: u32| (0..1 + q % 4).map(|c| (0..=c).map(|i| (q + 5 * c + i) % 40).collect()).collect();
        let short = (0..30).map(|q| Choice { prompt: prompt(q, 1 + q % 20), choices: choices(q) });
        let long = (30..34).map(|q| Choice { prompt: prompt(q, 900), choices: choices(q) });
        short.chain(long).collect()
    }

    #[test]
    fn scores_are_those_of_each_continuation_alone() {
        let host = Host::default();
        let windowed = json!({
            "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 5
        });
        for model in [model(json!({})), model(windowed)] {
            let questions = questions();
            let all = choose(&model, &questions, Normalize::Token, &host).expect("chooses");
            assert_eq!(all.len(), questions.len());
            for (question, chosen) in questions.iter().zip(&all) {
                let alone: Vec<f64> = question
                    .choices
                    .iter()
                    .map(|choice| {
                        let batch = collate([(0, &Example::new(&question.prompt, choice))]);
                        -perplexity(&model, [&batch].into_iter(), &host).expect("measures").loss()
                    })
                    .collect();
                assert_eq!(alone.len(), chosen.scores.len());
                let far = alone.iter().zip(&chosen.scores).any(|(a, b)| (a - b).abs() > 1e-4);
                assert!(!far, "{alone:?} {chosen:?}");
                assert!(alone.iter().all(|a| *a <= alone[chosen.best] + 1e-4));
            }
            let sums = choose(&model, &questions, Normalize::None, &host).expect("chooses");
            for (question, (sum, mean)) in questions.iter().zip(sums.iter().zip(&all)) {
                for (choice, (sum, mean)) in question.choices.iter().zip(sum.scores.iter().zip(&mean.scores))
                {
                    assert!((sum - mean * choice.len() as f64).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_prompt_that_would_be_read_otherwise_in_a_longer_text_is_not_shared() {
        let host = Host::default();
        let factors: Vec<f64> = (0..4).map(|i| 1.0 + f64::from(i)).collect();
        let long = json!({
            "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": 8,
            "max_position_embeddings": 64, "pad_token_id": 0, "tie_word_embeddings": false,
            "rope_scaling": {"type": "longrope", "short_factor": vec![1.0; 4], "long_factor": factors}
        });
        let model = model(long);
        for len in 2..12u32 {
            let question = Choice {
                prompt: (0..len).map(|i| (i * 11 + 3) % 40).collect(),
                choices: vec![vec![5], vec![9, 10, 11], vec![1, 2]],
            };
            let found =
                choose(&model, std::slice::from_ref(&question), Normalize::None, &host).expect("chooses");
            for (choice, score) in question.choices.iter().zip(&found[0].scores) {
                let batch = collate([(0, &Example::new(&question.prompt, choice))]);
                let alone = -perplexity(&model, [&batch].into_iter(), &host).expect("measures").sum;
                assert!((alone - score).abs() < 1e-4, "{len} tokens: {alone} {score}");
            }
        }
    }

    #[test]
    fn nothing_to_predict_is_an_error() {
        let none = [Choice { prompt: vec![], choices: vec![vec![1]] }];
        assert!(choose(&model(json!({})), &none, Normalize::None, &Host::default()).is_err());
    }
}
