//! Tests of the runtime through its public interface, in one binary.

mod common;
mod configs;
mod damage;
mod data;
mod factors;
mod families;
mod families_backward;
mod families_generate;
mod families_random;
mod families_transformers;
mod folders;
mod generating;
mod gguf;
mod gguf_split;
mod logits;
mod lora;
mod merging;
mod plain;
mod readers;
mod sparse;
mod stats;
mod stored;
mod templates;
mod tied;
mod train;
mod zoo;
