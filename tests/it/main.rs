//! Tests from outside: the program's output, and what an embedding host sees.

mod cli;
mod engine;
mod merge;
mod ticket;
