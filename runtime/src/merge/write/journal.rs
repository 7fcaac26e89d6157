//! The journal of a merge: which tensors are whole and on the disk.
//!
//! A line with the identity of the merge, then a line with the number of each finished tensor. A last line without its
//! end was cut off while it was written, and does not count.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::host::disk;
use crate::merge::files::put;
use crate::{Error, Result};

const NAME: &str = "merge.journal";

/// An open journal.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Whether a folder has a journal: its merge had not come to its end.
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    /// Whether a file is called like a journal.
    pub(super) fn has_name(name: &std::ffi::OsStr) -> bool {
        name == NAME
    }

    /// The finished tensors, of `all`, of the merge with this identity; `None` if the journal is another merge's, is
    /// damaged or is not there.
    pub(super) fn read(folder: &Path, identity: &str, all: usize) -> Option<BTreeSet<usize>> {
        let path = folder.join(NAME);
        if !path.symlink_metadata().ok()?.is_file() {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let whole = &text[..text.rfind('\n')?];
        let mut lines = whole.split('\n');
        if lines.next() != Some(identity) {
            return None;
        }
        lines.map(|line| line.parse().ok().filter(|job| *job < all)).collect()
    }

    /// Begins a journal, with these tensors finished. A merge without an identity gets one that nothing goes on with.
    pub(super) fn start(
        folder: &Path,
        identity: Option<&str>,
        finished: impl IntoIterator<Item = usize>,
    ) -> Result<Self> {
        let text = format!("{}\n{}", identity.unwrap_or("never resumed"), lines(finished));
        put(folder, NAME, text.as_bytes())?;
        Self::open(folder)
    }

    /// Opens the journal of a folder to add to it. A line that was cut off is removed.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let failed = |e| Error::io(&path, e);
        let text = std::fs::read(&path).unwrap_or_default();
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let file = disk::open(OpenOptions::new().create(true).append(true), &path).map_err(failed)?;
        disk::set_length(&file, &path, whole as u64).map_err(failed)?;
        Ok(Self { path, file })
    }

    /// Notes tensors as finished. Their bytes must be on the disk by then.
    pub(super) fn note(&self, jobs: &[usize]) -> Result<()> {
        let (file, path, text) = (&self.file, &self.path, lines(jobs.iter().copied()));
        disk::write(file, path, text.as_bytes())
            .and_then(|()| disk::flush_data(file, path))
            .map_err(|e| Error::io(path, e))
    }

    /// Removes the journal of a folder, if it has one: its merge has come to its end.
    pub(super) fn end(folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        match disk::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, e)),
            _ => Ok(()),
        }
    }
}

fn lines(jobs: impl IntoIterator<Item = usize>) -> String {
    jobs.into_iter().map(|job| format!("{job}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_count() {
        let dir = tempfile::tempdir().expect("a folder");
        let journal = Journal::start(dir.path(), Some("abc"), []).expect("starts");
        journal.note(&[3, 123]).expect("notes");
        let path = dir.path().join(NAME);
        let text = std::fs::read_to_string(&path).expect("reads");
        assert_eq!(text, "abc\n3\n123\n");
        // As a crash leaves it: 12 would be another tensor.
        std::fs::write(&path, "abc\n3\n12").expect("writes");
        assert_eq!(Journal::read(dir.path(), "abc", 200), Some(BTreeSet::from([3])));
        Journal::open(dir.path()).expect("opens").note(&[7]).expect("notes");
        assert_eq!(Journal::read(dir.path(), "abc", 200), Some(BTreeSet::from([3, 7])));
        assert_eq!(Journal::read(dir.path(), "abd", 200), None);
        assert_eq!(Journal::read(dir.path(), "abc", 5), None, "a number that no tensor has");
        Journal::end(dir.path()).expect("ends");
        assert!(!Journal::is_in(dir.path()));
    }
}
