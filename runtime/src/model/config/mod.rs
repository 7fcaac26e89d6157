//! The description of a decoder, read from a Hugging Face `config.json`.
//!
//! Families differ by what this description says, never by code of their own: [`parse`] turns the
//! many spellings found in the wild into one [`Config`], and the decoder looks only at that. A value
//! that is needed and absent is an error that names it; nothing falls back to a guess.

mod family;
mod fields;
mod parse;
mod rope;

use std::path::Path;

use serde_json::{Map, Value};

pub use family::Family;
pub use rope::{Rope, RopeScaling};

use crate::host::read_bytes;
use crate::model::quantization::Quantization;
use crate::{Error, Result};

/// The gate's activation in the feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
}

/// Where a block normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before attention and before the feed-forward layers (Llama and most others).
    Pre,
    /// Before and after both (Gemma 2 and 3).
    PreAndPost,
    /// Only after both (OLMo 2).
    Post,
}

/// Whether queries and keys are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// No normalisation.
    None,
    /// Each head on its own, with one weight of the size of a head (Qwen 3, Gemma 3).
    Head,
    /// The whole projection at once (OLMo 2).
    Projection,
}

/// Which linear layers carry a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Biases {
    /// Query, key and value projections.
    pub qkv: bool,
    /// The output projection of attention.
    pub output: bool,
    /// The feed-forward projections.
    pub mlp: bool,
}

/// What distinguishes one layer from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The number of positions a token sees, itself included; `None`: all before it.
    pub window: Option<usize>,
    /// Which of [`Config::ropes`] turns its queries and keys; `None`: no positions at all.
    pub rope: Option<usize>,
}

/// Everything the decoder needs to know about a model's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family it was read as.
    pub family: Family,
    /// The number of token ids.
    pub vocab_size: usize,
    /// The width of the residual stream.
    pub hidden_size: usize,
    /// The width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// The width of a head.
    pub head_dim: usize,
    /// The longest sequence the model was made for.
    pub max_positions: usize,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// Added under the root in every normalisation.
    pub norm_eps: f64,
    /// Whether normalisation multiplies by `1 + weight` (Gemma).
    pub norm_offset: bool,
    /// Where blocks normalise.
    pub norms: NormPlacement,
    /// Normalisation of queries and keys.
    pub qk_norm: QkNorm,
    /// The gate's activation.
    pub activation: Activation,
    /// Which linear layers carry a bias.
    pub biases: Biases,
    /// Whether `qkv_proj` and `gate_up_proj` are single matrices (Phi-3).
    pub fused: bool,
    /// Multiplies query-key products.
    pub attention_scale: f64,
    /// Attention scores are `cap · tanh(score / cap)`.
    pub attention_softcap: Option<f64>,
    /// Logits are `cap · tanh(logit / cap)`.
    pub logit_softcap: Option<f64>,
    /// Multiplies logits, before any cap.
    pub logit_scale: f64,
    /// Multiplies embeddings.
    pub embed_scale: f64,
    /// Multiplies what attention and feed-forward layers add to the residual stream.
    pub residual_scale: f64,
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The rotary embeddings that layers choose from.
    pub ropes: Vec<Rope>,
    /// The id that begins a text, if the configuration says.
    pub bos: Option<u32>,
    /// The ids that end a text, if the configuration says.
    pub eos: Vec<u32>,
    json: Map<String, Value>,
}

impl Config {
    /// Reads a `config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_bytes(path)?;
        let json: Value =
            serde_json::from_slice(&text).map_err(|e| Error::format(path, format!("not valid JSON: {e}")))?;
        Self::from_json(&json).map_err(|e| Error::format(path, e.to_string()))
    }

    /// Reads the value of a `config.json`: an object in any spelling that Hugging Face transformers
    /// has written.
    pub fn from_json(json: &Value) -> Result<Self> {
        let object = json.as_object().ok_or_else(|| Error::argument("a model's config must be an object"))?;
        // A form of weights that is not read is told before anything that may follow from it.
        Quantization::of(object)?;
        parse::config(object)
    }

    /// The object this was read from, unchanged.
    pub fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// The `config.json` of a copy of this model whose weights are stored as `dtype` (`float32`,
    /// `bfloat16`, `float16`): the object it was read from, with only that said anew.
    pub fn to_json(&self, dtype: &str) -> Value {
        let mut json = self.json.clone();
        let key = if json.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        json.insert(key.to_string(), Value::from(dtype));
        if json.contains_key("torch_dtype") {
            json.insert("torch_dtype".to_string(), Value::from(dtype));
        }
        // The weights are written in plain form, whatever they were read from.
        json.shift_remove("quantization_config");
        Value::Object(json)
    }

    /// The description of the same model with an output head of its own.
    #[must_use]
    pub fn untied(&self) -> Self {
        let mut config = self.clone();
        config.tied = false;
        config.json.insert("tie_word_embeddings".to_string(), Value::Bool(false));
        config
    }

    /// What the configuration asks for in training that is not done, in words: dropout.
    pub fn not_done(&self) -> Vec<String> {
        let asked = |key: &&str| self.json.get(*key).and_then(Value::as_f64).is_some_and(|p| p > 0.0);
        let told = |key: &str| format!("{key} is {}, but training here has no dropout", self.json[key]);
        ["attention_dropout", "resid_pdrop", "embd_pdrop"].into_iter().filter(asked).map(told).collect()
    }

    /// The width of all query heads together.
    pub fn q_size(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The width of all key heads (and of all value heads) together.
    pub fn kv_size(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}
