//! For tests: being asked before each change to the disk below a folder, and deciding what becomes of it.

use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Op;

/// A change that is about to be made.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number below this folder, from 0.
    pub number: usize,
    /// What it is.
    pub op: Op,
    /// The file or folder that is meant.
    pub path: PathBuf,
}

type Ask = dyn Fn(&Step) -> Result<()> + Send + Sync;

struct Entry {
    folder: PathBuf,
    steps: AtomicUsize,
    ask: Box<Ask>,
}

/// How many watch: where none does, a change costs one look at this.
static WATCHING: AtomicUsize = AtomicUsize::new(0);
static ALL: Mutex<Vec<Arc<Entry>>> = Mutex::new(Vec::new());

fn all() -> MutexGuard<'static, Vec<Arc<Entry>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches the changes below a folder, on all threads, until it is dropped.
#[must_use = "it watches until it is dropped"]
pub struct Watch(Arc<Entry>);

impl Watch {
    /// Calls `ask` before each change below `folder` (a path as `canonicalize` gives it). If that gives an error, it is the
    /// outcome, and the change is not made. Of a write half of the bytes are on the disk by then.
    pub fn below(folder: &Path, ask: impl Fn(&Step) -> Result<()> + Send + Sync + 'static) -> Self {
        let entry =
            Arc::new(Entry { folder: folder.to_path_buf(), steps: AtomicUsize::new(0), ask: Box::new(ask) });
        all().push(entry.clone());
        WATCHING.fetch_add(1, Ordering::Relaxed);
        Self(entry)
    }

    /// How many changes there have been.
    pub fn steps(&self) -> usize {
        self.0.steps.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHING.fetch_sub(1, Ordering::Relaxed);
        all().retain(|entry| !Arc::ptr_eq(entry, &self.0));
    }
}

fn watching(path: &Path) -> Option<Arc<Entry>> {
    if WATCHING.load(Ordering::Relaxed) == 0 {
        return None;
    }
    all().iter().find(|entry| path.starts_with(&entry.folder)).cloned()
}

/// Whether changes of this file are watched.
pub(super) fn is_watched(path: &Path) -> bool {
    watching(path).is_some()
}

/// Asks whoever watches.
pub(super) fn before(op: Op, path: &Path) -> Result<()> {
    // The list is not locked while the answer is waited for.
    let Some(entry) = watching(path) else { return Ok(()) };
    let number = entry.steps.fetch_add(1, Ordering::SeqCst);
    (entry.ask)(&Step { number, op, path: path.to_path_buf() })
}
