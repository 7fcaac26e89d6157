//! A run's folder on disk.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use lota_runtime::host::write_atomic;
use lota_runtime::{Error, Result};
use serde_json::Value;

/// A folder with `config.json` (what was asked for), `metrics.jsonl` (one JSON object a line,
/// flushed line by line) and whatever files the script writes. No file outside of it is touched.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    metrics: File,
    logged: u64,
}

impl RunFolder {
    /// Starts a run in `dir`. A folder that holds a run already is an error, unless `resume` is
    /// set: then its metrics are continued, and its config must equal `config` where one is given.
    pub fn start(dir: &Path, config: Option<&Value>, resume: bool) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let (config_path, metrics_path) = (dir.join("config.json"), dir.join("metrics.jsonl"));
        let exists = config_path.exists() || metrics_path.exists();
        if exists && !resume {
            return Err(Error::argument(format!(
                "{} holds a run already: choose another folder, or continue it with resume = true",
                dir.display()
            )));
        }
        if let Some(config) = config {
            match std::fs::read(&config_path) {
                Ok(old) => same_config(&config_path, &old, config)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => write_json(&config_path, config)?,
                Err(e) => return Err(Error::io(&config_path, e)),
            }
        }
        let mut metrics = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&metrics_path)
            .map_err(|e| Error::io(&metrics_path, e))?;
        let logged = drop_half_line(&mut metrics).map_err(|e| Error::io(&metrics_path, e))?;
        Ok(Self { dir: dir.to_path_buf(), metrics, logged })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lines in `metrics.jsonl`.
    pub fn logged(&self) -> u64 {
        self.logged
    }

    /// Adds one line to `metrics.jsonl`. The line is on its way to the disk when this returns.
    pub fn log(&mut self, record: &Value) -> Result<()> {
        let path = || self.dir.join("metrics.jsonl");
        let mut line = serde_json::to_string(record).map_err(|e| Error::format(path(), e.to_string()))?;
        line.push('\n');
        self.metrics.write_all(line.as_bytes()).map_err(|e| Error::io(path(), e))?;
        self.metrics.flush().map_err(|e| Error::io(path(), e))?;
        self.logged += 1;
        Ok(())
    }

    /// The records logged so far.
    pub fn records(&self) -> Result<Vec<Value>> {
        let path = self.dir.join("metrics.jsonl");
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
        if [Path::new("metrics.jsonl"), Path::new("config.json")].iter().any(|own| path == self.dir.join(own))
        {
            return Err(Error::argument(format!(
                "`{name}` is written by the run itself: log records with run:log, and give the config to lota.run.start"
            )));
        }
        write_atomic(&path, |w| w.write_all(text).map_err(|e| Error::io(&path, e)))?;
        Ok(path)
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

/// Cuts off a last line that a crash left half written, and goes to the end. The number of lines.
fn drop_half_line(file: &mut File) -> std::io::Result<u64> {
    let (mut lines, mut whole, mut at) = (0u64, 0u64, 0u64);
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for (i, _) in buffer[..n].iter().enumerate().filter(|(_, b)| **b == b'\n') {
            lines += 1;
            whole = at + i as u64 + 1;
        }
        at += n as u64;
    }
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn start(dir: &Path, resume: bool) -> Result<RunFolder> {
        RunFolder::start(dir, Some(&json!({"lr": 0.1, "seed": 1})), resume)
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
        std::fs::write(&metrics, "{\"step\":1}\n{\"ste").expect("a crash");
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
        let error = RunFolder::start(temp.path(), Some(&other), true).expect_err("differs").to_string();
        assert!(error.contains("`lr` was 0.1 and is now 0.2"), "{error}");
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
