//! Messages of a run on standard error: progress as bars or lines, notices, saved files.

mod bars;
mod lines;
mod narrow;

use std::collections::HashSet;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lota::runtime::host::Event;

use self::bars::Bars;
use self::lines::Lines;
use super::output::{note, shown};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Bars on a terminal.
    Bar,
    /// A line after each such time.
    Plain(Duration),
    /// Not at all.
    None,
}

/// The default time between two lines.
const INTERVAL: Duration = Duration::from_secs(30);

impl How {
    /// Bars where standard error is a terminal, and lines elsewhere.
    pub(super) fn fitting() -> Self {
        if std::io::stderr().is_terminal() { Self::Bar } else { Self::Plain(INTERVAL) }
    }
}

impl FromStr for How {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match text.split_once(':') {
            None => match text {
                "bar" => return Ok(Self::Bar),
                "none" => return Ok(Self::None),
                "plain" => return Ok(Self::Plain(INTERVAL)),
                _ => None,
            },
            Some(("plain", seconds)) => seconds.parse().ok(),
            Some(_) => None,
        };
        seconds
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .map(Self::Plain)
            .ok_or_else(|| format!("'{text}' is none of bar, plain, plain:SECONDS and none"))
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bar => f.write_str("bar"),
            Self::Plain(every) => write!(f, "plain:{}", every.as_secs_f64()),
            Self::None => f.write_str("none"),
        }
    }
}

/// The progress of one run, to be shared.
#[derive(Clone)]
pub(super) struct Progress(Arc<Inner>);

struct Inner {
    quiet: bool,
    bars: Option<Bars>,
    lines: Option<Mutex<Lines>>,
    saved: Mutex<HashSet<PathBuf>>,
}

impl Progress {
    /// Shows progress as asked, or as it fits standard error. `quiet` leaves out notices, and progress too unless it was
    /// asked for.
    pub(super) fn new(quiet: bool, how: Option<How>) -> Self {
        let how = how.unwrap_or_else(|| if quiet { How::None } else { How::fitting() });
        let began = Instant::now();
        let lines = match how {
            How::Plain(every) => Some(Mutex::new(Lines::new(every, move || began.elapsed()))),
            How::Bar | How::None => None,
        };
        let bars = (how == How::Bar).then(Bars::default);
        Self(Arc::new(Inner { quiet, bars, lines, saved: Mutex::default() }))
    }

    /// Shows an event.
    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Progress { task, done, total, note } => {
                if let Some(bars) = &self.0.bars {
                    // There are bars on a terminal alone.
                    bars.show(&shown(task, true), *done, *total, &shown(note, true));
                }
                self.line(|lines| lines.progress(task, *done, *total, note));
            }
            Event::Step { step, loss, .. } => self.line(|lines| lines.step(*step, *loss)),
            Event::Notice(text) if !self.0.quiet => self.beside(|| note(&format!("note: {text}\n"))),
            // A file that is saved every few steps is reported once.
            Event::Saved(path) if self.0.bars.is_some() && self.is_new(path) => {
                self.beside(|| note(&format!("saved {}\n", path.display())));
            }
            _ => {}
        }
    }

    fn line(&self, make: impl FnOnce(&mut Lines) -> Option<String>) {
        if let Some(line) = self.0.lines.as_ref().and_then(|lines| make(&mut lock(lines))) {
            note(&(line + "\n"));
        }
    }

    /// Writes lines without tearing the bars.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        match &self.0.bars {
            Some(bars) => bars.beside(write),
            None => write(),
        }
    }

    /// Forgets tasks that did not come to their end.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.0.bars {
            bars.clear();
        }
        if let Some(lines) = &self.0.lines {
            lock(lines).clear();
        }
    }

    fn is_new(&self, path: &Path) -> bool {
        lock(&self.0.saved).insert(path.to_path_buf())
    }
}

/// The data behind a lock. After a panic elsewhere it is still good enough to be shown.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_how_progress_is_shown() {
        for (text, how) in [
            ("bar", How::Bar),
            ("none", How::None),
            ("plain", How::Plain(INTERVAL)),
            ("plain:0.5", How::Plain(Duration::from_millis(500))),
        ] {
            assert_eq!(text.parse(), Ok(how));
            assert_eq!(how.to_string().parse(), Ok(how));
        }
        for wrong in ["", "bars", "plain:", "plain:-1", "bar:3", "plain:nan"] {
            let told = wrong.parse::<How>().expect_err(wrong);
            assert!(told.contains("bar, plain, plain:SECONDS and none"), "{told}");
        }
    }
}
