//! Events on a terminal: a bar with the time left for each task, notices and saved files as
//! lines. Where standard error is no terminal there are no bars.

use std::collections::{HashMap, HashSet};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lota::runtime::host::Event;

/// The bars of one run.
#[derive(Clone)]
pub(super) struct Bars(Arc<Inner>);

struct Inner {
    quiet: bool,
    drawn: bool,
    all: MultiProgress,
    by_task: Mutex<HashMap<String, ProgressBar>>,
    saved: Mutex<HashSet<PathBuf>>,
}

impl Bars {
    pub(super) fn new(quiet: bool) -> Self {
        let drawn = !quiet && std::io::stderr().is_terminal();
        let target =
            if drawn { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        Self(Arc::new(Inner { quiet, drawn, all, by_task: Mutex::default(), saved: Mutex::default() }))
    }

    /// Shows an event.
    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::Progress { task, done, total, note } => self.progress(task, *done, *total, note),
            Event::Notice(text) if !self.0.quiet => self.beside(|| eprintln!("note: {text}")),
            // A training that is saved every few steps is told of once.
            Event::Saved(path) if self.0.drawn && self.is_new(path) => {
                self.beside(|| eprintln!("saved {}", path.display()));
            }
            _ => {}
        }
    }

    /// Writes lines without tearing the bars.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        if self.0.drawn { self.0.all.suspend(write) } else { write() }
    }

    /// Takes away the bars of tasks that did not come to their end.
    pub(super) fn clear(&self) {
        for (_, bar) in self.0.by_task.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            bar.finish_and_clear();
        }
    }

    fn is_new(&self, path: &Path) -> bool {
        let mut saved = self.0.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.insert(path.to_path_buf())
    }

    fn progress(&self, task: &str, done: u64, total: u64, note: &str) {
        if !self.0.drawn {
            return;
        }
        let mut bars = self.0.by_task.lock().unwrap_or_else(PoisonError::into_inner);
        if total > 0 && done >= total {
            if let Some(bar) = bars.remove(task) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bars.entry(task.to_string()).or_insert_with(|| {
            let bar = self.0.all.add(ProgressBar::new(total));
            bar.set_style(style(total > 0));
            bar.set_prefix(task.to_string());
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(note.to_string());
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "{prefix} {wide_bar} {pos}/{len} {elapsed} (left {eta}) {msg}"
    } else {
        "{prefix} {spinner} {pos} {elapsed} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
