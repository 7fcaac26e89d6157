//! Measuring models: perplexity, choices by their likelihood, and comparisons of texts.

mod choice;
mod perplexity;
mod text;

pub use choice::{Choice, Chosen, Normalize, choose};
pub use perplexity::{Perplexity, perplexity};
pub use text::{answer_number, edit_distance, exact_match, numbers, rouge_l};
