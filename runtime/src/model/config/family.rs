//! The families of models that are known, by the names configurations use.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Llama 1 to 3.x, and the many models of the same shape (SmolLM 1 and 2, TinyLlama, Yi, …).
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3, dense.
    Qwen3,
    /// Gemma 1.
    Gemma,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text only.
    Gemma3,
    /// Phi-3, Phi-3.5, Phi-4.
    Phi3,
    /// OLMo 2.
    Olmo2,
    /// SmolLM3.
    SmolLm3,
    /// Granite 3, dense.
    Granite,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 11] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
        Self::Olmo2,
        Self::SmolLm3,
        Self::Granite,
    ];

    /// The `model_type` of its configurations.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma => "gemma",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3_text",
            Self::Phi3 => "phi3",
            Self::Olmo2 => "olmo2",
            Self::SmolLm3 => "smollm3",
            Self::Granite => "granite",
        }
    }

    /// The class name in `architectures`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gemma => "GemmaForCausalLM",
            Self::Gemma2 => "Gemma2ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Olmo2 => "Olmo2ForCausalLM",
            Self::SmolLm3 => "SmolLM3ForCausalLM",
            Self::Granite => "GraniteForCausalLM",
        }
    }

    /// The family a configuration belongs to, by `model_type` or else by `architectures`.
    pub(super) fn of(json: &Map<String, Value>) -> Result<Self> {
        let model_type = json.get("model_type").and_then(Value::as_str);
        let architecture = json
            .get("architectures")
            .and_then(Value::as_array)
            .and_then(|list| list.first())
            .and_then(Value::as_str);
        let known = match (model_type, architecture) {
            (Some(name), _) => Self::ALL.into_iter().find(|f| f.model_type() == name),
            (None, Some(name)) => Self::ALL.into_iter().find(|f| f.architecture() == name),
            (None, None) => {
                return Err(Error::argument(
                    "the config has neither `model_type` nor `architectures`, so its architecture is unknown",
                ));
            }
        };
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|f| f.model_type()).collect();
            Error::argument(format!(
                "unknown architecture `{}`; known are {}",
                model_type.or(architecture).unwrap_or_default(),
                names.join(", ")
            ))
        })
    }

    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma | Self::Gemma2 | Self::Gemma3)
    }
}
