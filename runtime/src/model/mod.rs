//! Models: their parameters by name, and everything that reads, runs and writes them.

mod attach;
pub mod config;
mod conversation;
pub mod decoder;
mod defaults;
mod embedded;
mod files;
mod fingerprint;
mod generate;
mod gguf;
mod hold;
#[cfg(feature = "hub")]
mod hub;
pub mod init;
mod json;
mod load;
mod loaded;
mod param;
mod params;
pub(crate) mod quantization;
pub(crate) mod save;
mod template;
pub(crate) mod tied;
mod tokenizer;
pub(crate) mod torch;
pub(crate) mod weights;

pub use attach::Init;
pub use config::Config;
pub use decoder::Decoder;
pub use defaults::GenerationDefaults;
pub use embedded::load_embedded;
pub use files::WeightFiles;
pub(crate) use fingerprint::each_chunk;
pub use generate::{Finish, GenerateOptions, Generated, OnText, Sampling};
pub use hold::{Hold, InLoss};
#[cfg(feature = "hub")]
pub(crate) use hub::fetch;
pub use load::{HubOptions, LoadOptions, load};
pub use loaded::{Info, Model};
pub use param::{ParamSpec, Role, Universe};
pub use params::Params;
pub use save::SaveOptions;
pub(crate) use save::is_of_a_model;
pub use template::{ChatOptions, ChatTemplate};
pub use tokenizer::{Special, Specials, TextStream, Tokenizer, TokenizerTraining, train_tokenizer};
