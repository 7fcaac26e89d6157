//! An allocator that can be told to refuse.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The system's allocator. When it is [told to](refuse), it refuses one request.
pub struct Refusing;

/// Whether requests are counted.
static COUNTING: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU64 = AtomicU64::new(0);
/// The number of the request that is refused.
static REFUSED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Counts requests from now on, and refuses the one with this number.
pub fn refuse(number: u64) {
    ASKED.store(0, Ordering::SeqCst);
    REFUSED.store(number, Ordering::SeqCst);
    COUNTING.store(true, Ordering::SeqCst);
}

/// How many requests there have been.
pub fn asked() -> u64 {
    COUNTING.store(false, Ordering::SeqCst);
    ASKED.load(Ordering::SeqCst)
}

fn is_refused() -> bool {
    COUNTING.load(Ordering::Relaxed)
        && ASKED.fetch_add(1, Ordering::Relaxed) == REFUSED.load(Ordering::Relaxed)
}

// SAFETY: every call is passed on to the system's allocator with its arguments unchanged, or answered with a null
// pointer, which says that there is no memory.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_refused() {
            true => std::ptr::null_mut(),
            // SAFETY: the caller's promise is the one that is needed.
            false => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_refused() {
            true => std::ptr::null_mut(),
            // SAFETY: as above.
            false => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match is_refused() {
            true => std::ptr::null_mut(),
            // SAFETY: as above.
            false => unsafe { System.realloc(pointer, layout, size) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
