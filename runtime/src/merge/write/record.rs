//! The record of a finished merge, beside its weights: what made them. It is written last, so that a folder that has it
//! is whole, and tells whether a folder is what a merge would give.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::FolderOptions;
use super::identity::Identity;
use super::journal::Journal;
use crate::host::{disk, sync_folder};
use crate::merge::files::put;
use crate::merge::plan::Plan;
use crate::{Error, Result};

pub(super) const NAME: &str = "lota_merge.json";
/// No record comes near this.
const LONGEST: u64 = 16 << 20;

/// What made a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version that made it.
    lota: String,
    method: String,
    seed: u64,
    models: Vec<String>,
    /// [`Identity::tensors`].
    pub tensors: Option<String>,
    /// [`Identity::files`].
    files: String,
    /// The names of all files, this one too.
    pub written: Vec<String>,
}

impl Record {
    /// The record of a merge whose files have these names.
    pub(super) fn of(
        plan: &Plan,
        identity: &Identity,
        options: &FolderOptions,
        mut written: Vec<String>,
    ) -> Self {
        written.push(NAME.to_string());
        Self {
            lota: env!("CARGO_PKG_VERSION").to_string(),
            method: plan.method.spec().name.to_string(),
            seed: options.seed,
            models: plan.inputs.iter().map(|i| i.label().to_string()).collect(),
            tensors: identity.tensors.clone(),
            files: identity.files.clone(),
            written,
        }
    }

    /// The record of a folder, if it has one that can be read.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(NAME);
        let data = path.symlink_metadata().ok()?;
        if !data.is_file() || data.len() > LONGEST {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whether it is of the merge with this identity.
    pub(super) fn made_by(&self, identity: &Identity) -> bool {
        self.tensors.is_some() && self.tensors == identity.tensors && self.files == identity.files
    }

    /// Whether a folder still holds the files as they were when the record was written.
    pub(super) fn holds(&self, folder: &Path) -> bool {
        let written = |name: &str| -> Option<SystemTime> {
            let data = folder.join(name).symlink_metadata().ok()?;
            data.is_file().then(|| data.modified().ok()).flatten()
        };
        let Some(last) = written(NAME) else { return false };
        self.written.iter().all(|name| written(name).is_some_and(|time| time <= last))
    }

    /// Ends a merge in the folder where it was made: removes what does not belong to the result, writes the record and
    /// removes the journal.
    pub(super) fn finish(self, folder: &Path) -> Result<Self> {
        let failed = |e| Error::io(folder, e);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            // Files of an earlier try with another tokenizer or chat template.
            if !self.written.iter().any(|w| name == w.as_str()) && !Journal::has_name(&name) {
                remove_entry(&entry)?;
            }
        }
        let path = folder.join(NAME);
        let text = serde_json::to_string_pretty(&self).map_err(|e| Error::format(&path, e.to_string()))?;
        put(folder, NAME, format!("{text}\n").as_bytes())?;
        Journal::end(folder)?;
        sync_folder(folder, folder)?;
        Ok(self)
    }
}

/// Removes a file or a folder of a folder.
pub(super) fn remove_entry(entry: &std::fs::DirEntry) -> Result<()> {
    let failed = |e| Error::io(entry.path(), e);
    match entry.file_type().map_err(failed)?.is_dir() {
        true => disk::remove_all(&entry.path()).map_err(failed),
        false => disk::remove_file(&entry.path()).map_err(failed),
    }
}
