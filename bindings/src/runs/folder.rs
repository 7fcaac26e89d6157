//! A run's folder on disk.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use lota_runtime::host::{Events, Granted, Lock, write_atomic};
use lota_runtime::{Error, Result};
use serde_json::Value;

use super::metrics::Metrics;

const CONFIG: &str = "config.json";
const METRICS: &str = "metrics.jsonl";

/// A folder with `config.json` (what was asked for), `metrics.jsonl` (one JSON object a line, each on the disk before
/// the next is taken) and whatever files the script writes. No file outside of it is touched. It has one writer: the
/// folder is locked until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    dir: Granted,
    metrics: Metrics,
    _lock: Lock,
}

impl RunFolder {
    /// Starts a run in `dir`. A folder that holds a run already is an error, unless `resume` is
    /// set: then its metrics are continued, and its config must equal `config` where one is given. A folder in which
    /// another run is at work is an error that says whose.
    pub fn start(dir: &Granted, config: Option<&Value>, resume: bool, events: &Events) -> Result<Self> {
        dir.make()?;
        let lock = Lock::within(dir.path(), "run", events)?;
        let (config_file, metrics_file) = (dir.join(CONFIG)?, dir.join(METRICS)?);
        let exists = config_file.exists() || metrics_file.exists();
        if exists && !metrics_file.exists() && !same_file(&config_file, config) {
            return Err(Error::argument(format!(
                "{} holds a config.json that is not that of a run: choose another folder",
                dir.display()
            )));
        }
        if exists && !resume {
            return Err(Error::argument(format!(
                "{} holds a run already: choose another folder, or continue it with resume = true (--resume, where a \
                 script has that option)",
                dir.display()
            )));
        }
        if let Some(config) = config {
            match read_config(&config_file)? {
                Some(old) => same_config(config_file.path(), &old, config)?,
                None => write_json(config_file.path(), config)?,
            }
        }
        Ok(Self { dir: dir.clone(), metrics: Metrics::open(metrics_file.path(), events)?, _lock: lock })
    }

    /// An error that names the first difference unless the run has this config.
    pub fn check_config(&self, config: &Value) -> Result<()> {
        let file = self.dir.join(CONFIG)?;
        let old = read_config(&file)?.unwrap_or_else(|| b"{}".to_vec());
        same_config(file.path(), &old, config)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Lines in `metrics.jsonl`.
    pub fn logged(&self) -> u64 {
        self.metrics.lines
    }

    /// Bytes of `metrics.jsonl`.
    pub fn bytes(&self) -> u64 {
        self.metrics.whole
    }

    /// Adds one line to `metrics.jsonl`. It is on the disk when this returns. After an error nothing of it is in the
    /// file, and the next record can be logged.
    pub fn log(&mut self, record: &Value) -> Result<()> {
        self.metrics.add(record)
    }

    /// The records logged so far.
    pub fn records(&mut self) -> Result<Vec<Value>> {
        self.metrics.keep()?;
        let file = self.dir.join(METRICS)?;
        let mut records = Vec::new();
        for (i, line) in BufReader::new(file.open()?).lines().enumerate() {
            let line = line.map_err(|e| Error::io(file.path(), e))?;
            if line.trim().is_empty() {
                continue;
            }
            let record = serde_json::from_str(&line)
                .map_err(|e| Error::format(file.path(), format!("line {} is not JSON: {e}", i + 1)))?;
            records.push(record);
        }
        Ok(records)
    }

    /// A file of this run. `name` is relative and may not lead out of the folder, by `..` or through a link;
    /// folders in it are created.
    pub fn file(&self, name: &str) -> Result<Granted> {
        let file = self
            .dir
            .join(name)
            .map_err(|e| Error::argument(format!("`{name}` is not a file of the run folder: {e}")))?;
        file.make_folder()?;
        Ok(file)
    }

    /// Writes a file of this run beside and renames it. Returns its path.
    pub fn write(&self, name: &str, text: &[u8]) -> Result<Granted> {
        let file = self.file(name)?;
        if [METRICS, CONFIG, ".run.lock"].iter().any(|own| self.dir.join(own).is_ok_and(|own| own == file)) {
            return Err(Error::argument(format!(
                "`{name}` is written by the run itself: log records with run:log, and give the config to lota.run.start"
            )));
        }
        let path = file.path();
        write_atomic(path, |w| w.write_all(text).map_err(|e| Error::io(path, e)))?;
        Ok(file)
    }
}

/// Whether a file holds this config: then it is that of a run which was stopped before its first record.
fn same_file(file: &Granted, config: Option<&Value>) -> bool {
    let held = file.read().ok();
    held.zip(config).is_some_and(|(held, config)| same_config(file.path(), &held, config).is_ok())
}

/// What is in `config.json`, if there is one.
fn read_config(file: &Granted) -> Result<Option<Vec<u8>>> {
    Ok(if file.exists() { Some(file.read()?) } else { None })
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e.to_string()))?;
    write_atomic(path, |w| writeln!(w, "{text}").map_err(|e| Error::io(path, e)))
}

fn same_config(path: &Path, old: &[u8], config: &Value) -> Result<()> {
    let old: Value =
        serde_json::from_slice(old).map_err(|e| Error::format(path, format!("is not JSON: {e}")))?;
    if same(&old, config) {
        return Ok(());
    }
    let empty = serde_json::Map::new();
    let (was, now) = (old.as_object().unwrap_or(&empty), config.as_object().unwrap_or(&empty));
    let differs = now.keys().chain(was.keys()).find(|k| match (was.get(*k), now.get(*k)) {
        // Whether this call goes on with the run, not what the run is.
        _ if *k == "resume" => false,
        (Some(a), Some(b)) => !same(a, b),
        _ => true,
    });
    if differs.is_none() && old.is_object() && config.is_object() {
        return Ok(());
    }
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

/// Whether two values of JSON say the same, 1 as 1.0.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at files itself")]
mod tests {
    use lota_runtime::host::Files;
    use serde_json::json;

    use super::*;

    fn granted(dir: &Path) -> Granted {
        Files::everything().grant(dir).expect("everything is granted")
    }

    fn start(dir: &Path, resume: bool) -> Result<RunFolder> {
        RunFolder::start(&granted(dir), Some(&json!({"lr": 0.1, "seed": 1})), resume, &Events::default())
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
        let error = RunFolder::start(&granted(temp.path()), Some(&other), true, &Events::default())
            .expect_err("differs")
            .to_string();
        assert!(error.contains("`lr` was 0.1 and is now 0.2"), "{error}");
        let alike = json!({"lr": 0.1, "seed": 1.0});
        RunFolder::start(&granted(temp.path()), Some(&alike), true, &Events::default()).expect("1 is 1.0");
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
        let file = run.write("plots/loss.svg", b"<svg/>").expect("writes");
        assert_eq!(file.read().expect("reads"), b"<svg/>");
        for name in ["../x", "/etc/x", "a/../../x", "", "a/\0"] {
            assert!(run.write(name, b"").is_err(), "{name:?}");
        }
        assert!(run.write("./metrics.jsonl", b"").is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(temp.path(), temp.path().join("run/out")).expect("links");
            assert!(run.write("out/x", b"").is_err());
            std::os::unix::fs::symlink(temp.path().join("y"), temp.path().join("run/y")).expect("links");
            assert!(run.write("y", b"kept inside").is_err(), "where a dangling link leads is not known");
            assert!(!temp.path().join("y").exists());
        }
    }
}
