//! What the runtime has to say while it works. It never prints; a host turns events into bars,
//! lines or nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// `done` of `total` units of the task called `task`. `done == total` ends it.
    Progress {
        /// A short name, the same for all events of one task.
        task: String,
        /// Units finished.
        done: u64,
        /// Units in all; 0 where it is not known.
        total: u64,
        /// A short figure to show beside the bar (`loss 1.23`), or empty.
        note: String,
    },
    /// A training step was taken.
    Step {
        /// Its number, counted from 1.
        step: u64,
        /// The mean loss over its labelled tokens.
        loss: f64,
        /// The learning rate it was taken with.
        lr: f64,
        /// The tokens in its batches, padding left out.
        tokens: u64,
    },
    /// A stream of batches has come to the next epoch.
    Epoch(u64),
    /// Something a person should know that is not an error (truncated examples, a fallback).
    Notice(String),
    /// A file was written.
    Saved(PathBuf),
}

type Sink = dyn Fn(&Event) + Send + Sync;

/// Where events go; by default nowhere.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Sink>>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Events(to a sink)" } else { "Events(to nowhere)" })
    }
}

impl Events {
    /// Sends every event to `sink`, on the thread that emits it.
    pub fn new(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Emits one event.
    pub fn emit(&self, event: Event) {
        if let Some(sink) = &self.0 {
            sink(&event);
        }
    }

    /// Emits [`Event::Progress`].
    pub fn progress(&self, task: &str, done: u64, total: u64, note: impl Into<String>) {
        if self.0.is_some() {
            self.emit(Event::Progress { task: task.to_string(), done, total, note: note.into() });
        }
    }

    /// A count of the units of a task that several threads work at, of which `done` are finished already.
    pub fn count(&self, task: &'static str, done: u64, total: u64) -> Count {
        Count { events: self.clone(), task, done: Mutex::new(done), total }
    }

    /// Emits [`Event::Notice`].
    pub fn notice(&self, text: impl Into<String>) {
        if self.0.is_some() {
            self.emit(Event::Notice(text.into()));
        }
    }
}

/// Counts the finished units of a task: see [`Events::count`].
pub struct Count {
    events: Events,
    task: &'static str,
    done: Mutex<u64>,
    total: u64,
}

impl Count {
    /// Emits [`Event::Progress`] for one more finished unit. Threads wait for each other here, so that the events come in
    /// order and the last one is that of the last unit.
    pub fn one(&self, note: impl Into<String>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += 1;
        self.events.progress(self.task, *done, self.total, note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_several_threads_are_counted_in_order() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let events = Events::new(move |event| {
            if let Event::Progress { done, total, .. } = event {
                sink.lock().expect("no panic").push((*done, *total));
            }
        });
        let count = events.count("read", 2, 402);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| count.one("")));
            }
        });
        let expected: Vec<_> = (3..=402).map(|done| (done, 402)).collect();
        assert_eq!(*seen.lock().expect("no panic"), expected);
    }
}
