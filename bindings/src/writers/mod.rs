//! What is written from the registry: pages for the terminal, the reference, definitions for editors.

pub mod doc;
pub mod examples;
mod modules;
pub mod reference;
mod search;
pub mod types;
pub mod types_rhai;

pub use search::search;
