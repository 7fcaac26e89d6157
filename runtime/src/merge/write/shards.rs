//! Finished tensors go into their place in the weight files, from many threads.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::journal::Journal;
use super::layout::Layout;
use crate::host::disk;
use crate::merge::plan::Plan;
use crate::merge::run::Store;
use crate::merge::{Float, Sink};
use crate::{Error, Result};

/// The open weight files of a result that is being made.
pub(super) struct Shards<'p> {
    plan: &'p Plan,
    layout: &'p Layout,
    files: Vec<(PathBuf, File)>,
    finished: BTreeSet<usize>,
    pending: Mutex<Pending>,
    journal: Journal,
    /// Bytes that are written before they are forced to the disk and noted.
    noted: u64,
}

/// Tensors that are written but not noted yet.
#[derive(Default)]
struct Pending {
    jobs: Vec<usize>,
    bytes: u64,
}

impl<'p> Shards<'p> {
    /// Opens the files of a folder; `finished` are the tensors that need not be made.
    pub(super) fn open(
        layout: &'p Layout,
        plan: &'p Plan,
        folder: &Path,
        journal: Journal,
        finished: BTreeSet<usize>,
    ) -> Result<Self> {
        // A crash costs a sixteenth of a merge at most, and of large ones a gibibyte.
        let noted = (layout.total() / 16).clamp(1 << 20, 1 << 30);
        let files = layout.open(folder)?;
        Ok(Self { plan, layout, files, finished, pending: Mutex::default(), journal, noted })
    }

    /// Forces to the disk what was written, and then notes the tensors that are whole.
    pub(super) fn note(&self) -> Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.jobs.is_empty() {
            return Ok(());
        }
        for file in self.layout.files_of(&pending.jobs) {
            let (path, file) = &self.files[file];
            disk::flush_data(file, path).map_err(|e| Error::io(path, e))?;
        }
        self.journal.note(&pending.jobs)?;
        *pending = Pending::default();
        Ok(())
    }

    fn write(&self, job: usize, bytes: &[u8], from: u64) -> Result<()> {
        let place = &self.layout.places[job];
        let (path, file) = &self.files[place.file];
        disk::write_at(file, path, bytes, place.offset + from).map_err(|e| Error::io(path, e))
    }
}

impl Store for Shards<'_> {
    fn has(&self, job: usize) -> bool {
        self.finished.contains(&job)
    }

    fn sink<'s>(&'s self, job: usize) -> Result<Box<dyn Sink + 's>> {
        Ok(Box::new(Stretch { shards: self, job }))
    }

    fn bytes(&self, job: usize, bytes: &[u8]) -> Result<()> {
        self.write(job, bytes, 0)
    }

    fn done(&self, job: usize) -> Result<()> {
        let full = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.jobs.push(job);
            pending.bytes += self.layout.places[job].bytes;
            pending.bytes >= self.noted
        };
        if full { self.note() } else { Ok(()) }
    }
}

/// The place of one tensor in its file.
struct Stretch<'s> {
    shards: &'s Shards<'s>,
    job: usize,
}

impl Sink for Stretch<'_> {
    fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        let out = self.shards.plan.jobs[self.job].out;
        let from = (start * out.size()) as u64;
        if out == Float::F32 && cfg!(target_endian = "little") {
            return self.shards.write(self.job, bytemuck::cast_slice(values), from);
        }
        let mut bytes = Vec::with_capacity(values.len() * out.size());
        out.encode(values, &mut bytes);
        self.shards.write(self.job, &bytes, from)
    }
}
