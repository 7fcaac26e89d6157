//! Tests from outside: the program, the prompt, and what an embedding host sees.

mod cli;
mod durable;
mod embed;
mod engine;
mod features;
mod generated;
mod layers;
mod lengths;
#[cfg(unix)]
mod links;
mod merge;
mod merge_killed;
mod pages;
mod repl;
mod rhai;
mod saved;
mod scripts;
#[cfg(unix)]
mod signals;
mod start;
mod stopping;
mod ticket;

/// Some tests limit the memory of Rhai scripts.
#[global_allocator]
static ALLOCATOR: lota::Counting = lota::Counting::system();
