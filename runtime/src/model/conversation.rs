//! Conversations as training examples: by the model's chat template, what is given and what is learnt.

use serde_json::Value;

use super::{ChatOptions, Model};
use crate::data::Pair;
use crate::{Error, Result};

impl Model {
    /// The text that an answer follows: all messages before a last one of the assistant's (all of them where the
    /// last one is of another role), and the beginning of the assistant's turn.
    ///
    /// `messages` is a list of objects with `role` and `content`.
    pub fn chat_prompt(&self, messages: &Value) -> Result<String> {
        let list = listed(messages)?;
        let before = match list.split_last() {
            Some((last, before)) if is_answer(last) => before,
            _ => list,
        };
        if before.is_empty() {
            return Err(Error::argument("messages: nothing stands before the assistant's message"));
        }
        self.chat(&Value::Array(before.to_vec()), &opened())
    }

    /// The prompt and the target of a conversation that ends with a message of the assistant's: the target is that
    /// message as the chat template writes it, without the token that ends a text (training adds it).
    ///
    /// A template that writes the beginning of a conversation otherwise once the answer is there is an error: what
    /// is learnt would not follow what is given when the model generates.
    pub fn chat_pair(&self, messages: &Value) -> Result<Pair> {
        let list = listed(messages)?;
        match list.last() {
            Some(last) if is_answer(last) => {}
            last => {
                let role = last.and_then(|m| m.get("role")).and_then(Value::as_str).unwrap_or("none");
                return Err(Error::argument(format!(
                    "messages: the last one must be the assistant's, since it is what is learnt; its role is {role:?}"
                )));
            }
        }
        let prompt = self.chat_prompt(messages)?;
        let whole =
            self.chat(messages, &ChatOptions { add_generation_prompt: false, ..ChatOptions::default() })?;
        let Some(target) = whole.strip_prefix(&prompt) else {
            return Err(Error::argument(format!(
                "the chat template of {} writes a conversation with its answer otherwise than the prompt of that \
                 answer, so the answer cannot be cut out; write rows of prompt and target instead",
                self.source
            )));
        };
        let target = self.without_end(target).to_string();
        if target.trim().is_empty() {
            return Err(Error::argument(
                "messages: the assistant's message is empty, so there is nothing to learn",
            ));
        }
        Ok(Pair { prompt, target })
    }

    /// A turn without the token that ends a text, where the template writes it last.
    fn without_end<'a>(&self, turn: &'a str) -> &'a str {
        let eos = self.tokenizer.as_ref().and_then(|t| t.specials().eos.as_ref());
        eos.and_then(|eos| turn.trim_end().strip_suffix(eos.token.as_str())).unwrap_or(turn)
    }
}

fn opened() -> ChatOptions {
    ChatOptions { add_generation_prompt: true, ..ChatOptions::default() }
}

fn listed(messages: &Value) -> Result<&[Value]> {
    match messages.as_array() {
        Some(list) if !list.is_empty() => Ok(list),
        Some(_) => Err(Error::argument("messages is empty")),
        None => Err(Error::argument("messages must be a list of tables with role and content")),
    }
}

fn is_answer(message: &Value) -> bool {
    message.get("role").and_then(Value::as_str) == Some("assistant")
}
