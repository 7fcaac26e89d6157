//! The count of large memory that script values keep alive.
//!
//! A script's collector sees a tensor as a pointer and is in no hurry. The frontend charges each
//! object it hands to a script, and collects when the charge has grown past the threshold.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// How much the charge may grow between two collections, at least and at most.
const STEP: (u64, u64) = (64 << 20, 512 << 20);

/// So much must have become free at once, and more than is left alive, for the host to be told: what scripts want again at
/// the next moment is not worth giving back to the system.
const FREED: u64 = 256 << 20;

/// The counter of one engine.
#[derive(Clone)]
pub struct Memory(Arc<Counts>);

struct Counts {
    live: AtomicU64,
    peak: AtomicU64,
    threshold: AtomicU64,
    collections: AtomicU64,
    collector: OnceLock<Box<Collector>>,
    on_freed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Lets go of what no value of the script holds any longer, if it can on this thread.
type Collector = dyn Fn() + Send + Sync;

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Counts {
            live: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            threshold: AtomicU64::new(STEP.0),
            collections: AtomicU64::new(0),
            collector: OnceLock::new(),
            on_freed: OnceLock::new(),
        }))
    }
}

impl Memory {
    /// Counts `bytes` until the charge is dropped.
    pub fn charge(&self, bytes: u64) -> Charge {
        let live = self.0.live.fetch_add(bytes, Relaxed) + bytes;
        self.0.peak.fetch_max(live, Relaxed);
        Charge { memory: self.clone(), bytes }
    }

    /// Whether it is time to run the collector.
    pub fn is_due(&self) -> bool {
        self.0.live.load(Relaxed) > self.0.threshold.load(Relaxed)
    }

    /// Whether it is time to run the collector before something large is made: what is garbage by now would lie beside it.
    pub fn is_due_before_more(&self) -> bool {
        self.live() > STEP.0
    }

    /// Sets the next threshold after a collection: a quarter above what is alive. `before` is what was alive before it.
    pub fn collected(&self, before: u64) {
        let live = self.live();
        if before.saturating_sub(live) >= FREED.max(live) {
            self.freed();
        }
        self.0.threshold.store(live + (live / 4).clamp(STEP.0, STEP.1), Relaxed);
        self.0.collections.fetch_add(1, Relaxed);
    }

    /// Says how the language lets go of what is held no longer. The first word counts.
    pub fn collect_by(&self, collector: impl Fn() + Send + Sync + 'static) {
        self.0.collector.get_or_init(|| Box::new(collector));
    }

    /// Bytes alive once there are `bytes` more. Where they are more than `most`, the collector is asked first.
    pub fn with(&self, bytes: u64, most: u64) -> u64 {
        let with = || self.live().saturating_add(bytes);
        if with() > most
            && let Some(collect) = self.0.collector.get()
        {
            collect();
        }
        with()
    }

    /// What to do when much has become free (only the first is kept). An allocator that keeps its pages may give them back.
    pub fn on_freed(&self, call: impl Fn() + Send + Sync + 'static) {
        drop(self.0.on_freed.set(Box::new(call)));
    }

    /// Tells the host that much has become free, or that a script wishes it so.
    pub fn freed(&self) {
        if let Some(call) = self.0.on_freed.get() {
            call();
        }
    }

    /// Bytes alive.
    pub fn live(&self) -> u64 {
        self.0.live.load(Relaxed)
    }

    /// The most bytes that were alive at once.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Relaxed)
    }

    /// Collections run because of tensors.
    pub fn collections(&self) -> u64 {
        self.0.collections.load(Relaxed)
    }
}

/// Bytes counted as alive.
pub struct Charge {
    memory: Memory,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.0.live.fetch_sub(self.bytes, Relaxed);
    }
}
