//! Measuring models: perplexity, and choices by their likelihood.

mod choice;
mod perplexity;

pub use choice::{Choice, Chosen, Normalize, choose};
pub use perplexity::{Perplexity, perplexity};
