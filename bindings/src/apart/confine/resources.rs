//! The system's limits on what a process uses (`setrlimit`).

use std::fs::File;
use std::io::Read as _;

use lota_script::Result;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Bounds, refused};

/// What a program of this kind maps, where the system does not tell.
const ABOUT: u64 = 256 << 20;

fn limit(resource: Resource, name: &str, most: u64) -> Result<()> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit).map_err(|e| refused(name, &e))
}

/// The size of files, open files, processor time, and no core dumps. Gives the file that tells what the process maps, opened while that can be
/// done.
pub(super) fn begin(bounds: &Bounds) -> Result<Option<File>> {
    limit(Resource::Core, "core dumps", 0)?;
    limit(Resource::Fsize, "the size of files", bounds.system.file_size)?;
    limit(Resource::Nofile, "open files", bounds.system.open_files)?;
    if let Some(seconds) = bounds.system.processor_seconds {
        // At the first it is asked to end, which tells why; a second later it ends.
        let limit = Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) };
        setrlimit(Resource::Cpu, limit).map_err(|e| refused("processor time", &e))?;
    }
    #[expect(clippy::disallowed_methods, reason = "no path of a script")]
    Ok(File::open("/proc/self/statm").ok())
}

/// Memory: what is mapped now, and as much beyond it as is allowed. Mapped files count.
pub(super) fn close(bounds: &Bounds, maps: Option<File>) -> Result<()> {
    limit(Resource::As, "memory", mapped(maps).unwrap_or(ABOUT).saturating_add(bounds.system.memory))
}

/// The bytes that this process maps.
fn mapped(maps: Option<File>) -> Option<u64> {
    let mut text = String::new();
    maps?.read_to_string(&mut text).ok()?;
    let pages: u64 = text.split_whitespace().next()?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
