//! Tests from outside: the program's output, and what an embedding host sees.

mod cli;
mod embed;
mod engine;
mod patterns;
mod ticket;
