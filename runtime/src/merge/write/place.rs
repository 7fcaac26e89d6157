//! Where a result is made and how it is put in place: a hidden folder beside the one it is for, which changes places with
//! it; where the file system has no such call, by two renames.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::others::check_hidden;
use super::record::Record;
use crate::host::{Host, disk, sync_folder};
use crate::{Error, Result};

/// The folders of one merge.
pub(super) struct Places {
    /// For the result.
    pub folder: PathBuf,
    /// Where it is made: `.NAME.merge`.
    pub building: PathBuf,
    /// Where the folder that it replaces lies for a moment, if the two cannot change places: `.NAME.old`.
    pub old: PathBuf,
}

/// The hidden files and folders beside `folder` that writing a merge there uses. For hosts that check paths.
pub fn hidden(folder: &Path) -> Result<[PathBuf; 3]> {
    let name = folder
        .file_name()
        .ok_or_else(|| Error::argument(format!("{} is no name for a new folder", folder.display())))?;
    Ok([".merge", ".old", ".lock"].map(|end| {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(end);
        folder.with_file_name(hidden)
    }))
}

impl Places {
    /// For this folder, whose parent is made if it is not there.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        // The folder that a link leads to is the one that is written, and lies beside its hidden ones.
        let folder = match folder.is_symlink() {
            true => folder.canonicalize().map_err(|e| Error::io(folder, e))?,
            false => folder.to_path_buf(),
        };
        let [building, old, _] = hidden(&folder)?;
        let parent = parent(&folder);
        disk::make_folders(parent).map_err(|e| Error::io(parent, e))?;
        Ok(Self { folder, building, old })
    }

    /// An error if a hidden folder is a link or a file (what is written there would go somewhere else), or holds what no
    /// merge has made (it would be removed).
    pub(super) fn check(&self) -> Result<()> {
        for path in [&self.building, &self.old] {
            if path.symlink_metadata().is_ok_and(|data| !data.is_dir()) {
                return Err(Error::format(
                    path,
                    "is in the way of a folder that a merge makes there: remove it",
                ));
            }
            if path.is_dir() {
                check_hidden(path)?;
            }
        }
        Ok(())
    }

    /// Removes the folder in which a result is made, if it is there.
    pub(super) fn clear(&self) -> Result<()> {
        remove(&self.building)
    }

    /// Puts in order what a crash left between the renames of [`Places::put_in_place`]. Returns whether the folder was
    /// put in place by this.
    pub(super) fn settle(&self, host: &Host) -> Result<bool> {
        if !self.old.exists() {
            return Ok(false);
        }
        let shown = self.folder.display();
        if self.folder.exists() {
            host.events.notice(format!("{} was left by an earlier merge and is removed", self.old.display()));
            remove(&self.old)?;
            return Ok(false);
        }
        let whole =
            |folder: &Path| !Journal::is_in(folder) && Record::read(folder).is_some_and(|r| r.holds(folder));
        let (from, what) = match whole(&self.building) {
            true => (&self.building, "the new folder is complete and is put in place"),
            false => (&self.old, "the old folder is put back"),
        };
        host.events.notice(format!("a merge was stopped while it replaced {shown}: {what}"));
        self.rename(from)?;
        remove(&self.old)?;
        Ok(true)
    }

    /// Makes the finished folder the one that it is for. One that is there already is put aside first and removed last.
    pub(super) fn put_in_place(&self, host: &Host) -> Result<()> {
        if !self.folder.exists() {
            return self.rename(&self.building);
        }
        // Where the two can change places, there is a folder at every moment.
        if disk::exchange(&self.building, &self.folder).is_ok() {
            sync_folder(parent(&self.folder), &self.folder)?;
            remove_old(&self.building, host);
            return Ok(());
        }
        disk::rename(&self.folder, &self.old).map_err(|e| Error::io(&self.folder, e))?;
        if let Err(e) = self.rename(&self.building) {
            // Put back, so that there is a folder again; the error is told either way.
            drop(disk::rename(&self.old, &self.folder));
            return Err(e);
        }
        remove_old(&self.old, host);
        Ok(())
    }

    fn rename(&self, from: &Path) -> Result<()> {
        disk::rename(from, &self.folder).map_err(|e| Error::io(&self.folder, e))?;
        Ok(sync_folder(parent(&self.folder), &self.folder)?)
    }
}

/// Removes what was replaced. That this fails is no failure of the merge.
fn remove_old(folder: &Path, host: &Host) {
    if let Err(e) = remove(folder) {
        host.events.notice(format!("the folder that was replaced is left behind: {e}"));
    }
}

fn remove(folder: &Path) -> Result<()> {
    match disk::remove_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, e)),
        _ => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}
