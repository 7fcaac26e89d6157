//! Folders of several files are replaced as one, so that no crash leaves files of two versions together.
//!
//! The new files are written into a hidden folder. It becomes the folder by one rename, or changes places with the old
//! one. Where that cannot be (the folder holds files of others too, is a mount point, or is the working folder), the
//! hidden one is first renamed to [`COMMIT`] in the folder; from then on the new version counts, and its files are moved
//! into place. If that is cut off, [`finish_folder`] completes it: readers call it first.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::parent;
use super::temporary::{Folder, sweep, sync_folder};
use super::{Events, Host, Lock, write_atomic};
use crate::{Error, Located, Result, disk};

/// A complete new version whose files are being moved into place.
pub const COMMIT: &str = ".lota.commit";
/// In it: the files of the old version that have no successor, as a JSON list of names.
const REMOVE: &str = ".lota.remove";
/// The lock of a folder that is being replaced.
const LOCK: &str = "lota";

/// Replaces the files of `folder` that `ours` names by those that `write` makes in the folder it is given. Either all
/// are replaced or none. Files that `ours` does not name are kept, as are folders; a notice names files of the old
/// version that have no successor and are therefore removed. A folder that does not exist is made. One writer at a time:
/// the second gets an error.
pub fn write_folder<R, E: From<Error> + Located>(
    folder: &Path,
    ours: &dyn Fn(&str) -> bool,
    host: &Host,
    write: impl FnOnce(&Path) -> Result<R, E>,
) -> Result<R, E> {
    let (real, _lock) = locked(folder, &host.events)?;
    let parent = parent(&real);
    if !real.exists() {
        sweep(parent);
        let new = Folder::new(parent, &real)?;
        let result = filled(new.path(), folder, write)?;
        disk::rename(new.path(), &real).map_err(|e| Error::io(folder, e))?;
        sync_folder(parent, folder)?;
        return Ok(result);
    }
    roll_forward(&real)?;
    sweep(&real);
    let mut new = Folder::new(&real, &real)?;
    let result = filled(new.path(), folder, write)?;
    let (old, others) = entries(&real, ours)?;
    let gone: Vec<&String> = old.iter().filter(|name| !new.path().join(name).exists()).collect();
    if !others && !is_in_use(&real, host) && exchange(&mut new, &real)? {
        sweep(parent);
    } else {
        let list = serde_json::to_vec(&gone).map_err(|e| Error::format(&real, e.to_string()))?;
        let written = write_atomic(&new.path().join(REMOVE), |out| {
            std::io::Write::write_all(out, &list).map_err(|e| Error::io(&real, e))
        });
        written.map_err(|e: Error| e.shown_in(new.path(), folder))?;
        disk::rename(new.path(), &real.join(COMMIT)).map_err(|e| Error::io(folder, e))?;
        sync_folder(&real, folder)?;
        roll_forward(&real)?;
    }
    if !gone.is_empty() {
        let gone = gone.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        host.events
            .notice(format!("{}: removed, as what was written has no such file: {gone}", folder.display()));
    }
    Ok(result)
}

/// What `write` gives for the hidden folder, which is on the disk then. Errors name the files as they are called in `folder`.
fn filled<R, E: From<Error> + Located>(
    hidden: &Path,
    folder: &Path,
    write: impl FnOnce(&Path) -> Result<R, E>,
) -> Result<R, E> {
    let result = write(hidden).map_err(|e| e.shown_in(hidden, folder))?;
    sync_folder(hidden, folder)?;
    Ok(result)
}

/// Completes the replacement of a folder that was cut off. Readers of a folder call this first; where nothing was cut
/// off it costs one look.
pub fn finish_folder(folder: &Path) -> Result<()> {
    // A living writer is given five seconds to move its files.
    for _ in 0..250 {
        if !folder.join(COMMIT).is_dir() {
            return Ok(());
        }
        if let Ok(_lock) = Lock::within(folder, LOCK, &Events::default()) {
            return roll_forward(folder);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Error::format(
        folder,
        format!(
            "a version of its files was written but not moved into place ({COMMIT}), and that cannot be completed here: \
             is another process at work on it, or is it write-protected?"
        ),
    ))
}

/// The folder with links followed, and its lock.
fn locked(folder: &Path, events: &Events) -> Result<(PathBuf, Lock)> {
    loop {
        if folder.exists() {
            let real = folder.canonicalize().map_err(|e| Error::io(folder, e))?;
            if !real.is_dir() {
                return Err(Error::format(folder, "is a file; several files are written into a folder"));
            }
            let lock = Lock::within(&real, LOCK, events)?;
            Lock::sweep_beside(&real);
            return Ok((real, lock));
        }
        let lock = Lock::beside(folder, events)?;
        // It may have been made since the first look.
        if !folder.exists() {
            return Ok((folder.to_path_buf(), lock));
        }
    }
}

/// The files of a folder that are ours, and whether there is anything else.
fn entries(folder: &Path, ours: &dyn Fn(&str) -> bool) -> Result<(BTreeSet<String>, bool)> {
    let (mut own, mut others) = (BTreeSet::new(), false);
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let is_folder = entry.file_type().map_err(|e| Error::io(folder, e))?.is_dir();
        match entry.file_name().into_string() {
            Ok(name) if name.starts_with(".lota") => {}
            Ok(name) if ours(&name) && !is_folder => drop(own.insert(name)),
            _ => others = true,
        }
    }
    Ok((own, others))
}

/// Whether another folder in the place of this one would be missed: this process works in it or below, or it is to stay.
fn is_in_use(folder: &Path, host: &Host) -> bool {
    let held = |dir: &Path| dir.canonicalize().is_ok_and(|dir| dir.starts_with(folder));
    std::env::current_dir().is_ok_and(|dir| held(&dir)) || host.fixed.iter().any(|dir| held(dir))
}

/// Lets a new folder, which lies in the old one, and the old one change places, and leaves the old one to be removed.
/// False where the file system cannot.
fn exchange(new: &mut Folder, old: &Path) -> Result<bool> {
    if new.move_to(parent(old)).is_err() {
        return Ok(false);
    }
    if disk::exchange(new.path(), old).is_err() {
        new.move_to(old).map_err(|e| Error::io(old, e))?;
        return Ok(false);
    }
    sync_folder(parent(old), old)?;
    Ok(true)
}

/// Moves the files of a complete new version into place and removes those that it has not. Can be cut off anywhere and
/// called again. The caller holds the lock.
fn roll_forward(folder: &Path) -> Result<()> {
    let commit = folder.join(COMMIT);
    if !commit.is_dir() {
        return Ok(());
    }
    let io = |e| Error::io(folder, e);
    // Until all are in place, the list of those to remove is there.
    let list = commit.join(REMOVE);
    let gone: Vec<String> = match std::fs::read(&list) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::format(&list, e.to_string()))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io(&list, e)),
    };
    let names: Vec<OsString> = std::fs::read_dir(&commit)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.file_name())).collect())
        .map_err(io)?;
    for name in names.iter().filter(|name| *name != REMOVE) {
        disk::rename(&commit.join(name), &folder.join(name)).map_err(io)?;
    }
    for name in &gone {
        match disk::remove_file(&folder.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
            _ => {}
        }
    }
    sync_folder(folder, folder)?;
    disk::remove_all(&commit).map_err(io)?;
    sync_folder(folder, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
        files.iter().try_for_each(|(name, text)| {
            std::fs::write(folder.join(name), text).map_err(|e| Error::io(folder, e))
        })
    }

    fn content(folder: &Path) -> Vec<(String, String)> {
        let mut all: Vec<_> = std::fs::read_dir(folder)
            .expect("lists")
            .map(|e| e.expect("an entry"))
            .filter(|e| e.path().is_file())
            .map(|e| {
                (
                    e.file_name().into_string().expect("text"),
                    std::fs::read_to_string(e.path()).expect("reads"),
                )
            })
            .collect();
        all.sort();
        all
    }

    fn ours(name: &str) -> bool {
        name.starts_with("part")
    }

    fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
        write_folder(folder, &ours, &Host::default(), |new| put(new, files))
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    #[test]
    fn a_folder_is_replaced_whole_and_files_of_others_are_kept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("deep/out");
        write(&folder, &[("part1", "a"), ("part2", "a")]).expect("a new one");
        assert_eq!(content(&folder), pairs(&[("part1", "a"), ("part2", "a")]));
        write(&folder, &[("part1", "b")]).expect("exchanged");
        assert_eq!(content(&folder), pairs(&[("part1", "b")]));
        put(&folder, &[("notes.md", "mine")]).expect("another's file");
        std::fs::create_dir(folder.join("sub")).expect("another's folder");
        write(&folder, &[("part3", "c")]).expect("moved into place");
        assert_eq!(content(&folder), pairs(&[("notes.md", "mine"), ("part3", "c")]));
        assert!(folder.join("sub").is_dir());
        let left = std::fs::read_dir(dir.path().join("deep")).expect("lists").count();
        assert_eq!(left, 1, "nothing stays beside it");
        assert_eq!(std::fs::read_dir(&folder).expect("lists").count(), 3, "nor in it");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_hold_on_to_stays_itself() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("out");
        write(&folder, &[("part1", "a"), ("part2", "a")]).expect("a new one");
        let itself = || std::fs::metadata(&folder).expect("is there").ino();
        let before = itself();
        let host = Host { fixed: [folder.clone()].into(), ..Host::default() };
        write_folder(&folder, &ours, &host, |new| put(new, &[("part1", "b")])).expect("replaced");
        assert_eq!((itself(), content(&folder)), (before, pairs(&[("part1", "b")])));
        write(&folder, &[("part1", "c")]).expect("exchanged");
        assert_ne!(itself(), before);
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("out");
        write(&folder, &[("part1", "a")]).expect("a new one");
        let failed = write_folder(&folder, &ours, &Host::default(), |new| {
            put(new, &[("part1", "b")])?;
            Err::<(), _>(Error::argument("no"))
        });
        assert!(failed.is_err());
        assert_eq!(content(&folder), pairs(&[("part1", "a")]));
        assert_eq!(std::fs::read_dir(&folder).expect("lists").count(), 1);
        let file = dir.path().join("file");
        put(dir.path(), &[("file", "x")]).expect("a file");
        assert!(write(&file, &[("part1", "a")]).expect_err("a file").to_string().contains("is a file"));
    }

    #[test]
    fn a_version_cut_off_while_it_is_moved_into_place_is_completed_by_the_next_reader() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("out");
        // As a kill between the moves leaves it: part1 is in place, part2 is not, and part3 is still the old one's.
        write(&folder, &[("part1", "new"), ("part2", "old"), ("part3", "old")]).expect("a folder");
        std::fs::create_dir(folder.join(COMMIT)).expect("a folder");
        put(&folder.join(COMMIT), &[("part2", "new"), (REMOVE, "[\"part3\"]")]).expect("written");
        finish_folder(&folder).expect("completes");
        assert_eq!(content(&folder), pairs(&[("part1", "new"), ("part2", "new")]));
        assert!(!folder.join(COMMIT).exists());
    }

    #[test]
    fn of_two_writers_the_second_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("out");
        for existing in [false, true] {
            let inner: Result<_> = write_folder(&folder, &ours, &Host::default(), |new| {
                put(new, &[("part1", "a")])?;
                Ok(write(&folder, &[("part1", "b")]))
            });
            let refused = inner.expect("the first goes on").expect_err("the second does not").to_string();
            assert!(refused.contains("writing it already"), "existing {existing}: {refused}");
            assert_eq!(content(&folder), pairs(&[("part1", "a")]));
        }
    }
}
