//! Tests from outside: the program, the prompt, and what an embedding host sees.

mod cli;
mod engine;
mod repl;
#[cfg(unix)]
mod terminal;
mod ticket;
