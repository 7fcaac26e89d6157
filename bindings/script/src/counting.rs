//! An allocator that counts what one script holds, for languages whose interpreter has no allocator of its own.
//!
//! A host installs it around the allocator it uses anyway, as one static item of its program.
//!
//! While an interpreter works on a thread, what that thread allocates and frees is added to and taken from the tally
//! of its engine; elsewhere the allocator looks at one thread-local word and counts nothing. A count is right only if
//! what was allocated inside is freed inside, and what was allocated outside is freed outside. So a primitive works
//! [`outside`], values are copied when they cross the border, and what lives on the other side than its holder is
//! wrapped: [`Outside`] in a value of the script, [`Inside`] in a handle of the host. This module knows nothing of
//! limits: whoever asks a tally decides what is too much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// What an allocator takes beside the bytes asked for, about.
const OVERHEAD: usize = 16;

thread_local! {
    /// The tally of the interpreter that works on this thread, or null. It needs no drop and no lazy start, so that an
    /// allocation may look at it at any time in the life of a thread.
    static CURRENT: Cell<*const Tally> = const { Cell::new(null()) };
}

/// A global allocator that counts what scripts hold, around one that allocates. Limits on the memory of a Rhai script
/// need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A = System>(A);

impl Counting {
    /// Around the allocator of the system.
    pub const fn system() -> Self {
        Self(System)
    }
}

impl<A> Counting<A> {
    /// Around another allocator.
    pub const fn around(allocator: A) -> Self {
        Self(allocator)
    }
}

fn count(bytes: i64) {
    let current = CURRENT.get();
    if !current.is_null() {
        // SAFETY: the pointer was made from a reference that outlives the `Switch` which put it here, and that switch
        // takes it away again when it is dropped.
        unsafe { (*current).0.fetch_add(bytes, Relaxed) };
    }
}

fn weight(size: usize) -> i64 {
    // No layout is larger than isize::MAX.
    (size + OVERHEAD) as i64
}

// SAFETY: every request is handed on as it came, and the answer back as it is; counting neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this function, which is that of the inner one.
        let at = unsafe { self.0.alloc(layout) };
        if !at.is_null() {
            count(weight(layout.size()));
        }
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let at = unsafe { self.0.alloc_zeroed(layout) };
        if !at.is_null() {
            count(weight(layout.size()));
        }
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-weight(layout.size()));
        // SAFETY: as in `alloc`; what was allocated here was allocated by the inner allocator.
        unsafe { self.0.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`.
        let moved = unsafe { self.0.realloc(at, layout, size) };
        if !moved.is_null() {
            count(weight(size) - weight(layout.size()));
        }
        moved
    }
}

/// What an interpreter holds, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicI64);

impl Tally {
    /// Bytes held now, with what an allocator adds to each piece.
    pub(crate) fn held(&self) -> u64 {
        u64::try_from(self.0.load(Relaxed)).unwrap_or(0)
    }

    /// Works as the interpreter: what is allocated and freed by this thread meanwhile counts.
    pub(crate) fn inside<R>(&self, work: impl FnOnce() -> R) -> R {
        let _switch = Switch::to(self);
        work()
    }
}

/// Runs the host's work while a script runs: what it allocates is not counted.
pub(crate) fn outside<R>(work: impl FnOnce() -> R) -> R {
    let _switch = Switch::to(null());
    work()
}

/// Whether the program's allocator is one that counts.
pub(crate) fn counts() -> bool {
    let tally = Tally::default();
    let piece = tally.inside(|| std::hint::black_box(Box::new(0_u64)));
    drop(piece);
    tally.held() > 0
}

/// Puts a tally in the place of the present one, until it is dropped (by a panic, too).
struct Switch(*const Tally);

impl Switch {
    fn to(tally: *const Tally) -> Self {
        Self(CURRENT.replace(tally))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// A value that the host allocated, held by a script's value or while a script runs.
pub(crate) struct Outside<T> {
    value: ManuallyDrop<T>,
    weight: i64,
}

impl<T> Outside<T> {
    /// Holds the value.
    pub(crate) fn new(value: T) -> Self {
        Self::weighing(value, 0)
    }

    /// Holds it for a script, which can keep any number of such values: about `bytes` count for each.
    pub(crate) fn weighing(value: T, bytes: usize) -> Self {
        let weight = bytes as i64;
        count(weight);
        Self { value: ManuallyDrop::new(value), weight }
    }
}

impl<T> Deref for Outside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> Clone for Outside<T> {
    fn clone(&self) -> Self {
        count(self.weight);
        Self { value: outside(|| self.value.clone()), weight: self.weight }
    }
}

impl<T> Drop for Outside<T> {
    fn drop(&mut self) {
        count(-self.weight);
        // SAFETY: nothing touches the value after its holder is dropped.
        outside(|| unsafe { ManuallyDrop::drop(&mut self.value) });
    }
}

/// What was allocated inside, held by the host.
pub(crate) struct Inside<T> {
    value: ManuallyDrop<T>,
    tally: Arc<Tally>,
}

impl<T> Inside<T> {
    /// Holds what `make` allocates.
    pub(crate) fn new(tally: &Arc<Tally>, make: impl FnOnce() -> T) -> Self {
        Self { value: ManuallyDrop::new(tally.inside(make)), tally: tally.clone() }
    }
}

impl<T> Deref for Inside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Inside<T> {
    fn drop(&mut self) {
        // SAFETY: nothing touches the value after its holder is dropped.
        self.tally.inside(|| unsafe { ManuallyDrop::drop(&mut self.value) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_counts_until_it_is_freed_there() {
        let tally = Arc::new(Tally::default());
        let (a, b) = tally.inside(|| (vec![1_u8; 1000], outside(|| vec![1_u8; 5000])));
        assert_eq!(tally.held(), 1000 + OVERHEAD as u64);
        let a = tally.inside(|| {
            let mut a = a;
            a.reserve_exact(2000);
            a
        });
        assert_eq!(tally.held(), 3000 + OVERHEAD as u64);
        drop(b);
        tally.inside(|| drop(a));
        assert_eq!(tally.held(), 0);
    }

    #[test]
    fn holders_free_on_the_side_where_it_was_allocated() {
        let tally = Arc::new(Tally::default());
        let kept = Inside::new(&tally, || vec![0_u8; 100]);
        assert_eq!((tally.held(), kept.len()), (100 + OVERHEAD as u64, 100));
        drop(kept);
        assert_eq!(tally.held(), 0);
        let kept = Outside::new(vec![0_u8; 100]);
        tally.inside(|| {
            let copy = kept.clone();
            assert_eq!((tally.held(), copy.len()), (0, 100));
            drop((kept, copy));
            let kept = Outside::weighing((), 50);
            let copy = kept.clone();
            assert_eq!(tally.held(), 100);
            drop((kept, copy));
        });
        assert_eq!(tally.held(), 0);
    }

    #[test]
    fn a_panic_ends_the_counting() {
        let tally = Tally::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tally.inside(|| std::panic::resume_unwind(Box::new(())));
        }));
        assert!(panicked.is_err());
        let before = tally.held();
        let piece = std::hint::black_box(vec![0_u8; 100]);
        assert_eq!(tally.held(), before);
        drop(piece);
    }

    #[test]
    fn engines_inside_each_other_count_apart() {
        let (a, b) = (Tally::default(), Tally::default());
        let held = a.inside(|| {
            let inner = b.inside(|| vec![0_u8; 10]);
            assert_eq!((a.held(), b.held()), (0, 10 + OVERHEAD as u64));
            b.inside(|| drop(inner));
            vec![0_u8; 20]
        });
        assert_eq!((a.held(), b.held()), (20 + OVERHEAD as u64, 0));
        a.inside(|| drop(held));
    }
}
