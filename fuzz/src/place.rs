//! Where targets put their files: a folder of each thread, below the system's folder for temporary files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static PLACE: TempDir = tempfile::tempdir().expect("a temporary folder");
}

/// The path of a name in this thread's folder.
pub fn path(name: &str) -> PathBuf {
    PLACE.with(|place| place.path().join(name))
}

/// Writes a file of this thread's folder, in folders that are made where they are missing.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    if std::fs::write(&path, bytes).is_err() {
        let folder = path.parent().expect("has a folder");
        std::fs::create_dir_all(folder).expect("makes a folder");
        std::fs::write(&path, bytes).expect("writes");
    }
    path
}

/// A folder of this thread's with nothing in it.
pub fn empty(name: &str) -> PathBuf {
    let folder = path(name);
    if !is_empty(&folder) {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("makes a folder");
    }
    folder
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
