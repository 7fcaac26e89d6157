//! The result as a folder, which appears whole or not at all.
//!
//! Its files are made in a hidden folder beside it: weights in place, tensor by tensor and by many threads, with a
//! journal of the tensors that are whole; then the small files; last a record of what made them. A merge that was stopped
//! goes on where it stood, and one that was stopped at the very end is only put in place.

mod identity;
mod journal;
mod layout;
mod left;
mod others;
mod place;
mod record;
mod shards;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::identity::Identity;
use self::journal::Journal;
use self::layout::Layout;
use self::left::Left;
pub use self::others::{check_replaceable, discard};
use self::place::Places;
pub use self::place::hidden;
use self::record::Record;
use self::shards::Shards;
use super::files::put;
use super::plan::Plan;
use crate::host::{Event, Fault as _, FaultKind, Host, Located as _, Lock};
use crate::ops::Exec;
use crate::{Error, Result};

/// How a merge is written.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// The most bytes of tensors in one file (one tensor alone may be larger).
    pub shard_bytes: u64,
    /// The seed of random methods.
    pub seed: u64,
    /// What is done about a folder that is there already.
    pub existing: Existing,
    /// The text of the configuration, to be kept beside the weights.
    pub source: Option<String>,
}

/// What is done about a folder that is there already and not empty. In no case is one replaced that holds an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    #[default]
    Refuse,
    /// It is replaced. If it holds files that belong to no model, that is an error that names them.
    Replace,
    /// If this very merge has made it, it is the result; anything else is an error.
    Keep,
    /// If this very merge has made it, it is the result; if another merge has, it is replaced as by `Replace`;
    /// anything else is an error.
    Renew,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self { shard_bytes: 5_000_000_000, seed: 0, existing: Existing::Refuse, source: None }
    }
}

impl Plan {
    /// Carries the plan out and writes the result as a folder. What an earlier try of the same merge, of the same inputs,
    /// has made is not made again. Returns the files. While another process writes the same folder, this is an error.
    pub fn write(
        &self,
        folder: &Path,
        options: &FolderOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<Vec<PathBuf>> {
        let places = Places::of(folder)?;
        self.spare_inputs(&places)?;
        let _lock = Lock::beside(&places.folder, &host.events)?;
        places.check()?;
        let identity = Identity::of(self, options)?;
        let layout = Layout::of(self, options.shard_bytes)?;
        let repaired = places.settle(host)?;
        if let Some(record) = self.there(&places, &identity, &layout, options, repaired, host)? {
            places.clear()?;
            return Ok(record.written.iter().map(|name| folder.join(name)).collect());
        }
        let names = self.build(&places, &identity, &layout, options, exec, host).or_else(|error| {
            // What is wrong with the numbers or the settings is wrong the next time too: nothing is to go on from.
            if matches!(error, Error::Mismatch(_)) || error.kind() == FaultKind::Argument {
                places.clear()?;
            }
            Err(error.shown_in(&places.building, &places.folder))
        })?;
        // Somebody may have put files there while the merge ran. The result waits in the hidden folder.
        if places.folder.exists() {
            check_replaceable(&places.folder)?;
        }
        places.put_in_place(host)?;
        host.events.emit(Event::Saved(folder.to_path_buf()));
        Ok(names.into_iter().map(|name| folder.join(name)).collect())
    }

    /// An error if the folder holds an input: replacing it would delete what is merged.
    fn spare_inputs(&self, places: &Places) -> Result<()> {
        let Ok(target) = places.folder.canonicalize() else { return Ok(()) };
        for input in &self.inputs {
            let own = input.folder().map(Path::to_path_buf);
            for file in own.into_iter().chain(input.files()) {
                let Ok(file) = file.canonicalize() else { continue };
                if file == target {
                    return Err(Error::argument(format!(
                        "{} is one of the models that are merged: write to another folder",
                        places.folder.display()
                    )));
                }
                if file.starts_with(&target) {
                    return Err(Error::argument(format!(
                        "{} holds {}, which is merged: write to another folder",
                        places.folder.display(),
                        input.label()
                    )));
                }
            }
        }
        Ok(())
    }

    /// The record of the folder if it is the result already; an error if it may not be replaced.
    fn there(
        &self,
        places: &Places,
        identity: &Identity,
        layout: &Layout,
        options: &FolderOptions,
        repaired: bool,
        host: &Host,
    ) -> Result<Option<Record>> {
        let shown = places.folder.display();
        if !places.folder.exists() {
            return Ok(None);
        }
        if !places.folder.is_dir() {
            return Err(Error::argument(format!("{shown} is a file: a merge is written to a folder")));
        }
        let record = Record::read(&places.folder);
        let same = record.as_ref().filter(|record| {
            record.made_by(identity) && record.holds(&places.folder) && layout.is_in(&places.folder)
        });
        if let Some(same) = same
            && (repaired || matches!(options.existing, Existing::Keep | Existing::Renew))
        {
            host.events.notice(format!("{shown} was made by this very merge and is not made again"));
            return Ok(Some(same.clone()));
        }
        let empty = std::fs::read_dir(&places.folder).is_ok_and(|mut entries| entries.next().is_none());
        if empty {
            return Ok(None);
        }
        if options.existing == Existing::Replace {
            check_replaceable(&places.folder)?;
            return Ok(None);
        }
        if options.existing == Existing::Renew {
            if record.is_none() {
                return Err(Error::argument(format!(
                    "{shown} is there already and was not made by a merge: move it away, or choose another folder"
                )));
            }
            check_replaceable(&places.folder)?;
            host.events
                .notice(format!("{shown} was made by another merge or from other models: it is made again"));
            return Ok(None);
        }
        Err(Error::argument(format!("{shown} is there already, and is not overwritten")))
    }

    /// Makes all files in the hidden folder. Returns their names.
    fn build(
        &self,
        places: &Places,
        identity: &Identity,
        layout: &Layout,
        options: &FolderOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<Vec<String>> {
        let building = &places.building;
        let (journal, finished) = match Left::of(building, identity, layout, host) {
            Left::Whole(record) if record.made_by(identity) => return Ok(record.written),
            // The tensors are those of this merge, but not the small files.
            Left::Whole(_) => {
                let all: BTreeSet<usize> = (0..self.jobs.len()).collect();
                (Journal::start(building, identity.tensors.as_deref(), all.iter().copied())?, all)
            }
            Left::Part(finished) => (Journal::open(building)?, finished),
            Left::Nothing => {
                places.clear()?;
                layout.create(building)?;
                (Journal::start(building, identity.tensors.as_deref(), [])?, BTreeSet::new())
            }
        };
        let shards = Shards::open(layout, self, building, journal, finished)?;
        let made = self.run(&shards, options.seed, exec, host);
        // What is whole is noted, however the merge ended.
        let noted = shards.note();
        made.and(noted)?;
        let mut names = layout.write_index(self, building)?;
        for (name, bytes) in &identity.others {
            put(building, name, bytes)?;
            names.push(name.clone());
        }
        Ok(Record::of(self, identity, options, names).finish(building)?.written)
    }
}
