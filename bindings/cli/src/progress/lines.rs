//! Progress as lines, for a log: a job under nohup or a scheduler has no terminal.
//!
//! `[1:30] adapt 120/480 (25 %), 1.3/s, 4:30 left, loss 0.512`: the time since the run began, the task, how far it is,
//! its speed, the time left at this speed, and its note or the last loss.

use std::collections::HashMap;
use std::time::Duration;

/// The task that training steps are where a script shows no progress.
const STEP: &str = "step";

/// The tasks that run, and when a line is due.
pub(super) struct Lines {
    every: Duration,
    clock: Box<dyn Fn() -> Duration + Send>,
    tasks: HashMap<String, Task>,
    loss: Option<f64>,
}

struct Task {
    began: Duration,
    /// How far it was when it began: a run that goes on from a checkpoint does not begin at 0.
    from: u64,
    /// How far it was when it was last heard of.
    last: u64,
    told: Duration,
    /// Whether a line was printed for it.
    known: bool,
}

impl Lines {
    /// A line for each task after each `every`. The clock gives the time since the run began.
    pub(super) fn new(every: Duration, clock: impl Fn() -> Duration + Send + 'static) -> Self {
        Self { every, clock: Box::new(clock), tasks: HashMap::new(), loss: None }
    }

    /// Notes the loss of a training step. Where no task says how far it is, the steps are a task of their own.
    pub(super) fn step(&mut self, step: u64, loss: f64) -> Option<String> {
        self.loss = Some(loss);
        let alone = self.tasks.keys().all(|name| name == STEP);
        alone.then(|| self.progress(STEP, step, 0, "")).flatten()
    }

    /// Forgets all tasks.
    pub(super) fn clear(&mut self) {
        self.tasks.clear();
        self.loss = None;
    }

    /// The line about a task, if one is due. A task with at least one line gets a last one when it ends.
    pub(super) fn progress(&mut self, name: &str, done: u64, total: u64, note: &str) -> Option<String> {
        let now = (self.clock)();
        let ended = total > 0 && done >= total;
        if ended {
            let task = self.tasks.remove(name).filter(|task| task.known)?;
            let took = span(now.saturating_sub(task.began));
            return Some(self.line(now, name, &format!("{done}/{total}, done in {took}"), note));
        }
        let task = self.tasks.entry(name.to_string()).or_insert(Task {
            began: now,
            from: done,
            last: done,
            told: now,
            known: false,
        });
        // Another training has begun.
        if done < task.last {
            (task.began, task.from) = (now, done);
        }
        task.last = done;
        if now.saturating_sub(task.told) < self.every {
            return None;
        }
        (task.told, task.known) = (now, true);
        let seconds = now.saturating_sub(task.began).as_secs_f64().max(1e-3);
        let speed = done.saturating_sub(task.from) as f64 / seconds;
        let far = if total > 0 {
            let left = Duration::try_from_secs_f64((total - done) as f64 / speed).map(span);
            let left = left.unwrap_or_else(|_| "?".to_string());
            format!("{done}/{total} ({} %), {}, {left} left", done * 100 / total, rate(speed))
        } else {
            format!("{done}, {}", rate(speed))
        };
        Some(self.line(now, name, &far, note))
    }

    fn line(&self, now: Duration, name: &str, far: &str, note: &str) -> String {
        let loss = self.loss.filter(|_| !note.contains("loss")).map(|loss| format!("loss {loss:.4}"));
        let notes = [Some(note.to_string()).filter(|n| !n.is_empty()), loss];
        let notes: String = notes.into_iter().flatten().map(|n| format!(", {n}")).collect();
        format!("[{}] {name} {far}{notes}", span(now))
    }
}

/// A time as `1:30` or `2:05:00`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Units a second.
fn rate(speed: f64) -> String {
    match speed {
        s if s >= 10.0 => format!("{s:.0}/s"),
        s if s >= 0.1 => format!("{s:.1}/s"),
        s => format!("{s:.4}/s"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Lines every 30 s, and the seconds of their clock.
    fn lines() -> (Lines, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let clock = now.clone();
        let lines =
            Lines::new(Duration::from_secs(30), move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        (lines, now)
    }

    #[test]
    fn a_line_is_printed_every_thirty_seconds_and_at_the_end() {
        let (mut lines, now) = lines();
        let mut at = |seconds: u64, done: u64, note: &str| {
            now.store(seconds, Ordering::Relaxed);
            lines.progress("adapt", done, 480, note)
        };
        assert_eq!(at(10, 0, ""), None);
        assert_eq!(at(39, 30, ""), None);
        let first = at(40, 30, "loss 0.51");
        assert_eq!(first.as_deref(), Some("[0:40] adapt 30/480 (6 %), 1.0/s, 7:30 left, loss 0.51"));
        assert_eq!(at(69, 60, "loss 0.5"), None);
        assert!(at(71, 61, "loss 0.5").is_some());
        let last = at(4000, 480, "loss 0.1");
        assert_eq!(last.as_deref(), Some("[1:06:40] adapt 480/480, done in 1:06:30, loss 0.1"));
        // It begins anew, and a short task has no line.
        assert_eq!(at(4001, 0, ""), None);
        assert_eq!(at(4002, 480, ""), None);
    }

    #[test]
    fn what_was_done_before_does_not_count_for_the_speed_and_the_last_loss_is_shown() {
        let (mut lines, now) = lines();
        assert_eq!(lines.progress("train", 200, 300, ""), None);
        assert_eq!(lines.step(210, 1.25), None);
        now.store(50, Ordering::Relaxed);
        let told = lines.progress("train", 210, 300, "");
        assert_eq!(told.as_deref(), Some("[0:50] train 210/300 (70 %), 0.2/s, 7:30 left, loss 1.2500"));
        // Nothing was done yet, and how much there is may not be known.
        assert_eq!(lines.progress("read", 0, 0, "files"), None);
        now.store(100, Ordering::Relaxed);
        let told = lines.progress("read", 7, 0, "files");
        assert_eq!(told.as_deref(), Some("[1:40] read 7, 0.1/s, files, loss 1.2500"));
        assert_eq!(lines.progress("stuck", 0, 9, ""), None);
        now.store(200, Ordering::Relaxed);
        let told = lines.progress("stuck", 0, 9, "").expect("a line");
        assert!(told.starts_with("[3:20] stuck 0/9 (0 %), 0.0000/s, ? left"), "{told}");
    }

    #[test]
    fn steps_of_a_script_that_shows_nothing_are_lines_too() {
        let (mut lines, now) = lines();
        assert_eq!(lines.step(1, 2.0), None);
        now.store(30, Ordering::Relaxed);
        assert_eq!(lines.step(61, 1.5).as_deref(), Some("[0:30] step 61, 2.0/s, loss 1.5000"));
        // A second training counts from its own beginning.
        assert_eq!(lines.step(1, 3.0), None);
        now.store(90, Ordering::Relaxed);
        assert_eq!(lines.step(31, 1.0).as_deref(), Some("[1:30] step 31, 0.5/s, loss 1.0000"));
    }
}
