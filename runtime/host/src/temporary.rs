//! Temporary files and folders beside what they become. Each is locked while its maker lives, so that what a dead
//! process left can be told from what another is writing, and removed.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::place::is_at;
use crate::{Error, Result, disk};

/// How their names begin. Six letters and digits follow; no other file may be called like this.
const PREFIX: &str = ".lota-";

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(6);
    builder
}

/// A temporary file in `folder`.
pub(super) fn file(folder: &Path) -> std::io::Result<NamedTempFile> {
    loop {
        let temp = disk::temporary_file(&builder(), folder)?;
        if held(temp.as_file(), temp.path()) {
            return Ok(temp);
        }
    }
}

/// A temporary folder, removed with all that is in it when this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// An empty one in `parent`, with the permissions of `like` where that exists.
    pub fn new(parent: &Path, like: &Path) -> Result<Self> {
        loop {
            let temp = disk::temporary_folder(&builder(), parent).map_err(|e| Error::io(like, e))?;
            // Where folders cannot be opened they cannot be locked, nor swept.
            let lock = File::open(temp.path()).ok();
            if lock.as_ref().is_none_or(|lock| held(lock, temp.path())) {
                permit(temp.path(), like)?;
                return Ok(Self { path: temp.keep(), _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it into `parent`, under the same name.
    pub fn move_to(&mut self, parent: &Path) -> std::io::Result<()> {
        let to = parent.join(self.path.file_name().unwrap_or_default());
        disk::rename(&self.path, &to)?;
        self.path = to;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may have been renamed to its place. What cannot be removed is found by the next sweep.
        drop(disk::remove_all(&self.path));
    }
}

/// Locks a temporary file just made; false if a sweep was quicker. Without locks there are no sweeps either.
fn held(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => is_at(file, path),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => true,
    }
}

/// Removes the temporary files and folders in `folder` whose makers have died. What cannot be read or removed stays:
/// this is never a reason for a write to fail.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if rest.len() != 6 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            continue;
        }
        // Of a link this is the kind of the link.
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        let Ok(open) = File::open(&path) else { continue };
        if open.try_lock().is_ok() {
            drop(if kind.is_dir() { disk::remove_all(&path) } else { disk::remove_file(&path) });
        }
    }
}

/// Flushes the names in a folder to disk, where the system can. An error names `of`, what was written there.
pub fn sync_folder(folder: &Path, of: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        match disk::flush_folder(folder) {
            // Some network file systems have no such operation.
            Err(e) if !matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => {
                return Err(Error::io(of, e));
            }
            _ => {}
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, of);
    Ok(())
}

/// Gives a folder made as a temporary one the permissions of another, or the usual ones.
fn permit(folder: &Path, like: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(like).map_or(0o755, |m| m.permissions().mode() & 0o7777);
        disk::permit(folder, like, mode).map_err(|e| Error::io(like, e))?;
    }
    #[cfg(not(unix))]
    let _ = (folder, like);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_living_one_holds_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at(".lota-abc123"), "half").expect("a file");
        std::fs::create_dir_all(at(".lota-ABCdef/deep")).expect("a folder");
        for other in [".lota-abc1234", ".lota-abc12-", ".lota.commit", "x.lota-abc123"] {
            std::fs::write(at(other), "another's").expect("a file");
        }
        let (file, folder) =
            (file(dir.path()).expect("a file"), Folder::new(dir.path(), dir.path()).expect("a folder"));
        sweep(dir.path());
        assert!(!at(".lota-abc123").exists() && !at(".lota-ABCdef").exists());
        assert!(file.path().exists() && folder.path().exists());
        drop((file, folder));
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 4);
    }
}
