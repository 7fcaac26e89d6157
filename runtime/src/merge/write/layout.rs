//! Which tensor lies where in which file: known before anything is made.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::record::sync_folder;
use super::shards::write_at;
use crate::merge::files::{json_text, put};
use crate::merge::plan::{Plan, Task};
use crate::{Error, Result};

const INDEX: &str = "model.safetensors.index.json";

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
    pub(super) fn of(plan: &Plan, shard_bytes: u64) -> Self {
        let mut members: Vec<Vec<usize>> = vec![Vec::new()];
        let mut filled = 0;
        for job in 0..plan.jobs.len() {
            let bytes = size(plan, job);
            let last = members.len() - 1;
            if filled + bytes > shard_bytes && !members[last].is_empty() {
                members.push(vec![job]);
                filled = 0;
            } else {
                members[last].push(job);
            }
            filled += bytes;
        }
        let mut layout = Self { files: Vec::new(), places: Vec::new() };
        for (at, jobs) in members.iter().enumerate() {
            let name = match members.len() {
                1 => "model.safetensors".to_string(),
                n => format!("model-{:05}-of-{n:05}.safetensors", at + 1),
            };
            let header = header(plan, jobs);
            let mut offset = header.len() as u64;
            for &job in jobs {
                let bytes = size(plan, job);
                layout.places.push(Place { file: at, offset, bytes });
                offset += bytes;
            }
            layout.files.push(Shard { name, header, length: offset });
        }
        layout
    }

    /// The bytes of all tensors.
    pub(super) fn total(&self) -> u64 {
        self.places.iter().map(|p| p.bytes).sum()
    }

    /// Makes the files in a new folder, with their headers and their length.
    pub(super) fn create(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir(folder).map_err(|e| Error::io(folder, e))?;
        for shard in &self.files {
            let path = folder.join(&shard.name);
            let failed = |e| Error::io(&path, e);
            let file = OpenOptions::new().create_new(true).write(true).open(&path).map_err(failed)?;
            write_at(&file, &shard.header, 0).and_then(|()| file.set_len(shard.length)).map_err(failed)?;
        }
        sync_folder(folder)
    }

    /// Whether a folder has these files, with these headers and of this length.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        self.files.iter().all(|shard| shard.is_in(folder).unwrap_or(false))
    }

    /// Opens the files of a folder for writing.
    pub(super) fn open(&self, folder: &Path) -> Result<Vec<(PathBuf, File)>> {
        let open = |shard: &Shard| {
            let path = folder.join(&shard.name);
            match OpenOptions::new().write(true).open(&path) {
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
            let map: Map<String, Value> = plan
                .jobs
                .iter()
                .zip(&self.places)
                .map(|(job, place)| (job.name.clone(), json!(names[place.file])))
                .collect();
            let index = json!({ "metadata": { "total_size": self.total() }, "weight_map": map });
            put(folder, INDEX, json_text(&folder.join(INDEX), &index)?.as_bytes())?;
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

/// The header of a file, its length in front.
fn header(plan: &Plan, jobs: &[usize]) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut end = 0;
    for &at in jobs {
        let job = &plan.jobs[at];
        let begin = end;
        end += size(plan, at);
        let dtype = match &job.task {
            Task::Copy { dtype, .. } => dtype.as_str(),
            Task::Merge { .. } => job.out.header(),
        };
        header.insert(
            job.name.clone(),
            json!({ "dtype": dtype, "shape": job.shape, "data_offsets": [begin, end] }),
        );
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    // The data begins at a multiple of 8 bytes, so that a mapped file can be used in place.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out
}
