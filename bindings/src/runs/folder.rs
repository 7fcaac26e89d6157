//! A run's folder on disk.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Component, Path, PathBuf};

use lota_runtime::host::{Events, Lock, write_atomic};
use lota_runtime::{Error, Result};
use serde_json::Value;

use super::metrics::Metrics;

const METRICS: &str = "metrics.jsonl";

/// A folder with `config.json` (what was asked for), `metrics.jsonl` (one JSON object a line, each on the disk before
/// the next is taken) and whatever files the script writes. No file outside of it is touched. It has one writer: the
/// folder is locked until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    metrics: Metrics,
    _lock: Lock,
}

impl RunFolder {
    /// Starts a run in `dir`. A folder that holds a run already is an error, unless `resume` is
    /// set: then its metrics are continued, and its config must equal `config` where one is given. A folder in which
    /// another run is at work is an error that says whose.
    pub fn start(dir: &Path, config: Option<&Value>, resume: bool, events: &Events) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let lock = Lock::within(dir, "run", events)?;
        let (config_path, metrics_path) = (dir.join("config.json"), dir.join(METRICS));
        let exists = config_path.exists() || metrics_path.exists();
        if exists && !resume {
            return Err(Error::argument(format!(
                "{} holds a run already: choose another folder, or continue it with resume = true",
                dir.display()
            )));
        }
        if let Some(config) = config {
            match read_config(&config_path)? {
                Some(old) => same_config(&config_path, &old, config)?,
                None => write_json(&config_path, config)?,
            }
        }
        Ok(Self { dir: dir.to_path_buf(), metrics: Metrics::open(&metrics_path, events)?, _lock: lock })
    }

    /// An error that names the first difference unless the run has this config.
    pub fn check_config(&self, config: &Value) -> Result<()> {
        let path = self.dir.join("config.json");
        let old = read_config(&path)?.unwrap_or_else(|| b"{}".to_vec());
        same_config(&path, &old, config)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lines in `metrics.jsonl`.
    pub fn logged(&self) -> u64 {
        self.metrics.lines
    }

    /// Adds one line to `metrics.jsonl`. It is on the disk when this returns. After an error nothing of it is in the
    /// file, and the next record can be logged.
    pub fn log(&mut self, record: &Value) -> Result<()> {
        self.metrics.add(record)
    }

    /// The records logged so far.
    pub fn records(&self) -> Result<Vec<Value>> {
        let path = self.dir.join(METRICS);
        let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
        let mut records = Vec::new();
        for (i, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|e| Error::io(&path, e))?;
            let record = serde_json::from_str(&line)
                .map_err(|e| Error::format(&path, format!("line {} is not JSON: {e}", i + 1)))?;
            records.push(record);
        }
        Ok(records)
    }

    /// The path of a file of this run. `name` is relative and may not lead out of the folder, by
    /// `..` or through a link; folders in it are created.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let refuse = |why: &str| {
            Err(Error::argument(format!(
                "`{name}` is not a file of the run folder {}: {why}; give a relative name such as \"plots/loss.svg\"",
                self.dir.display()
            )))
        };
        let relative = Path::new(name);
        if name.is_empty() || name.contains('\0') {
            return refuse("it is not a file name");
        }
        for part in relative.components() {
            match part {
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return refuse("`..` leads out of it"),
                Component::RootDir | Component::Prefix(_) => return refuse("it is an absolute path"),
            }
        }
        let path = self.dir.join(relative);
        let root = self.dir.canonicalize().map_err(|e| Error::io(&self.dir, e))?;
        // Check before creating: the nearest folder that exists must lie inside.
        let parent = path.parent().unwrap_or(&self.dir);
        let mut existing = parent;
        while !existing.exists() {
            existing = existing.parent().unwrap_or(&self.dir);
        }
        let real = existing.canonicalize().map_err(|e| Error::io(existing, e))?;
        if !real.starts_with(&root) {
            return refuse("a link on the way leads out of it");
        }
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        if let Ok(real) = path.canonicalize()
            && !real.starts_with(&root)
        {
            return refuse("it is a link that leads out of it");
        }
        Ok(path)
    }

    /// Writes a file of this run beside and renames it. Returns its path.
    pub fn write(&self, name: &str, text: &[u8]) -> Result<PathBuf> {
        let path = self.path(name)?;
        if [METRICS, "config.json", ".run.lock"].iter().any(|own| path == self.dir.join(own)) {
            return Err(Error::argument(format!(
                "`{name}` is written by the run itself: log records with run:log, and give the config to lota.run.start"
            )));
        }
        write_atomic(&path, |w| w.write_all(text).map_err(|e| Error::io(&path, e)))?;
        Ok(path)
    }
}

/// What is in `config.json`, if there is one.
fn read_config(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e.to_string()))?;
    write_atomic(path, |w| writeln!(w, "{text}").map_err(|e| Error::io(path, e)))
}

fn same_config(path: &Path, old: &[u8], config: &Value) -> Result<()> {
    let old: Value =
        serde_json::from_slice(old).map_err(|e| Error::format(path, format!("is not JSON: {e}")))?;
    if old == *config {
        return Ok(());
    }
    let empty = serde_json::Map::new();
    let (was, now) = (old.as_object().unwrap_or(&empty), config.as_object().unwrap_or(&empty));
    let differs = now.keys().chain(was.keys()).find(|k| was.get(*k) != now.get(*k));
    let show = |v: Option<&Value>| v.map_or_else(|| "absent".to_string(), Value::to_string);
    let what = match differs {
        Some(k) => format!("`{k}` was {} and is now {}", show(was.get(k)), show(now.get(k))),
        None => format!("it was {old} and is now {config}"),
    };
    Err(Error::mismatch(format!(
        "{}: the run to be resumed had another config: {what}. Resume with the same config, or start in another folder",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start(dir: &Path, resume: bool) -> Result<RunFolder> {
        RunFolder::start(dir, Some(&json!({"lr": 0.1, "seed": 1})), resume, &Events::default())
    }

    #[test]
    fn a_run_keeps_its_config_and_lines_and_is_continued_only_on_request() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("runs/one");
        let mut run = start(&dir, false).expect("starts");
        run.log(&json!({"step": 1})).expect("logs");
        let metrics = dir.join("metrics.jsonl");
        assert_eq!(std::fs::read_to_string(&metrics).expect("reads"), "{\"step\":1}\n");
        drop(run);
        assert!(start(&dir, false).expect_err("a run is there").to_string().contains("resume = true"));
        let mut run = start(&dir, true).expect("resumes");
        assert_eq!(run.logged(), 1);
        run.log(&json!({"step": 2})).expect("logs");
        assert_eq!(run.records().expect("reads"), [json!({"step": 1}), json!({"step": 2})]);
    }

    #[test]
    fn resuming_with_another_config_names_the_difference() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        start(temp.path(), false).expect("starts");
        let other = json!({"lr": 0.2, "seed": 1});
        let error = RunFolder::start(temp.path(), Some(&other), true, &Events::default())
            .expect_err("differs")
            .to_string();
        assert!(error.contains("`lr` was 0.1 and is now 0.2"), "{error}");
    }

    #[test]
    fn a_folder_has_one_writer_and_the_second_is_told() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let run = start(temp.path(), false).expect("starts");
        for resume in [false, true] {
            let refused = start(temp.path(), resume).expect_err("one is at work").to_string();
            assert!(refused.contains("is writing it already"), "resume {resume}: {refused}");
        }
        drop(run);
        start(temp.path(), true).expect("the first has ended");
    }

    #[test]
    fn a_start_is_granted_to_exactly_one() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let started: Vec<bool> = std::thread::scope(|s| {
            let tries: Vec<_> = (0..8).map(|_| s.spawn(|| start(temp.path(), false))).collect();
            // Kept until all have tried.
            let all: Vec<_> = tries.into_iter().map(|t| t.join().expect("no panic")).collect();
            all.iter().map(Result::is_ok).collect()
        });
        assert_eq!(started.iter().filter(|ok| **ok).count(), 1);
    }

    #[test]
    fn files_stay_inside() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let run = start(&temp.path().join("run"), false).expect("starts");
        let path = run.write("plots/loss.svg", b"<svg/>").expect("writes");
        assert_eq!(std::fs::read(path).expect("reads"), b"<svg/>");
        for name in ["../x", "/etc/x", "a/../../x", "", "a/\0"] {
            assert!(run.write(name, b"").is_err(), "{name:?}");
        }
        assert!(run.write("./metrics.jsonl", b"").is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(temp.path(), temp.path().join("run/out")).expect("links");
            assert!(run.write("out/x", b"").is_err());
            std::os::unix::fs::symlink(temp.path().join("y"), temp.path().join("run/y")).expect("links");
            assert!(run.write("y", b"kept inside").is_ok(), "a dangling link is replaced by the rename");
            assert!(!temp.path().join("y").exists());
        }
    }
}
