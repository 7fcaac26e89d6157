//! Git LFS pointers: the small texts that a clone without Git LFS has in place of large files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// How a pointer begins: the two addresses that its specification has had (git-lfs, docs/spec.md).
const BEGINNINGS: [&[u8]; 2] =
    [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];
/// A pointer is shorter than this, by its specification.
const LONGEST: u64 = 1024;
/// What to say of one.
pub(crate) const WHAT: &str = "is a Git LFS pointer, not the file itself: fetch it (git lfs pull)";

/// Whether these bytes, the whole of a file or its beginning, are those of a Git LFS pointer.
pub fn is_pointer(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

/// An error if these bytes of the file at `path`, all or the first ones, are a Git LFS pointer in its place.
pub fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_pointer(bytes) { Err(Error::format(path, WHAT)) } else { Ok(()) }
}

/// An error if there is a Git LFS pointer at `path`, for readers that open the file themselves. What else is wrong with it
/// is theirs to say.
pub fn refuse_pointer_at(path: &Path) -> Result<()> {
    let small = |file: &File| file.metadata().is_ok_and(|about| about.is_file() && about.len() < LONGEST);
    let Some(file) = File::open(path).ok().filter(small) else { return Ok(()) };
    let mut head = Vec::new();
    match file.take(LONGEST).read_to_end(&mut head) {
        Ok(_) => refuse_pointer(path, &head),
        Err(_) => Ok(()),
    }
}

/// The bytes of a file. A Git LFS pointer in its place is an error.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    refuse_pointer(path, &bytes)?;
    Ok(bytes)
}

/// The bytes of a file, or `None` if there is none. A Git LFS pointer in its place is an error.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_and_nothing_else_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model.safetensors");
        let pointer = |address: &str| format!("version {address}\noid sha256:{}\nsize 42\n", "0".repeat(64));
        for address in ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1"] {
            std::fs::write(&path, pointer(address)).expect("writes");
            let told = format!("{}: {WHAT}", path.display());
            assert_eq!(refuse_pointer_at(&path).expect_err("a pointer").to_string(), told);
            assert_eq!(read_bytes(&path).expect_err("a pointer").to_string(), told);
            assert_eq!(read_if_there(&path).expect_err("a pointer").to_string(), told);
        }
        for other in ["", "version 1", "{}", "version https://example.org/spec/v1\n"] {
            std::fs::write(&path, other).expect("writes");
            refuse_pointer_at(&path).expect("no pointer");
            assert_eq!(read_bytes(&path).expect("no pointer"), other.as_bytes());
        }
        let gone = dir.path().join("gone");
        refuse_pointer_at(&gone).expect("its reader says that it is not there");
        assert!(read_if_there(&gone).expect("is not there").is_none());
        assert!(read_bytes(&gone).is_err());
    }
}
