//! How much more memory a run may take.

use std::fmt;
use std::sync::Arc;

use crate::Result;

type Ask = dyn Fn(u64) -> Result<()> + Send + Sync;

/// Asked before something grows to a size that a script or a file decides. By default there is room for everything.
#[derive(Clone, Default)]
pub struct Room(Option<Arc<Ask>>);

impl Room {
    /// A room that `ask` speaks for: it refuses bytes that there is no room for, beside what the run holds already.
    pub fn new(ask: impl Fn(u64) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Refuses what would take `bytes`, before it is made. Nothing is kept count of: whoever grows something step by step asks
    /// each time for all of it.
    pub fn ask(&self, bytes: u64) -> Result<()> {
        match &self.0 {
            Some(ask) => ask(bytes),
            None => Ok(()),
        }
    }

    /// The same for `count` items of `size` bytes.
    pub fn ask_for(&self, count: usize, size: usize) -> Result<()> {
        self.ask((count as u64).saturating_mul(size as u64))
    }

    /// Whether anything bounds it.
    pub fn is_bounded(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_bounded() { "Room(bounded)" } else { "Room" })
    }
}
