//! Readers of other crates on files from anywhere: a panic that a file causes in one is an error about that file.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::{Error, Result};

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`, which hands the file at `path` to a reader that is not ours. A panic in it is an [`Error::Format`] that
/// names the file. `kind` says what the file should be, as in "a Parquet file".
///
/// Only for code that builds its result from the file: a panic must leave nothing else half changed.
pub fn read_foreign<T, E: From<Error>>(
    path: &Path,
    kind: &str,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let before = READING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read));
    READING.set(before);
    done.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(E::from(Error::format(
            path,
            format!("is damaged, or not {kind}: its reader gave up ({})", text.trim()),
        )))
    })
}

/// Whether this thread is inside of [`read_foreign`], so that a panic will be told as an error. A program's panic hook
/// may ask, and be silent.
pub fn is_reading_foreign() -> bool {
    READING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_the_fault_of_the_file() {
        let empty: Vec<u8> = Vec::new();
        let read = || {
            assert!(is_reading_foreign());
            Ok::<u8, Error>(empty[std::hint::black_box(3)])
        };
        let error =
            read_foreign(Path::new("x.parquet"), "a Parquet file", read).expect_err("panics").to_string();
        assert!(error.starts_with("x.parquet: is damaged, or not a Parquet file"), "{error}");
        assert!(error.contains("index out of bounds"), "{error}");
        assert!(!is_reading_foreign());
        assert_eq!(read_foreign(Path::new("x"), "a file", || Ok::<_, Error>(1)).expect("no panic"), 1);
    }
}
