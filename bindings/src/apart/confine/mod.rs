//! What a guest's process does to itself before it runs a script: limits of the system, fewer rights, fewer system calls.
//!
//! Nothing here knows of scripts. What the system does not offer is left out and told ([`InForce`]); what it offers and refuses is
//! an error, and the guest ends.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
#[cfg(target_os = "linux")]
mod files;
mod resources;

use std::path::PathBuf;

use lota_script::{Error, ErrorKind, Result};

/// What holds a guest's process, beside its limits of memory, files and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// Landlock: files outside the granted folders cannot be opened, whatever asks. With the version of the kernel's interface.
    pub landlock: Option<String>,
    /// Seccomp: system calls that no script needs (network, other programs, other processes) are refused.
    pub seccomp: bool,
}

/// What the system is asked to keep a process to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemLimits {
    /// Bytes of memory beyond what it has when its engine is built.
    pub memory: u64,
    /// Bytes of a file.
    pub file_size: u64,
    /// Open files.
    pub open_files: u64,
    /// Seconds of processor time, if there is a limit.
    pub processor_seconds: Option<u64>,
}

/// What the process may use.
pub(crate) struct Bounds {
    /// The folders that it may reach; `None`: all files.
    pub roots: Option<Vec<PathBuf>>,
    /// What the system counts; memory from when [`Confined::close`] is called.
    pub system: SystemLimits,
}

fn refused(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Host, format!("the guest's process could not be confined: {what}: {why}"))
}

/// A process that has given up its files; threads that it starts from here on have them as little.
pub(crate) struct Confined {
    bounds: Bounds,
    maps: Option<std::fs::File>,
    in_force: InForce,
}

impl Confined {
    /// The first part, while the process has one thread: rights to files are given up thread by thread.
    pub(crate) fn begin(bounds: Bounds) -> Result<Self> {
        let maps = resources::begin(&bounds)?;
        #[cfg(target_os = "linux")]
        let in_force = InForce { landlock: files::restrict(bounds.roots.as_deref())?, ..InForce::default() };
        #[cfg(not(target_os = "linux"))]
        let in_force = InForce::default();
        Ok(Self { bounds, maps, in_force })
    }

    /// The second part, for all threads, when the engine is there and no script has run.
    pub(crate) fn close(self) -> Result<InForce> {
        resources::close(&self.bounds, self.maps)?;
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
        let in_force = InForce { seccomp: calls::restrict()?, ..self.in_force };
        #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
        let in_force = self.in_force;
        Ok(in_force)
    }
}
