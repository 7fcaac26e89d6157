//! GGUF files: one memory-mapped file with weights (often quantised), the shape of the model and
//! its tokenizer.
//!
//! Everything is turned into what a Hugging Face folder would hold: names, the order of query and
//! key rows, `config.json`. The rest of the crate does not know where a model came from.

mod blocks;
mod config;
mod cursor;
mod header;
mod kind;
mod metadata;
mod names;
mod rope;
mod source;

pub(crate) use header::Gguf;
pub(crate) use metadata::Metadata;
pub(crate) use source::Weights;

pub(crate) use config::config_json;
