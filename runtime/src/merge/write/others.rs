//! What in a folder is not of a model or a merge, and therefore not a merge's to delete.

use std::fs::DirEntry;
use std::path::Path;

use super::identity::CONFIG;
use super::journal::Journal;
use super::record::{NAME, Record, remove_entry};
use crate::host::disk;
use crate::model::is_of_a_model;
use crate::{Error, Result};

/// As many names as an error lists.
const LISTED: usize = 5;

/// Tells the files of models and merges from those of others.
pub(super) struct Own(Vec<String>);

impl Own {
    /// For this folder, by the record in it if there is one.
    pub(super) fn of(folder: &Path) -> Self {
        Self(Record::read(folder).map(|record| record.written).unwrap_or_default())
    }

    /// Whether an entry of the folder is a file that lota may delete.
    pub(super) fn has(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return false };
        // Locks and what dead processes left.
        if name.starts_with(".lota") {
            return true;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        !is_folder && (is_of_a_model(name) || name == CONFIG || self.0.iter().any(|own| own == name))
    }
}

/// The names of files and folders in a folder that are not of a model or a merge, as a text; `None` without any.
fn foreign(folder: &Path) -> Result<Option<String>> {
    let failed = |e| Error::io(folder, e);
    let own = Own::of(folder);
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !own.has(&entry) && !Journal::has_name(&entry.file_name()) {
            others.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if others.is_empty() {
        return Ok(None);
    }
    others.sort();
    let more = match others.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    others.truncate(LISTED);
    Ok(Some(format!("{}{more}", others.join(", "))))
}

/// An error that names them if a folder holds files or folders that are not of a model or a merge: replacing the folder
/// would delete them.
pub fn check_replaceable(folder: &Path) -> Result<()> {
    foreign(folder)?.map_or(Ok(()), |others| {
        Err(Error::argument(format!(
            "{} is not replaced, as it holds files that belong to no model: {others}; move them away, or write to another \
             folder",
            folder.display(),
        )))
    })
}

/// The same of a hidden folder that a merge makes beside its result, and removes: somebody else may have had the name first.
pub(super) fn check_hidden(folder: &Path) -> Result<()> {
    foreign(folder)?.map_or(Ok(()), |others| {
        Err(Error::argument(format!(
            "{} is in the way of a folder that a merge makes there, and holds files that belong to no model: {others}; \
             move them away, or write to another folder",
            folder.display(),
        )))
    })
}

/// Removes a folder that a merge has made; files of others stay, and the folder with them. The record goes last, so that
/// what a crash leaves of the folder is still known as that of a merge, and can be replaced.
pub fn discard(folder: &Path) -> Result<()> {
    let failed = |e| Error::io(folder, e);
    let own = Own::of(folder);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != NAME && own.has(&entry) {
            remove_entry(&entry)?;
        }
    }
    remove_file(&folder.join(NAME))?;
    match disk::remove_folder(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::DirectoryNotEmpty => Err(failed(e)),
        _ => Ok(()),
    }
}

/// Removes a file that may not be there.
fn remove_file(path: &Path) -> Result<()> {
    match disk::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}
