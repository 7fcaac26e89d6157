//! Tests from outside: the program's output, and what an embedding host sees.

mod cli;
mod embed;
mod engine;
mod generated;
mod patterns;
mod rhai;
mod ticket;
