//! Room on the stack for work whose depth somebody else decides: a script, a template, a nested value.
//!
//! A stack that ends ends the process. So such work runs on a stack of known size, whatever thread it is called on, and
//! asks on its way down whether that comes to its end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Sizes of stack that are tried, the largest first. Only what is used of one takes memory.
const SIZES: [usize; 3] = [256 << 20, 64 << 20, 16 << 20];
/// What may be used of one, at most, by what asks.
const USED: usize = 32 << 20;

thread_local! {
    /// Of the stack in use, what is kept for what cannot ask: dropping and copying nested values.
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// Takes the mark of a stack back, in a panic too.
struct Kept(usize);

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.set(self.0);
    }
}

/// Runs `work` on a large stack. It stays on its thread.
pub fn with_stack<R>(work: impl FnOnce() -> R) -> R {
    if KEPT.get() > 0 && !is_stack_low() {
        return work();
    }
    let mut work = Some(work);
    for size in SIZES {
        let grown = catch_unwind(AssertUnwindSafe(|| {
            stacker::grow(size, || {
                let _kept = Kept(KEPT.replace(size - USED.min(size / 2)));
                work.take().map(|work| work())
            })
        }));
        match grown {
            Ok(Some(result)) => return result,
            Ok(None) => break,
            // No stack of this size is to be had; a smaller one may be.
            Err(_) if work.is_some() => {}
            Err(panic) => resume_unwind(panic),
        }
    }
    match work {
        Some(work) => work(),
        None => unreachable!("what was run has returned its result"),
    }
}

/// Whether the stack of [`with_stack`] comes to its end, so that what goes deeper must stop. Never outside of it.
pub fn is_stack_low() -> bool {
    let kept = KEPT.get();
    kept > 0 && stacker::remaining_stack().is_some_and(|left| left < kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth() -> usize {
        if is_stack_low() { 0 } else { std::hint::black_box(depth()) + 1 }
    }

    #[test]
    fn a_small_thread_has_room_and_is_told_where_it_ends() {
        let deep = || std::thread::Builder::new().stack_size(256 << 10).spawn(|| with_stack(depth));
        let deep = deep().expect("starts").join().expect("does not overflow");
        assert!(deep > 10_000, "{deep}");
    }

    #[test]
    fn a_panic_passes_and_leaves_no_mark() {
        let panicked = catch_unwind(|| with_stack(|| resume_unwind(Box::new(7_u8))));
        assert_eq!(panicked.expect_err("panics").downcast_ref(), Some(&7_u8));
        assert_eq!(KEPT.get(), 0);
        assert!(!is_stack_low());
    }
}
