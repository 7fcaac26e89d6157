//! An allocator that ends the process where more is held than any file here may make a reader hold.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes held at once, and so the most asked for at once. Files here are of some kilobytes, rows of data may take
/// 64 MiB by the limit that they are read under, and a script 64 MiB and as much in tensors.
pub const MOST_MEMORY: usize = 400 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator within [`MOST_MEMORY`].
pub struct Bounded;

fn take(bytes: usize) {
    if HELD.fetch_add(bytes, Relaxed).saturating_add(bytes) > MOST_MEMORY {
        too_much(bytes);
    }
}

#[cold]
fn too_much(bytes: usize) {
    // What is told from here on may be allocated.
    HELD.store(0, Relaxed);
    eprintln!(
        "lota-fuzz: {bytes} bytes more are asked for, beyond the {MOST_MEMORY} that may be held{}",
        crate::watch::running()
    );
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
    }
    std::process::abort();
}

// SAFETY: every call is passed on to the system's allocator with its arguments unchanged; counting neither unwinds nor
// allocates, and what ends the process does not come back.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise is the one that is needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
