//! Everything that reads what somebody else wrote, fed with files that are made to break it.
//!
//! A target is a function of some bytes: it gives them to a reader as a user's file would be, uses what was read a little,
//! and says whether it was read. What is a finding: a panic (those too that the program would tell as the fault of a file or of lota itself), an
//! abort, a stack overflow, more than [`MOST_MEMORY`] bytes held at once, more than [`MOST_TIME`] in one go; and, for the
//! formats that we write, that what was read and written again does not read as the same.
//!
//! # Running
//!
//! `cargo test --workspace --test corpus` gives each file of `fuzz/corpus/TARGET/` to its target. It needs nothing but
//! Rust and is part of the ordinary tests.
//!
//! `.ci/fuzz` builds the fuzzer (libFuzzer, on stable Rust, with a C++ compiler) and runs each target for 60 seconds;
//! `.ci/fuzz 600 gguf mask` runs these two for ten minutes each. What was found lies in `target/fuzz/found/TARGET/`, and
//! what reaches new code in `target/fuzz/corpus/TARGET/`, where the next run begins. `.ci/fuzz --keep 60` adds the small
//! files among the latter to `fuzz/corpus/`.
//!
//! # From a finding to a test
//!
//! `target/fuzz/lota-fuzz FILE` with `LOTA_FUZZ_TARGET=TARGET` runs one file (`RUST_BACKTRACE=1` shows where), and with
//! `-minimize_crash=1` makes it smaller. Copy it to `fuzz/corpus/TARGET/found-WHAT`: the corpus test then fails until the
//! reader is mended. Where the reason can be said in words, the reader gets a test of its own beside it.
//!
//! # A new target
//!
//! A function in `targets/`, a line in [`TARGETS`], some files from `seeds/` (`cargo run -p lota-fuzz -p lota-features --bin
//! lota-fuzz-seeds` writes what is missing), and words of the format in `dict/TARGET.dict` if it has any. A format whose
//! bytes say their own lengths or hash needs [`mend`] too, or the fuzzer never gets behind the first check.

mod memory;
pub mod mend;
mod place;
pub mod targets;
mod tiny;
mod watch;

pub use memory::MOST_MEMORY;
pub use tiny::{TINY, mask, model, published_universe, ticket, trainer};
pub use watch::{MOST_TIME, run};

/// One target: its name, which is that of its folder in the corpus, what it does with bytes, and how they are built.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Feeds bytes, and says whether they were read as what they should be.
    pub feed: fn(&[u8]) -> bool,
    /// How its files are built, as far as lengths and hashes go.
    pub shape: mend::Shape,
}

const fn target(name: &'static str, feed: fn(&[u8]) -> bool, shape: mend::Shape) -> Target {
    Target { name, feed, shape }
}

/// All targets.
pub const TARGETS: &[Target] = {
    use mend::Shape::{Beside, Container, Plain, Sealed};
    use targets::{data, files, models, scripts, sealed, texts};
    &[
        target("safetensors", models::safetensors, Container),
        target("index", models::index, Plain),
        target("config", models::config, Plain),
        target("gguf", models::gguf, Plain),
        target("tensors", files::tensors, Container),
        target("adapter", files::adapter, Beside),
        target("published", files::published, Plain),
        target("ticket-plain", sealed::ticket, Sealed),
        target("ticket-compact", sealed::ticket, Sealed),
        target("mask", sealed::mask, Sealed),
        target("values", sealed::values, Sealed),
        target("stats", sealed::stats, Sealed),
        target("training", sealed::training, Sealed),
        target("tokenizer", texts::tokenizer, Plain),
        target("template", texts::template, Plain),
        target("merge", scripts::merge, Plain),
        target("jsonl", data::jsonl, Plain),
        target("json", data::json, Plain),
        target("csv", data::csv, Plain),
        target("tsv", data::tsv, Plain),
        target("parquet", data::parquet, Plain),
        target("lua", scripts::lua, Plain),
        target("rhai", scripts::rhai, Plain),
    ]
};

/// The target of a name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[global_allocator]
static ALLOCATOR: lota::Counting<memory::Bounded> = lota::Counting::around(memory::Bounded);
