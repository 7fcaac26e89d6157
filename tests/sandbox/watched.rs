//! The system's allocator, which remembers how much each thread had of it at most: what an attack on memory is measured by.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Watched;

thread_local! {
    /// Bytes a thread has now, and had at most.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn note(bytes: i64) {
    let (held, most) = HELD.get();
    HELD.set((held + bytes, most.max(held + bytes)));
}

/// The most that this thread held at once while it worked, beyond what it held before.
pub fn peak<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let result = work();
    (result, u64::try_from(HELD.get().1 - before).unwrap_or(0))
}

// SAFETY: every call is passed on with its arguments unchanged; noting a number allocates nothing (the value is made at
// compile time and has no destructor).
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        // SAFETY: the caller's promise is the one that is needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
