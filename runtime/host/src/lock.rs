//! One writer at a time: a lock file that tells who holds it, freed by the system when its holder ends or dies.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Events;
use super::place::{is_at, parent};
use crate::{Error, Result, disk};

/// The right to write a file or folder, held until this is dropped. It excludes every other holder: in this process,
/// in others, and on other machines where the file system passes locks on.
///
/// The lock file is a hidden one. It names the holder for whoever comes second, and is removed at the end. One that
/// stays behind after a crash does no harm: what counts is the system's lock on it, which ends with its process.
#[derive(Debug)]
pub struct Lock {
    /// Locked as long as it is open.
    file: File,
    path: PathBuf,
}

/// Who holds a lock, as the lock file says it.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    /// When it was taken: UTC, in the form of RFC 3339.
    since: String,
}

impl Lock {
    /// Takes the lock of `target`, a file or folder that need not exist. The lock file lies beside it, as
    /// `.NAME.lock`; missing parent folders are made. While another holds it, this is an error that says who, and
    /// since when. On a file system without locks, a notice says so and the lock is granted.
    pub fn beside(target: &Path, events: &Events) -> Result<Self> {
        let path = beside(target).ok_or_else(|| {
            Error::argument(format!("{} is no name for a file or folder to write", target.display()))
        })?;
        let folder = parent(&path);
        disk::make_folders(folder).map_err(|e| Error::io(target, e))?;
        Self::take(target, path, events)
    }

    /// Removes the lock file that a dead holder of [`Lock::beside`] left. One that is held stays.
    pub(crate) fn sweep_beside(target: &Path) {
        let Some(path) = beside(target).filter(|path| path.exists()) else { return };
        drop(Self::take(target, path, &Events::default()));
    }

    /// Takes a lock of a folder that exists, like [`Lock::beside`]; the lock file lies in it, as `.NAME.lock`. Locks of
    /// different names do not exclude each other.
    pub fn within(folder: &Path, name: &str, events: &Events) -> Result<Self> {
        Self::take(folder, folder.join(format!(".{name}.lock")), events)
    }

    fn take(target: &Path, path: PathBuf, events: &Events) -> Result<Self> {
        let io = |e| Error::io(target, e);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = disk::open(&options, &path).map_err(io)?;
            match file.try_lock() {
                Ok(()) if !is_at(&file, &path) => {
                    // The holder before removed the file between our opening and locking it.
                    continue;
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(target, &mut file)),
                Err(TryLockError::Error(e)) if has_no_locks(&e) => events.notice(format!(
                    "{}: its file system has no locks, so nothing keeps two programs from writing it at the same time",
                    target.display()
                )),
                Err(TryLockError::Error(e)) => return Err(io(e)),
            }
            let holder = Holder {
                pid: std::process::id(),
                host: gethostname::gethostname().to_string_lossy().into_owned(),
                since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            };
            let text = serde_json::to_string(&holder).map_err(|e| Error::format(&path, e.to_string()))?;
            // Removed again if it cannot be written.
            let lock = Self { file, path };
            disk::set_length(&lock.file, &lock.path, 0)
                .and_then(|()| disk::write(&lock.file, &lock.path, format!("{text}\n").as_bytes()))
                .map_err(io)?;
            return Ok(lock);
        }
    }
}

/// Where the lock file beside a file or folder lies. Two names of one file have one lock.
fn beside(target: &Path) -> Option<PathBuf> {
    let real = target.canonicalize().unwrap_or_else(|_| target.to_path_buf());
    let mut hidden = OsString::from(".");
    hidden.push(real.file_name()?);
    hidden.push(".lock");
    Some(parent(&real).join(hidden))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is locked: whoever has opened it in the meantime sees that it is gone, and makes a new one.
        // Where it cannot be removed it stays, unlocked.
        if cfg!(unix) && is_at(&self.file, &self.path) {
            drop(disk::remove_file(&self.path));
        }
        drop(self.file.unlock());
    }
}

fn has_no_locks(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == std::io::ErrorKind::Unsupported
}

/// The error for the second.
fn taken(target: &Path, file: &mut File) -> Error {
    let who = match holder(file) {
        Some(h) if h.pid == std::process::id() && gethostname::gethostname().to_str() == Some(&h.host) => {
            format!("this process (since {}) is writing it already; close that writer first", h.since)
        }
        Some(h) => format!(
            "process {} on {} has been writing it since {}; wait until that has ended, or write somewhere else",
            h.pid, h.host, h.since
        ),
        None => {
            "another process is writing it; wait until that has ended, or write somewhere else".to_string()
        }
    };
    Error::io(target, std::io::Error::new(std::io::ErrorKind::ResourceBusy, who))
}

/// What a lock file says; its holder may be about to write it.
fn holder(file: &mut File) -> Option<Holder> {
    for _ in 0..10 {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(4096).read_to_string(&mut text).ok()?;
        if let Ok(holder) = serde_json::from_str(&text) {
            return Some(holder);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_a_lock_that_ended_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("deep/out");
        let events = Events::default();
        let lock = Lock::beside(&target, &events).expect("free");
        let refused =
            Lock::beside(&dir.path().join("deep/../deep/out"), &events).expect_err("held").to_string();
        assert!(refused.contains("this process (since 2"), "{refused}");
        drop(lock);
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).expect("lists").count(), 0);
        std::fs::create_dir(&target).expect("a folder");
        let outside = Lock::beside(&target, &events).expect("free again");
        let inside = Lock::within(&target, "run", &events).expect("another lock");
        drop((outside, inside));
    }

    #[test]
    fn a_lock_file_left_behind_does_not_block() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("out");
        std::fs::write(dir.path().join(".out.lock"), "{\"pid\":1,\"host\":\"x\",\"since\":\"y\"}")
            .expect("written");
        drop(Lock::beside(&target, &Events::default()).expect("nobody holds it"));
    }

    #[test]
    fn of_many_who_try_exactly_one_holds_it_at_a_time() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("out");
        let (inside, granted) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..300 {
                        if let Ok(lock) = Lock::beside(&target, &Events::default()) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                            granted.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(granted.into_inner() > 0);
    }
}
