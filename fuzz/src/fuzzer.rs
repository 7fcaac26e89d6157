//! libFuzzer on the target that `LOTA_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use lota_fuzz::mend::{Parts, Shape};
use lota_fuzz::{TARGETS, Target, named, run};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("LOTA_FUZZ_TARGET").unwrap_or_default();
    named(&name).unwrap_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("LOTA_FUZZ_TARGET must name a target, not {name:?}; known are {}", known.join(", "));
        std::process::exit(2)
    })
});

fuzz_target!(init: {
    // What works in parallel works on this thread, so that a file has one course, and signals one stack.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("no pool was there before");
    #[cfg(unix)]
    give_signals_a_stack();
    let _ = *TARGET;
}, |bytes: &[u8]| {
    if let Err(what) = run(*TARGET, bytes) {
        eprintln!("lota-fuzz: a finding of {}: {what}", TARGET.name);
        std::process::abort();
    }
});

/// A stack for signals alone: that a stack is used up can only be told on another.
#[cfg(unix)]
fn give_signals_a_stack() {
    let memory: &'static mut [u8] = Box::leak(vec![0; 1 << 18].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
    // SAFETY: the memory is of this size, is used for nothing else, and is never freed; the old stack is not asked for.
    let done = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    assert_eq!(done, 0, "signals get no stack");
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let shape = TARGET.shape;
    // Now and then a file is changed as it is: then the checks of lengths and hashes are what is tried.
    if shape == Shape::Plain || seed.is_multiple_of(8) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut parts = Parts::of(&data[..size], shape);
    let part = match (shape, seed / 8 % 4) {
        (Shape::Beside, 0) => &mut parts.before,
        (_, 0 | 1) => &mut parts.header,
        _ => &mut parts.body,
    };
    let length = part.len();
    part.resize(length + max_size.saturating_sub(size), 0);
    let most = part.len();
    let length = fuzzer_mutate(part, length, most);
    part.truncate(length);
    let made = parts.join(shape, max_size);
    if made.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..made.len()].copy_from_slice(&made);
    made.len()
});
