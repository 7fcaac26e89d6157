//! The `lota` program.

#[cfg(feature = "rhai")]
#[global_allocator]
static ALLOCATOR: lota::Counting<mimalloc::MiMalloc> = lota::Counting::around(mimalloc::MiMalloc);
#[cfg(not(feature = "rhai"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Options of the allocator that its Rust interface has no names for: `mi_option_allow_large_os_pages` and
/// `mi_option_purge_delay` of mimalloc 2 and 3.
const LARGE_PAGES: libmimalloc_sys::mi_option_t = 6;
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> std::process::ExitCode {
    // Every training step frees and wants again the same large tensors. Given back to the system in between, they came
    // back as page faults: a fifth of a step. So free memory is kept, for a million seconds, until it is asked to be given
    // back (`on_freed` in run.rs); without a time it could never be.
    // SAFETY: both calls store a number in the allocator's table of options, at indices inside it.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 1_000_000_000);
        libmimalloc_sys::mi_option_set(LARGE_PAGES, 1);
    }
    #[cfg(unix)]
    lota::isolation::enter();
    lota_cli::main()
}
