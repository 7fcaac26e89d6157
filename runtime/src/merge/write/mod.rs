//! The result as a folder: shards that are written in place, tensor by tensor and by many threads,
//! in a folder beside the one they are for. A merge that was stopped goes on where it stood.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::files::{self, Files};
use super::plan::{Plan, Task};
use super::run::Store;
use super::{Float, Sink};
use crate::host::{Event, Host, write_atomic};
use crate::ops::Exec;
use crate::{Error, Result};

/// Bytes that are written before they are forced to the disk and noted as done.
const NOTED: u64 = 1 << 30;
const JOURNAL: &str = "merge.journal";

/// How a merge is written.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// The most bytes of tensors in one file (one tensor alone may be larger).
    pub shard_bytes: u64,
    /// The seed of random methods.
    pub seed: u64,
    /// Whether a folder that is there already is replaced.
    pub replace: bool,
    /// The text of the configuration, to be kept beside the weights.
    pub source: Option<String>,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self { shard_bytes: 5_000_000_000, seed: 0, replace: false, source: None }
    }
}

impl Plan {
    /// Carries the plan out and writes the result as a folder, which appears whole or not at all.
    /// Until then it is built in a hidden folder beside it; if that is there from a merge of the same
    /// plan and the same models, what it holds is not made again. Returns the files.
    pub fn write(
        &self,
        folder: &Path,
        options: &FolderOptions,
        exec: &Exec,
        host: &Host,
    ) -> Result<Vec<PathBuf>> {
        self.refuse_bad_target(folder, options)?;
        let beside = beside(folder)?;
        let shards = Shards::open(self, &beside, options, host)?;
        let made = self.run(&shards, options.seed, exec, host);
        // What is whole is noted, however the merge ended.
        let noted = shards.note();
        made.and(noted)?;
        let mut names = shards.close()?;
        names.extend(self.write_files(&beside, options)?);
        std::fs::remove_file(beside.join(JOURNAL)).map_err(|e| Error::io(beside.join(JOURNAL), e))?;
        put_in_place(&beside, folder)?;
        host.events.emit(Event::Saved(folder.to_path_buf()));
        Ok(names.into_iter().map(|n| folder.join(n)).collect())
    }

    fn refuse_bad_target(&self, folder: &Path, options: &FolderOptions) -> Result<()> {
        let Ok(real) = folder.canonicalize() else { return Ok(()) };
        for input in &self.inputs {
            if input.folder().and_then(|f| f.canonicalize().ok()).is_some_and(|f| f == real) {
                return Err(Error::argument(format!(
                    "{} is one of the models that are merged: write to another folder",
                    folder.display()
                )));
            }
        }
        let empty = std::fs::read_dir(&real).is_ok_and(|mut entries| entries.next().is_none());
        if options.replace || empty {
            return Ok(());
        }
        Err(Error::argument(format!("{} is there already, and is not overwritten", folder.display())))
    }

    fn write_files(&self, folder: &Path, options: &FolderOptions) -> Result<Vec<String>> {
        let mut files = Files::new(folder);
        files.json("config.json", &Value::Object(self.config.clone()))?;
        files::tokenizer(self, &mut files)?;
        if let Some(source) = &options.source {
            files.text("mergekit_config.yml", source)?;
        }
        Ok(files.written())
    }

    /// A hash of all that decides what the tensors are.
    fn identity(&self, options: &FolderOptions) -> String {
        let mut hash = blake3::Hasher::new();
        let mut add = |text: String| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(format!("1 {} {} {}", self.method.spec().name, options.seed, options.shard_bytes));
        self.inputs.iter().for_each(|i| add(i.identity()));
        for job in &self.jobs {
            add(format!("{} {:?} {:?}", job.name, job.shape, job.out));
            match &job.task {
                Task::Copy { feed, dtype } => add(format!("copy {} {} {dtype}", feed.input, feed.name)),
                Task::Merge { feeds, base, params, float } => {
                    add(format!("{base:?} {params:?} {float:?}"));
                    for feed in feeds {
                        add(format!("{} {} {}", feed.input, feed.name, feed.rows.is_some()));
                    }
                }
            }
        }
        hash.finalize().to_hex().to_string()
    }
}

/// The hidden folder in which a folder is built.
fn beside(folder: &Path) -> Result<PathBuf> {
    let name = folder
        .file_name()
        .ok_or_else(|| Error::argument(format!("{} is no name for a new folder", folder.display())))?;
    let parent = match folder.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
    Ok(parent.join(format!(".{}.merge", name.to_string_lossy())))
}

/// Renames the finished folder; one that is there already is put aside first and removed last.
fn put_in_place(beside: &Path, folder: &Path) -> Result<()> {
    let failed = |e| Error::io(folder, e);
    if !folder.exists() {
        return std::fs::rename(beside, folder).map_err(failed);
    }
    let aside = beside.with_extension("old");
    std::fs::rename(folder, &aside).map_err(failed)?;
    if let Err(e) = std::fs::rename(beside, folder) {
        // Put back, so that there is a folder again; the error is told either way.
        drop(std::fs::rename(&aside, folder));
        return Err(failed(e));
    }
    std::fs::remove_dir_all(&aside).map_err(|e| Error::io(&aside, e))
}

/// Where a tensor lies.
struct Place {
    shard: usize,
    offset: u64,
    out: Float,
    bytes: u64,
}

struct Shard {
    name: String,
    path: PathBuf,
    file: File,
}

/// The weight files of a result.
struct Shards<'p> {
    plan: &'p Plan,
    shards: Vec<Shard>,
    places: Vec<Place>,
    finished: BTreeSet<usize>,
    pending: Mutex<(Vec<usize>, u64)>,
    journal: PathBuf,
}

impl<'p> Shards<'p> {
    /// Makes the files, or takes them up again.
    fn open(plan: &'p Plan, folder: &Path, options: &FolderOptions, host: &Host) -> Result<Self> {
        let journal = folder.join(JOURNAL);
        let identity = plan.identity(options);
        let old = std::fs::read_to_string(&journal).unwrap_or_default();
        let mut lines = old.lines();
        let again = lines.next() == Some(identity.as_str());
        let mut finished = BTreeSet::new();
        if again {
            finished.extend(lines.filter_map(|l| l.parse::<usize>().ok()).filter(|j| *j < plan.jobs.len()));
            host.events.notice(format!(
                "going on with the merge that was stopped: {} of {} tensors are there",
                finished.len(),
                plan.jobs.len()
            ));
        } else {
            if folder.exists() {
                std::fs::remove_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            }
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let (shards, places) = lay_out(plan, folder, options.shard_bytes)?;
        if !again {
            append(&journal, &format!("{identity}\n"))?;
        }
        Ok(Self { plan, shards, places, finished, pending: Mutex::default(), journal })
    }

    /// Forces to the disk what was written, and then notes the tensors that are whole.
    fn note(&self) -> Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.0.is_empty() {
            return Ok(());
        }
        let shards: BTreeSet<usize> = pending.0.iter().map(|&job| self.places[job].shard).collect();
        for shard in shards {
            let shard = &self.shards[shard];
            shard.file.sync_data().map_err(|e| Error::io(&shard.path, e))?;
        }
        let lines: String = pending.0.iter().map(|job| format!("{job}\n")).collect();
        append(&self.journal, &lines)?;
        *pending = (Vec::new(), 0);
        Ok(())
    }

    /// Closes the files and writes the index, if there are several. Returns their names.
    fn close(self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.shards.iter().map(|s| s.name.clone()).collect();
        if names.len() > 1 {
            let map: Map<String, Value> = self
                .plan
                .jobs
                .iter()
                .zip(&self.places)
                .map(|(job, place)| (job.name.clone(), json!(names[place.shard])))
                .collect();
            let total: u64 = self.places.iter().map(|p| p.bytes).sum();
            let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
            let name = "model.safetensors.index.json";
            let path = self.journal.with_file_name(name);
            let text =
                serde_json::to_string_pretty(&index).map_err(|e| Error::format(&path, e.to_string()))?;
            write_atomic(&path, |out| writeln!(out, "{text}").map_err(|e| Error::io(&path, e)))?;
            names.push(name.to_string());
        }
        Ok(names)
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let failed = |e| Error::io(path, e);
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)
}

/// Opens the files, writes their headers and gives them their length.
fn lay_out(plan: &Plan, folder: &Path, shard_bytes: u64) -> Result<(Vec<Shard>, Vec<Place>)> {
    let size = |job: usize| -> u64 {
        let job = &plan.jobs[job];
        match &job.task {
            Task::Copy { feed, .. } => plan.inputs[feed.input].raw(&feed.name).map_or(0, <[u8]>::len) as u64,
            Task::Merge { .. } => (job.entries() * job.out.size()) as u64,
        }
    };
    let mut members: Vec<Vec<usize>> = vec![Vec::new()];
    let mut filled = 0;
    for job in 0..plan.jobs.len() {
        let last = members.len() - 1;
        if filled + size(job) > shard_bytes && !members[last].is_empty() {
            members.push(vec![job]);
            filled = 0;
        } else {
            members[last].push(job);
        }
        filled += size(job);
    }
    let mut shards = Vec::new();
    let mut places = Vec::new();
    for (at, jobs) in members.iter().enumerate() {
        let name = match members.len() {
            1 => "model.safetensors".to_string(),
            n => format!("model-{:05}-of-{n:05}.safetensors", at + 1),
        };
        let path = folder.join(&name);
        let header = header(plan, jobs, &size);
        let failed = |e| Error::io(&path, e);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let mut offset = header.len() as u64;
        write_at(&file, &header, 0).map_err(failed)?;
        for &job in jobs {
            places.push(Place { shard: at, offset, out: plan.jobs[job].out, bytes: size(job) });
            offset += size(job);
        }
        file.set_len(offset).map_err(failed)?;
        shards.push(Shard { name, path, file });
    }
    Ok((shards, places))
}

/// The header of a file, its length in front.
fn header(plan: &Plan, jobs: &[usize], size: &impl Fn(usize) -> u64) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut end = 0;
    for &at in jobs {
        let job = &plan.jobs[at];
        let begin = end;
        end += size(at);
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

impl Store for Shards<'_> {
    fn has(&self, job: usize) -> bool {
        self.finished.contains(&job)
    }

    fn sink<'s>(&'s self, job: usize) -> Result<Box<dyn Sink + 's>> {
        let place = &self.places[job];
        Ok(Box::new(Stretch { shard: &self.shards[place.shard], place }))
    }

    fn bytes(&self, job: usize, bytes: &[u8]) -> Result<()> {
        let place = &self.places[job];
        let shard = &self.shards[place.shard];
        write_at(&shard.file, bytes, place.offset).map_err(|e| Error::io(&shard.path, e))
    }

    fn done(&self, job: usize) -> Result<()> {
        let full = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.0.push(job);
            pending.1 += self.places[job].bytes;
            pending.1 >= NOTED
        };
        if full { self.note() } else { Ok(()) }
    }
}

/// The place of one tensor in its file.
struct Stretch<'s> {
    shard: &'s Shard,
    place: &'s Place,
}

impl Sink for Stretch<'_> {
    fn write(&self, start: usize, values: &[f32]) -> Result<()> {
        let out = self.place.out;
        let offset = self.place.offset + (start * out.size()) as u64;
        let failed = |e| Error::io(&self.shard.path, e);
        if out == Float::F32 && cfg!(target_endian = "little") {
            return write_at(&self.shard.file, bytemuck::cast_slice(values), offset).map_err(failed);
        }
        let mut bytes = Vec::with_capacity(values.len() * out.size());
        out.encode(values, &mut bytes);
        write_at(&self.shard.file, &bytes, offset).map_err(failed)
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}
