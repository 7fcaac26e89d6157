//! The metrics of a run: a file of JSON lines that never keeps part of one.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lota_runtime::host::{Events, disk, is_at, write_atomic};
use lota_runtime::{Error, Result};
use serde_json::Value;

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    events: Events,
    /// Whole records.
    pub lines: u64,
    /// Their bytes. What lies behind them in the file is part of a record that could not be written.
    pub whole: u64,
}

impl Metrics {
    /// Opens the file, or makes it. What a crash left behind the last whole record is cut off, and a notice says so. A
    /// record that lacks only the end of its line gets it.
    pub fn open(path: &Path, events: &Events) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut options = OpenOptions::new();
        #[expect(clippy::disallowed_methods, reason = "the run folder has checked the path")]
        let mut file =
            disk::open(options.read(true).write(true).create(true).truncate(false), path).map_err(io)?;
        let Found { lines, mut whole, unended } = whole_records(&mut file).map_err(io)?;
        if unended {
            file.seek(SeekFrom::Start(whole)).and_then(|_| disk::write(&file, path, b"\n")).map_err(io)?;
            disk::flush(&file, path).map_err(io)?;
            whole += 1;
        }
        let size = file.metadata().map_err(io)?.len();
        if size > whole {
            disk::set_length(&file, path, whole).and_then(|()| disk::flush(&file, path)).map_err(io)?;
            events.notice(format!(
                "{}: removed the last {} bytes, a record that was not written to its end",
                path.display(),
                size - whole
            ));
        }
        Ok(Self { path: path.to_path_buf(), file, events: events.clone(), lines, whole })
    }

    /// Makes the file again, with all its records, if somebody has removed it. Another file in its place is an error.
    pub fn keep(&mut self) -> Result<()> {
        if is_at(&self.file, &self.path) {
            return Ok(());
        }
        let io = |e| Error::io(&self.path, e);
        if self.path.symlink_metadata().is_ok() {
            return Err(Error::format(
                &self.path,
                "another file was put in its place while the run writes to it: move that one away, and the run makes its \
                 own again",
            ));
        }
        let mut records = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        (&self.file).take(self.whole).read_to_end(&mut records).map_err(io)?;
        write_atomic(&self.path, |w| w.write_all(&records).map_err(|e| Error::io(&self.path, e)))?;
        #[expect(clippy::disallowed_methods, reason = "the run folder has checked the path")]
        let file = disk::open(OpenOptions::new().read(true).write(true), &self.path).map_err(io)?;
        self.file = file;
        self.events.notice(format!(
            "{}: was removed while the run writes to it, and is made again with its {} records",
            self.path.display(),
            self.lines
        ));
        Ok(())
    }

    /// Adds a line and flushes it to disk. On an error the file ends with the line before.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::format(&self.path, e.to_string()))?;
        line.push('\n');
        self.keep()?;
        let written = self.put(line.as_bytes());
        if let Err(e) = written {
            // If this fails too, the next record is written over the part.
            drop(disk::set_length(&self.file, &self.path, self.whole));
            return Err(Error::io(&self.path, e));
        }
        self.whole += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    fn put(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.file.metadata()?.len() != self.whole {
            disk::set_length(&self.file, &self.path, self.whole)?;
        }
        self.file.seek(SeekFrom::Start(self.whole))?;
        disk::write(&self.file, &self.path, line)?;
        disk::flush_data(&self.file, &self.path)
    }
}

/// What a file of records holds.
struct Found {
    /// Whole records; blank lines are none.
    lines: u64,
    /// The bytes up to the end of the last one.
    whole: u64,
    /// Whether the last one lacks the end of its line.
    unended: bool,
}

/// Reads a file of records. The last line is no record if it is no JSON, also where it has an end: a power cut can leave
/// the length of a line without its text. Without an end it is one if it is a whole object.
fn whole_records(file: &mut File) -> std::io::Result<Found> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    let (mut lines, mut at, mut before, mut whole) = (0, 0, 0, 0);
    loop {
        line.clear();
        let start = at;
        at += reader.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            break;
        }
        whole = at;
        if !line.trim_ascii().is_empty() {
            lines += 1;
            before = start;
            std::mem::swap(&mut last, &mut line);
        }
    }
    if serde_json::from_slice::<serde_json::Map<String, Value>>(&line).is_ok() {
        return Ok(Found { lines: lines + 1, whole: at, unended: true });
    }
    let torn = lines > 0 && serde_json::from_slice::<serde::de::IgnoredAny>(&last).is_err();
    Ok(match torn {
        true => Found { lines: lines - 1, whole: before, unended: false },
        false => Found { lines, whole, unended: false },
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at files itself")]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(path: &Path) -> Metrics {
        Metrics::open(path, &Events::default()).expect("opens")
    }

    #[test]
    fn a_record_that_a_crash_left_half_written_is_cut_off() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("metrics.jsonl");
        for (left, lines) in [
            ("", 0),
            ("{\"st", 0),
            ("{\"step\":1}\n", 1),
            ("{\"step\":1}\n{\"ste", 1),
            ("{\"step\":1}\n\0\0\0\n", 1),
            ("{\"step\":1}\n\0\0\0\0", 1),
        ] {
            std::fs::write(&path, left).expect("a crash");
            let mut metrics = open(&path);
            assert_eq!(metrics.lines, lines, "{left:?}");
            metrics.add(&json!({"step": 2})).expect("logs");
            let text = std::fs::read_to_string(&path).expect("reads");
            let whole = if lines == 1 { "{\"step\":1}\n" } else { "" };
            assert_eq!(text, format!("{whole}{{\"step\":2}}\n"), "{left:?}");
        }
    }

    #[test]
    fn a_record_that_lacks_only_its_end_is_kept() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("metrics.jsonl");
        for (left, lines) in [("{\"step\":1}", 1), ("{\"step\":1}\n{\"step\":2}", 2), ("\n{\"step\":1} ", 1)]
        {
            std::fs::write(&path, left).expect("a crash");
            let mut metrics = open(&path);
            assert_eq!(metrics.lines, lines, "{left:?}");
            metrics.add(&json!({"step": 3})).expect("logs");
            let text = std::fs::read_to_string(&path).expect("reads");
            assert_eq!(text, format!("{left}\n{{\"step\":3}}\n"));
            assert_eq!(open(&path).lines, lines + 1);
        }
        // A number may be the beginning of a longer one, and is no record.
        std::fs::write(&path, "{\"step\":1}\n12").expect("a crash");
        assert_eq!(open(&path).lines, 1);
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"step\":1}\n");
    }

    #[test]
    fn blank_lines_are_no_records() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("metrics.jsonl");
        for (left, lines) in [("\n\n\n", 0), ("{\"step\":1}\n\n \r\n", 1), ("\n{\"step\":1}\n\n", 1)] {
            std::fs::write(&path, left).expect("writes");
            let mut metrics = open(&path);
            assert_eq!(metrics.lines, lines, "{left:?}");
            metrics.add(&json!({"step": 2})).expect("logs");
            let text = std::fs::read_to_string(&path).expect("reads");
            assert_eq!(text, format!("{left}{{\"step\":2}}\n"));
        }
        std::fs::write(&path, "{\"step\":1}\n\n{\"st\n\n").expect("writes");
        assert_eq!(open(&path).lines, 1);
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"step\":1}\n\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_removed_is_made_again_and_one_put_in_its_place_is_an_error() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("metrics.jsonl");
        let told = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let sink = told.clone();
        let events = Events::new(move |event| {
            if let lota_runtime::host::Event::Notice(text) = event {
                sink.lock().expect("not poisoned").push_str(text);
            }
        });
        let mut metrics = Metrics::open(&path, &events).expect("opens");
        metrics.add(&json!({"step": 1})).expect("logs");
        std::fs::remove_file(&path).expect("removes");
        for step in [2, 3] {
            metrics.add(&json!({"step": step})).expect("logs");
        }
        let all = "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n";
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), all);
        let text = told.lock().expect("not poisoned").clone();
        assert!(text.ends_with("is made again with its 1 records"), "{text}");
        std::fs::write(temp.path().join("other"), "mine").expect("writes");
        std::fs::rename(temp.path().join("other"), &path).expect("renames");
        let refused = metrics.add(&json!({"step": 4})).expect_err("another's").to_string();
        assert!(refused.contains("another file was put in its place"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "mine");
        std::fs::remove_file(&path).expect("removes");
        metrics.add(&json!({"step": 4})).expect("logs");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), format!("{all}{{\"step\":4}}\n"));
    }

    #[test]
    fn a_part_that_could_not_be_taken_back_is_written_over() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("metrics.jsonl");
        let mut metrics = open(&path);
        metrics.add(&json!({"step": 1})).expect("logs");
        // As a short write leaves it.
        let mut other = OpenOptions::new().append(true).open(&path).expect("opens");
        other.write_all(b"{\"step\":2,\"text\":\"xxxxxxxxxxxxxxxxxxxx").expect("part of a record");
        metrics.add(&json!({"step": 3})).expect("logs");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"step\":1}\n{\"step\":3}\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_record_that_does_not_fit_on_the_disk_is_an_error() {
        let mut metrics = Metrics {
            path: "/dev/full".into(),
            events: Events::default(),
            file: OpenOptions::new().read(true).write(true).open("/dev/full").expect("opens"),
            lines: 0,
            whole: 0,
        };
        let error = metrics.add(&json!({"step": 1})).expect_err("the disk is full").to_string();
        assert!(error.contains("/dev/full"), "{error}");
        assert_eq!((metrics.lines, metrics.whole), (0, 0));
    }
}
