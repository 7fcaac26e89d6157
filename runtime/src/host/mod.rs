//! What the runtime needs from whoever runs it: a way to be stopped, a place for events, safe
//! file writing and seeded randomness. It does not know who that is.

mod cancel;
mod event;
mod file;
mod lock;
mod rng;

pub use cancel::Cancel;
pub use event::{Event, Events};
pub use file::write_atomic;
pub use lock::Lock;
pub use rng::Rng;

/// Handed to every long operation. Cloning is cheap and clones share the same switch and sink.
#[derive(Clone, Default)]
pub struct Host {
    /// The switch that stops work.
    pub cancel: Cancel,
    /// Where progress and messages go.
    pub events: Events,
}
