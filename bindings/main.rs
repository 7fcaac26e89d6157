//! The `lota` program.

/// Keeps freed pages: large short-lived tensors would otherwise be paid for in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    lota::cli::main()
}
