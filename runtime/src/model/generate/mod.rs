//! Generation: prompts in, text out, several at a time.

mod sample;
mod stop;

use super::{Model, TextStream};
use crate::host::{Host, Rng};
use crate::{Error, Result};

pub use sample::Sampling;
use stop::Growing;

/// What to generate and when to end.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// The most new tokens for each prompt.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Where randomness begins. Each prompt has a generator of its own, so that its text does not
    /// depend on the prompts beside it.
    pub seed: u64,
    /// Texts that end a generation; the text ends before them.
    pub stop: Vec<String>,
    /// Ids that end a generation; `None`: those of the model.
    pub eos: Option<Vec<u32>>,
    /// Whether special tokens are left out of the text.
    pub skip_special: bool,
    /// How many prompts are run together.
    pub batch: usize,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 128,
            sampling: Sampling::default(),
            seed: 0,
            stop: Vec::new(),
            eos: None,
            skip_special: true,
            batch: 8,
        }
    }
}

impl GenerateOptions {
    /// An error that names the setting which is out of range.
    pub fn check(&self) -> Result<()> {
        self.sampling.check()?;
        if self.batch == 0 {
            return Err(Error::argument(
                "batch must be at least 1, not 0: it is how many prompts are run together",
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::argument("a stop string is empty: it would end every text at once"));
        }
        Ok(())
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Eos,
    /// A stop string came.
    Stop,
    /// It reached the number of tokens asked for, or the longest sequence the model was made for.
    Length,
}

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens, with the one that ended them if the model did.
    pub tokens: Vec<u32>,
    /// Their text, without a stop string; empty where the model has no tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// Receives text as it comes: the index of the prompt and a piece. False stops everything; what was
/// generated until then is returned.
pub type OnText<'a> = &'a mut dyn FnMut(usize, &str) -> Result<bool>;

/// One prompt under way.
struct Sequence<'a> {
    prompt: usize,
    history: Vec<u32>,
    /// Tokens of the prompt.
    given: usize,
    rng: Rng,
    stream: Option<TextStream<'a>>,
    text: Growing,
    finish: Option<Finish>,
}

impl Model {
    /// Continues each prompt (token ids).
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        host: &Host,
        mut on_text: Option<OnText<'_>>,
    ) -> Result<Vec<Generated>> {
        options.check()?;
        if !options.stop.is_empty() {
            self.tokenizer()?;
        }
        let mut done = Vec::with_capacity(prompts.len());
        let mut full = 0;
        for (at, group) in prompts.chunks(options.batch).enumerate() {
            let first = at * options.batch;
            let more =
                self.generate_group(first, group, options, host, &mut on_text, (&mut done, &mut full))?;
            host.events.progress("generate", (first + group.len()) as u64, prompts.len() as u64, "");
            if !more {
                break;
            }
        }
        if full > 0 {
            let texts = if full == 1 { "a text ends".to_string() } else { format!("{full} texts end") };
            host.events.notice(format!(
                "{texts} before max_tokens, at the {} tokens, prompt included, that the model was made for \
                 (max_position_embeddings)",
                self.config.max_positions
            ));
        }
        Ok(done)
    }

    /// Continues texts; what comes before every text (a beginning of sequence) is added unless the
    /// text has it.
    pub fn generate_text(
        &self,
        prompts: &[impl AsRef<str>],
        options: &GenerateOptions,
        host: &Host,
        on_text: Option<OnText<'_>>,
    ) -> Result<Vec<Generated>> {
        options.check()?;
        let tokenizer = self.tokenizer()?;
        let ids = prompts.iter().map(|p| tokenizer.encode_prompt(p.as_ref())).collect::<Result<Vec<_>>>()?;
        self.generate(&ids, options, host, on_text)
    }

    fn start<'a>(&'a self, prompt: usize, tokens: &[u32], options: &GenerateOptions) -> Result<Sequence<'a>> {
        let mut history = tokens.to_vec();
        if history.is_empty() {
            let bos = self.tokenizer.as_ref().and_then(|t| t.specials().bos.as_ref()).map(|s| s.id);
            let bos = bos.or(self.config.bos).ok_or_else(|| {
                Error::argument(format!(
                    "prompt {} is empty and the model has no token to begin with",
                    prompt + 1
                ))
            })?;
            history.push(bos);
        }
        let limit = self.config.max_positions;
        if history.len() >= limit {
            return Err(Error::argument(format!(
                "prompt {} has {} tokens; the model was made for {limit} (max_position_embeddings), new ones included: \
                 shorten it",
                prompt + 1,
                history.len()
            )));
        }
        Ok(Sequence {
            prompt,
            given: history.len(),
            history,
            rng: Rng::new(options.seed).fork(&format!("prompt {prompt}")),
            stream: self.tokenizer.as_ref().map(|t| t.stream(options.skip_special)),
            text: Growing::default(),
            finish: (options.max_tokens == 0).then_some(Finish::Length),
        })
    }

    /// Continues some prompts together; adds what came of them, and how many of them the model's length ended. False if the
    /// receiver of text asked to stop.
    fn generate_group(
        &self,
        first: usize,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        host: &Host,
        on_text: &mut Option<OnText<'_>>,
        (done, full): (&mut Vec<Generated>, &mut usize),
    ) -> Result<bool> {
        let eos = options.eos.as_ref().unwrap_or(&self.generation.eos);
        let started = prompts.iter().enumerate().map(|(i, tokens)| self.start(first + i, tokens, options));
        let mut all = started.collect::<Result<Vec<_>>>()?;
        let mut running: Vec<usize> = (0..all.len()).filter(|&i| all[i].finish.is_none()).collect();
        let mut cache = self.decoder.cache(running.len());
        let mut next: Vec<Vec<u32>> = running.iter().map(|&i| all[i].history.clone()).collect();
        let mut more = true;
        while more && !running.is_empty() {
            for (at, &i) in running.iter().enumerate() {
                let before = cache.tokens(at);
                if self.decoder.outgrows(before, before + next[at].len()) {
                    cache.truncate(at, 0)?;
                    next[at].clone_from(&all[i].history);
                }
            }
            let logits = self.decoder.read(&self.exec, host, &self.params, &mut cache, &next)?.logits()?;
            let mut logits: Vec<Vec<f32>> = logits.to_vec2()?;
            for (&i, logits) in running.iter().zip(&mut logits) {
                let sequence = &mut all[i];
                let id = options.sampling.pick(logits, &sequence.history, &mut sequence.rng)?;
                let piece = sequence.take(id, eos, options, self.config.max_positions)?;
                if let Some(on_text) = on_text.as_mut().filter(|_| !piece.is_empty()) {
                    more &= on_text(sequence.prompt, &piece)?;
                }
            }
            let keep: Vec<bool> = running.iter().map(|&i| all[i].finish.is_none()).collect();
            cache.retain(|at| keep[at]);
            running.retain(|&i| all[i].finish.is_none());
            next = running.iter().map(|&i| all[i].history[all[i].history.len() - 1..].to_vec()).collect();
        }
        *full += all.iter().filter(|sequence| sequence.is_full(options, self.config.max_positions)).count();
        done.extend(all.into_iter().map(|sequence| Generated {
            tokens: sequence.history[sequence.given..].to_vec(),
            finish: sequence.finish.unwrap_or(Finish::Length),
            text: sequence.text.into_text(),
        }));
        Ok(more)
    }
}

impl Sequence<'_> {
    /// Whether it ended because it is as long as those the model was made for.
    fn is_full(&self, options: &GenerateOptions, longest: usize) -> bool {
        let made = self.history.len() - self.given;
        self.finish == Some(Finish::Length) && self.history.len() >= longest && made < options.max_tokens
    }

    /// Takes the token that was chosen; the text that can be shown now.
    fn take(&mut self, id: u32, eos: &[u32], options: &GenerateOptions, longest: usize) -> Result<String> {
        self.history.push(id);
        if eos.contains(&id) {
            self.finish = Some(Finish::Eos);
        } else if self.history.len() - self.given >= options.max_tokens || self.history.len() >= longest {
            self.finish = Some(Finish::Length);
        }
        let Some(stream) = &mut self.stream else { return Ok(String::new()) };
        let mut piece = String::new();
        if self.finish != Some(Finish::Eos) || !options.skip_special {
            piece.push_str(&stream.push(id)?);
        }
        if self.finish.is_some() {
            piece.push_str(&stream.finish()?);
        }
        let (mut shown, stopped) = self.text.push(&piece, &options.stop);
        if stopped {
            self.finish = Some(Finish::Stop);
        } else if self.finish.is_some() {
            shown.push_str(&self.text.finish());
        }
        Ok(shown)
    }
}
