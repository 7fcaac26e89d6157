//! Which tensor lies where in which file: known before anything is made.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::host::container::shards::{self, INDEX};
use crate::host::container::{self, Declared};
use crate::host::disk;
use crate::merge::files::put;
use crate::merge::plan::{Job, Plan, Task};
use crate::{Error, Result};

/// The weight files of a result.
pub(super) struct Layout {
    pub files: Vec<Shard>,
    /// For each tensor, where it lies.
    pub places: Vec<Place>,
}

/// A weight file.
pub(super) struct Shard {
    pub name: String,
    /// What it begins with.
    header: Vec<u8>,
    /// Its length in bytes.
    length: u64,
}

/// Where a tensor lies.
pub(super) struct Place {
    /// The file, by its number.
    pub file: usize,
    /// The first byte.
    pub offset: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl Layout {
    /// Cuts the tensors of a plan into files of `shard_bytes` at most.
    pub(super) fn of(plan: &Plan, shard_bytes: u64) -> Result<Self> {
        let sizes: Vec<u64> = (0..plan.jobs.len()).map(|job| size(plan, job)).collect();
        let files = shards::cut(&sizes, shard_bytes);
        let mut layout = Self { files: Vec::new(), places: Vec::new() };
        for (at, jobs) in files.iter().enumerate() {
            let name = shards::file_name(at, files.len());
            let header = header(plan, jobs.clone(), &sizes)?;
            let mut offset = header.len() as u64;
            for &bytes in &sizes[jobs.clone()] {
                layout.places.push(Place { file: at, offset, bytes });
                offset += bytes;
            }
            layout.files.push(Shard { name, header, length: offset });
        }
        Ok(layout)
    }

    /// The bytes of all tensors.
    pub(super) fn total(&self) -> u64 {
        self.places.iter().map(|p| p.bytes).sum()
    }

    /// Makes the files in a new folder, with their headers and their length.
    pub(super) fn create(&self, folder: &Path) -> Result<()> {
        disk::make_folder(folder).map_err(|e| Error::io(folder, e))?;
        for shard in &self.files {
            let path = folder.join(&shard.name);
            let failed = |e| Error::io(&path, e);
            let file = disk::open(OpenOptions::new().create_new(true).write(true), &path).map_err(failed)?;
            disk::write_at(&file, &path, &shard.header, 0)
                .and_then(|()| disk::set_length(&file, &path, shard.length))
                .map_err(failed)?;
        }
        Ok(crate::host::sync_folder(folder, folder)?)
    }

    /// Whether a folder has these files, with these headers and of this length.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        self.files.iter().all(|shard| shard.is_in(folder).unwrap_or(false))
    }

    /// Opens the files of a folder for writing.
    pub(super) fn open(&self, folder: &Path) -> Result<Vec<(PathBuf, File)>> {
        let open = |shard: &Shard| {
            let path = folder.join(&shard.name);
            match disk::open(OpenOptions::new().write(true), &path) {
                Ok(file) => Ok((path, file)),
                Err(e) => Err(Error::io(path, e)),
            }
        };
        self.files.iter().map(open).collect()
    }

    /// Writes the index, if there are several files. Returns the names of all.
    pub(super) fn write_index(&self, plan: &Plan, folder: &Path) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.files.iter().map(|s| s.name.clone()).collect();
        if names.len() > 1 {
            let jobs = plan.jobs.iter().zip(&self.places);
            let places = jobs.map(|(job, place)| (job.name.as_str(), names[place.file].as_str()));
            put(folder, INDEX, shards::index(self.total(), places)?.as_bytes())?;
            names.push(INDEX.to_string());
        }
        Ok(names)
    }

    /// The files that tensors lie in.
    pub(super) fn files_of(&self, jobs: &[usize]) -> BTreeSet<usize> {
        jobs.iter().map(|&job| self.places[job].file).collect()
    }
}

impl Shard {
    fn is_in(&self, folder: &Path) -> std::io::Result<bool> {
        let path = folder.join(&self.name);
        let data = path.symlink_metadata()?;
        if !data.is_file() || data.len() != self.length {
            return Ok(false);
        }
        let mut header = vec![0; self.header.len()];
        File::open(path)?.read_exact(&mut header)?;
        Ok(header == self.header)
    }
}

/// The bytes of a tensor of the result.
fn size(plan: &Plan, job: usize) -> u64 {
    let job = &plan.jobs[job];
    match &job.task {
        Task::Copy { feed, .. } => plan.inputs[feed.input].raw(&feed.name).map_or(0, <[u8]>::len) as u64,
        Task::Merge { .. } => (job.entries() * job.out.size()) as u64,
    }
}

/// The header of the file of these tensors, its length in front.
fn header(plan: &Plan, jobs: Range<usize>, sizes: &[u64]) -> Result<Vec<u8>> {
    fn declared<'p>((job, &bytes): (&'p Job, &u64)) -> Declared<'p> {
        let dtype = match &job.task {
            Task::Copy { dtype, .. } => dtype.as_str(),
            Task::Merge { .. } => job.out.header(),
        };
        Declared { name: &job.name, dtype, shape: &job.shape, bytes }
    }
    let tensors: Vec<Declared<'_>> = plan.jobs[jobs.clone()].iter().zip(&sizes[jobs]).map(declared).collect();
    Ok(container::header(&[("format", "pt")], &tensors)?)
}
