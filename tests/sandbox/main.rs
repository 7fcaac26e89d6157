//! Scripts that are not trusted: attacks on engines with limits, in this process and in one of their own, and what isolation
//! promises. The files of this folder are the attacks.
//!
//! `cargo test --workspace --test sandbox NAME` runs those whose name contains NAME.

#![allow(clippy::disallowed_methods, reason = "a test looks at files itself")]

mod attacks;
#[cfg(unix)]
mod isolation;
mod watched;

use libtest_mimic::Arguments;

#[global_allocator]
static ALLOCATOR: lota::Counting<watched::Watched> = lota::Counting::around(watched::Watched);

fn main() {
    // Engines in processes of their own are this program again.
    #[cfg(unix)]
    lota::isolation::enter();
    let mut arguments = Arguments::from_args();
    // Many of them wait for the disk.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(3 * cores);
    let mut trials = attacks::trials();
    #[cfg(unix)]
    trials.extend(isolation::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
