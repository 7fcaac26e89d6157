//! Where targets put their files, a folder of each thread below the system's folder for temporary files, and how much what is
//! made of them may take.

use std::path::{Path, PathBuf};

use lota_runtime::host::{Error, Host, Room};
use tempfile::TempDir;

thread_local! {
    static PLACE: TempDir = tempfile::tempdir().expect("a temporary folder");
}

/// The bytes that a reader may make room for at once, as for a guest with limits.
const ROOM: u64 = 256 << 20;

/// What every reader is handed: little room, and nobody who listens.
pub fn host() -> Host {
    let ask = |bytes| if bytes > ROOM { Err(Error::limit("more than a guest may use")) } else { Ok(()) };
    Host { room: Room::new(ask), ..Host::default() }
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
