//! A model that can be run: decoder, parameters, tokenizer and the rest of its folder.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::Serialize;
use serde_json::Value;

use super::{
    ChatOptions, ChatTemplate, Config, Decoder, GenerationDefaults, ParamSpec, Params, Role, Tokenizer,
};
use crate::ops::Exec;
use crate::{Error, Result};

/// A model and what belongs to it.
#[derive(Clone)]
pub struct Model {
    /// The description of the decoder.
    pub config: Config,
    /// The decoder.
    pub decoder: Decoder,
    /// The weights.
    pub params: Params,
    /// How operations are carried out.
    pub exec: Exec,
    /// The tokenizer, if the model came with one.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// The chat template, if the model came with one.
    pub chat_template: Option<ChatTemplate>,
    /// What the model's files say about generation.
    pub generation: GenerationDefaults,
    /// Where it was loaded from, as it was asked for.
    pub source: String,
}

/// What `lota model info` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The class name in Hugging Face's configuration.
    pub architecture: String,
    /// The family, as configurations name it.
    pub family: String,
    /// Where it was loaded from.
    pub source: String,
    /// The number of parameters (tensors).
    pub parameters: usize,
    /// Their entries together.
    pub entries: u64,
    /// For each kind of parameter that occurs: its name, the number of tensors, their entries.
    pub by_role: Vec<(String, usize, u64)>,
    /// The type of the weights.
    pub dtype: String,
    /// What dense products multiply as.
    pub compute: String,
    /// The bytes all parameters take.
    pub bytes: u64,
    /// Decoder layers.
    pub layers: usize,
    /// The width of the residual stream.
    pub hidden: usize,
    /// Query heads, key and value heads, width of a head.
    pub heads: (usize, usize, usize),
    /// Rows of the embedding.
    pub vocab: usize,
    /// The longest sequence it was made for.
    pub context: usize,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// One more than the tokenizer's largest id, if there is a tokenizer.
    pub tokenizer: Option<usize>,
    /// Whether there is a chat template.
    pub chat_template: bool,
}

impl Model {
    /// A model without tokenizer and template.
    pub fn new(config: Config, params: Params, exec: Exec, source: impl Into<String>) -> Result<Self> {
        let decoder = Decoder::new(&config)?;
        decoder.universe().check_same(params.universe())?;
        let generation = GenerationDefaults::new(serde_json::Map::new(), &config, None);
        Ok(Self {
            config,
            decoder,
            params,
            exec,
            tokenizer: None,
            chat_template: None,
            generation,
            source: source.into(),
        })
    }

    /// Gives the model a tokenizer, and with it an end of sequence.
    pub fn with_tokenizer(mut self, tokenizer: Arc<Tokenizer>) -> Self {
        self.generation = GenerationDefaults::new(
            std::mem::take(&mut self.generation.json),
            &self.config,
            Some(&tokenizer),
        );
        self.tokenizer = Some(tokenizer);
        self
    }

    /// The tokenizer, or an error that says there is none.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        self.tokenizer.as_ref().ok_or_else(|| {
            let pieces = match Path::new(&self.source).join("tokenizer.model").exists() {
                true => {
                    ". Its tokenizer.model (SentencePiece) is not read: have transformers make a tokenizer.json of it, \
                     AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
                }
                false => "",
            };
            Error::argument(format!(
                "the model {} has no tokenizer: put a tokenizer.json beside its weights, or give one when loading{pieces}",
                self.source
            ))
        })
    }

    /// The text of a conversation, by the model's chat template.
    pub fn chat(&self, messages: &Value, options: &ChatOptions) -> Result<String> {
        let template = self
            .chat_template
            .as_ref()
            .ok_or_else(|| Error::argument(format!("the model {} has no chat template", self.source)))?;
        template.render(messages, options, self.tokenizer.as_deref())
    }

    /// Replaces a parameter by the values of `tensor`, in the parameter's own type and memory.
    pub fn set_param(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let index = self.params.universe().get(name)?;
        let old = self.params.get(index);
        // Copied, because the given tensor may be shared with whoever gave it.
        let new = tensor.detach().copy()?.to_dtype(old.dtype())?.to_device(old.device())?.contiguous()?;
        self.params.set(index, new)
    }

    /// A model that shares no weights with this one.
    pub fn duplicate(&self) -> Result<Self> {
        Ok(Self { params: self.params.copy()?, ..self.clone() })
    }

    /// A hash of names, shapes and values of the parameters: see [`Params::fingerprint`].
    pub fn fingerprint(&self) -> Result<String> {
        self.params.fingerprint(&self.exec)
    }

    /// What there is to know about the model at a glance.
    pub fn info(&self) -> Info {
        let specs = self.params.universe().specs();
        let by_role = Role::ALL
            .iter()
            .map(|role| {
                let of: Vec<&ParamSpec> = specs.iter().filter(|s| s.role == *role).collect();
                (role.as_str().to_string(), of.len(), of.iter().map(|s| s.entries()).sum())
            })
            .filter(|(_, count, _)| *count > 0)
            .collect();
        let c = &self.config;
        Info {
            architecture: c.family.architecture().to_string(),
            family: c.family.model_type().to_string(),
            source: self.source.clone(),
            parameters: specs.len(),
            entries: self.params.universe().entries(),
            by_role,
            dtype: if self.params.dtype() == DType::BF16 { "bf16" } else { "f32" }.to_string(),
            compute: self.exec.compute().as_str().to_string(),
            bytes: self.params.bytes(),
            layers: c.layers.len(),
            hidden: c.hidden_size,
            heads: (c.heads, c.kv_heads, c.head_dim),
            vocab: c.vocab_size,
            context: c.max_positions,
            tied: c.tied,
            tokenizer: self.tokenizer.as_ref().map(|t| t.size()),
            chat_template: self.chat_template.is_some(),
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("source", &self.source).field("family", &self.config.family).finish()
    }
}
