//! Progress on a terminal: a bar for each task, with the time left.

use std::collections::HashMap;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lock;
use super::narrow::Narrow;

/// The bars of one run.
pub(super) struct Bars {
    all: MultiProgress,
    by_task: Mutex<HashMap<String, ProgressBar>>,
}

impl Default for Bars {
    fn default() -> Self {
        let target = match Narrow::stderr() {
            Some(terminal) => ProgressDrawTarget::term_like_with_hz(Box::new(terminal), 10),
            None => ProgressDrawTarget::hidden(),
        };
        Self { all: MultiProgress::with_draw_target(target), by_task: Mutex::default() }
    }
}

impl Bars {
    /// Moves the bar of a task; at its end the bar goes.
    pub(super) fn show(&self, task: &str, done: u64, total: u64, note: &str) {
        let mut bars = lock(&self.by_task);
        if total > 0 && done >= total {
            if let Some(bar) = bars.remove(task) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bars.entry(task.to_string()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(total));
            bar.set_style(style(total > 0));
            bar.set_prefix(task.to_string());
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(note.to_string());
    }

    /// Writes lines without tearing the bars.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }

    /// Takes away the bars of tasks that did not come to their end.
    pub(super) fn clear(&self) {
        for (_, bar) in lock(&self.by_task).drain() {
            bar.finish_and_clear();
        }
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
