//! Tests from outside: the program, the prompt, and what an embedding host sees.

mod cli;
mod durable;
mod embed;
mod engine;
#[cfg(all(unix, debug_assertions))]
mod faults;
mod features;
mod generated;
mod layers;
mod lengths;
#[cfg(unix)]
mod links;
#[cfg(target_os = "linux")]
mod memory;
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

/// Some tests limit the memory of Rhai scripts, and some refuse it.
#[cfg(all(unix, debug_assertions))]
#[global_allocator]
static ALLOCATOR: lota::Counting<faults::Refusing> = lota::Counting::around(faults::Refusing);

#[cfg(not(all(unix, debug_assertions)))]
#[global_allocator]
static ALLOCATOR: lota::Counting = lota::Counting::system();
