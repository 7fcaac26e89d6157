//! What every long operation is handed.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Cancel, Events, Room};

/// Handed to every long operation. Cloning is cheap and clones share the same switch and sink.
#[derive(Clone, Default)]
pub struct Host {
    /// The switch that stops work.
    pub cancel: Cancel,
    /// Where progress and messages go.
    pub events: Events,
    /// How much memory it may take.
    pub room: Room,
    /// Folders that others hold on to, as those granted to a script: their files are replaced, never they themselves.
    pub fixed: Arc<[PathBuf]>,
}
