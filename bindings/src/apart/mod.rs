//! Where an engine's interpreter lives: in this process, or in one of its own, which can end without harm to its host.
//!
//! A guest is a program that called [`enter`](crate::isolation::enter) first in its `main` and was started by a host for this: the host's own program, or
//! another one. Host and guest speak over a pipe ([`message`], [`wire`]); the guest (`guest.rs`, which makes an engine and so
//! stands above it) gives up its rights before it runs a script ([`confine`]). The host believes nothing that its guest says: sizes are bounded, and what means nothing ends the guest.
//!
//! docs/security.md says what each isolation promises.

pub(crate) mod border;
pub(crate) mod confine;
mod death;
mod host;
pub(crate) mod message;
pub(crate) mod ready;
pub(crate) mod settings;
pub(crate) mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use confine::InForce;
use confine::SystemLimits;
pub(crate) use host::Remote;
pub(crate) use settings::{Settings, packed};

/// The variable that makes a program a guest. Its value is the size of a message.
pub(crate) const ENTER: &str = "LOTA_GUEST";

/// Whether this program's `main` lets it become a guest.
pub(crate) static ENTERED: AtomicBool = AtomicBool::new(false);

/// Where an engine's interpreter lives.
#[derive(Clone, Debug, Default)]
pub enum Isolation {
    /// In this process, on the thread that calls it. Calls cost nothing more; a fault of the interpreter or of a library that a
    /// limit does not catch ends the host.
    #[default]
    Thread,
    /// In a process of its own, which the system confines. Its end is an error of the call.
    Process(Process),
}

/// A process for one engine.
#[derive(Clone, Debug)]
pub struct Process {
    program: Option<PathBuf>,
    memory: u64,
    file_size: u64,
    open_files: u64,
    processor_time: Option<Duration>,
    message: usize,
    grace: Duration,
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// This program, started again as a guest: its `main` must call [`enter`](crate::isolation::enter) first. 2 GiB of memory, files of at most 1 GiB,
    /// 256 open files, messages of at most 64 MiB, and any processor time.
    pub fn new() -> Self {
        Self {
            program: None,
            memory: 2 << 30,
            file_size: 1 << 30,
            open_files: 256,
            processor_time: None,
            message: 64 << 20,
            grace: Duration::from_secs(1),
        }
    }

    /// Another program whose `main` calls [`enter`](crate::isolation::enter) first, of the same version: the program `lota` is one.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Bytes of memory that the process may map beyond what it starts with (some 100 MB, most of it the program's file). Files that
    /// are mapped, as weights are, count.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Bytes of the largest file that it may write.
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = bytes;
        self
    }

    /// Files that it may hold open, its pipes included.
    pub fn open_files(mut self, files: u64) -> Self {
        self.open_files = files;
        self
    }

    /// Processor time that all of its threads may take together, over all calls; counted in whole seconds, rounded up.
    pub fn processor_time(mut self, time: Duration) -> Self {
        self.processor_time = Some(time);
        self
    }

    /// Bytes of a message: arguments, results, a printed text.
    pub fn message(mut self, bytes: usize) -> Self {
        self.message = bytes;
        self
    }

    /// Limits that the system keeps.
    pub(crate) fn system_limits(&self) -> SystemLimits {
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        SystemLimits {
            memory: self.memory,
            file_size: self.file_size,
            open_files: self.open_files,
            processor_seconds: self.processor_time.map(seconds),
        }
    }

    /// How long a guest may go on that was cancelled, before it is killed.
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }
}

/// Whether this program can be started again as a guest.
fn entered() -> bool {
    ENTERED.load(Ordering::SeqCst)
}
