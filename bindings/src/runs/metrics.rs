//! The metrics of a run: a file of JSON lines that never keeps part of one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lota_runtime::host::Events;
use lota_runtime::{Error, Result};
use serde_json::Value;

/// The file, open at its end.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    /// Whole lines.
    pub lines: u64,
    /// Their bytes. What lies behind them in the file is part of a record that could not be written.
    whole: u64,
}

impl Metrics {
    /// Opens the file, or makes it. What a crash left behind the last whole record is cut off, and a notice says so.
    pub fn open(path: &Path, events: &Events) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut options = OpenOptions::new();
        #[expect(clippy::disallowed_methods, reason = "the run folder has checked the path")]
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let (lines, whole) = whole_records(&mut file).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > whole {
            file.set_len(whole).and_then(|()| file.sync_all()).map_err(io)?;
            events.notice(format!(
                "{}: removed the last {} bytes, a record that was not written to its end",
                path.display(),
                size - whole
            ));
        }
        Ok(Self { path: path.to_path_buf(), file, lines, whole })
    }

    /// Adds a line and flushes it to disk. On an error the file ends with the line before.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::format(&self.path, e.to_string()))?;
        line.push('\n');
        let written = self.put(line.as_bytes());
        if let Err(e) = written {
            // If this fails too, the next record is written over the part.
            drop(self.file.set_len(self.whole));
            return Err(Error::io(&self.path, e));
        }
        self.whole += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    fn put(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.file.metadata()?.len() != self.whole {
            self.file.set_len(self.whole)?;
        }
        self.file.seek(SeekFrom::Start(self.whole))?;
        self.file.write_all(line)?;
        self.file.sync_data()
    }
}

/// The number of whole records at the beginning of a file, and their bytes. A line that has an end but is no JSON is not
/// whole either, if it is the last: a power cut can leave the length of a line without its text.
fn whole_records(file: &mut File) -> std::io::Result<(u64, u64)> {
    let (mut lines, mut before, mut end, mut at) = (0, 0, 0, 0);
    let mut buffer = vec![0; 1 << 16];
    file.seek(SeekFrom::Start(0))?;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for (i, _) in buffer[..n].iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            lines += 1;
            (before, end) = (end, at + i as u64 + 1);
        }
        at += n as u64;
    }
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(before))?;
    file.take(end - before).read_to_end(&mut last)?;
    let whole = lines == 0 || serde_json::from_slice::<serde::de::IgnoredAny>(&last).is_ok();
    Ok(if whole { (lines, end) } else { (lines - 1, before) })
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
            file: OpenOptions::new().read(true).write(true).open("/dev/full").expect("opens"),
            lines: 0,
            whole: 0,
        };
        let error = metrics.add(&json!({"step": 1})).expect_err("the disk is full").to_string();
        assert!(error.contains("/dev/full"), "{error}");
        assert_eq!((metrics.lines, metrics.whole), (0, 0));
    }
}
