//! Training examples: token ids, which of them are targets, and what was cut to make them fit.

use super::NO_LABEL;
use super::bounded::{self, Encode, Keep};
use crate::host::Host;
use crate::{Error, Result};

/// One example. `labels[t]` is `tokens[t]` where token `t` is to be predicted (from the tokens
/// before it), and [`NO_LABEL`] elsewhere; it is *not* shifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The token ids.
    pub tokens: Vec<u32>,
    /// The labels, one for each token.
    pub labels: Vec<i32>,
}

impl Example {
    /// The example of a prompt and a target: labels on the target only.
    pub fn new(prompt: &[u32], target: &[u32]) -> Self {
        let tokens = [prompt, target].concat();
        let mut labels = vec![NO_LABEL; prompt.len()];
        labels.extend(target.iter().map(|&t| t as i32));
        Self { tokens, labels }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it has no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The number of targets that have a token before them to be predicted from.
    pub fn targets(&self) -> usize {
        self.labels.iter().skip(1).filter(|&&l| l != NO_LABEL).count()
    }
}

/// A prompt and what should follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The text that is given.
    pub prompt: String,
    /// The text that is learnt.
    pub target: String,
}

/// How pairs become examples.
#[derive(Clone, Debug)]
pub struct ExampleOptions {
    /// The most tokens of an example.
    pub max_len: usize,
    /// The most tokens of its prompt, once the example is too long.
    pub max_prompt: usize,
    /// Which end of the prompt is kept then.
    pub keep: Keep,
    /// The token put before the prompt.
    pub bos: Option<u32>,
    /// The token put after the target, and learnt.
    pub eos: Option<u32>,
}

impl Default for ExampleOptions {
    fn default() -> Self {
        Self { max_len: 512, max_prompt: 256, keep: Keep::End, bos: None, eos: None }
    }
}

/// What was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// Examples that were too long.
    pub examples: usize,
    /// Of these, those whose prompt lost tokens.
    pub prompts: usize,
    /// Of these, those whose target lost tokens (its end, and with it the end-of-text token).
    pub targets: usize,
    /// Tokens lost from prompts.
    pub prompt_tokens: usize,
    /// Tokens lost from targets.
    pub target_tokens: usize,
}

/// Examples, and what was cut to make them.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// The examples, in the order of their pairs.
    pub items: Vec<Example>,
    /// What was cut.
    pub truncation: Truncation,
}

/// The examples of `pairs`. As in the published code, an example is cut only if it is longer than
/// `max_len`: first its prompt to `max_prompt` tokens, then its target to what is left. What was
/// cut is counted in the result and told through the host's events. Of very long texts only a part
/// is tokenized, and of their lost tokens those of that part are counted.
pub fn examples(
    pairs: &[Pair],
    encoder: &dyn Encode,
    options: &ExampleOptions,
    host: &Host,
) -> Result<Examples> {
    let ExampleOptions { max_len, max_prompt, .. } = *options;
    if max_prompt >= max_len {
        return Err(Error::argument(format!(
            "max_prompt ({max_prompt}) must be smaller than max_len ({max_len}), or a long prompt would leave no \
             room for its target"
        )));
    }
    if options.bos.is_some() && max_prompt == 0 {
        return Err(Error::argument("max_prompt = 0 leaves no room for the bos token"));
    }
    let mut out = Examples::default();
    out.items.reserve(pairs.len());
    for (i, pair) in pairs.iter().enumerate() {
        if i % 256 == 0 {
            host.cancel.check()?;
        }
        // Of a text that is longer than all that can be kept, no more than that is needed.
        let mut prompt = bounded::encode(encoder, &pair.prompt, options.keep, max_len + 1)?;
        let mut target = bounded::encode(encoder, &pair.target, Keep::Start, max_len + 1)?;
        target.extend(options.eos);
        cut(&mut prompt, &mut target, options, &mut out.truncation);
        prompt.splice(0..0, options.bos);
        let example = Example::new(&prompt, &target);
        if example.targets() == 0 {
            return Err(Error::argument(format!(
                "example {} has nothing to learn: its target has no token that follows another one",
                i + 1
            )));
        }
        out.items.push(example);
    }
    let t = out.truncation;
    if t.examples > 0 {
        host.events.notice(format!(
            "{} of {} examples were longer than {max_len} tokens: {} prompts lost {} tokens, {} targets lost {} tokens",
            t.examples,
            pairs.len(),
            t.prompts,
            t.prompt_tokens,
            t.targets,
            t.target_tokens
        ));
    }
    Ok(out)
}

/// Cuts a prompt (to which the bos token is still to be added) and its target to the lengths of
/// `options`, and counts what it cut.
fn cut(prompt: &mut Vec<u32>, target: &mut Vec<u32>, options: &ExampleOptions, count: &mut Truncation) {
    let bos = usize::from(options.bos.is_some());
    if bos + prompt.len() + target.len() <= options.max_len {
        return;
    }
    count.examples += 1;
    let room = options.max_prompt - bos;
    if prompt.len() > room {
        let lost = prompt.len() - room;
        count.prompts += 1;
        count.prompt_tokens += lost;
        match options.keep {
            Keep::Start => prompt.truncate(room),
            Keep::End => drop(prompt.drain(..lost)),
        }
    }
    let room = options.max_len - bos - prompt.len();
    if target.len() > room {
        count.targets += 1;
        count.target_tokens += target.len() - room;
        target.truncate(room);
    }
}
