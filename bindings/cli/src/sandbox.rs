//! `lota run --sandbox`: a script that is not trusted, in a process of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lota::api::Files;
use lota::isolation::{Isolation, Process};
use lota::{Builder, Error, ErrorKind, Limits, Result};

use super::failure::usage;
use super::output::distrust;

/// The least memory with which an engine starts and a short script runs.
const LEAST_MEMORY: u64 = 16 << 20;

/// Over these options in the help.
const HEADING: &str = "A script that is not trusted";

/// Options before the script's file.
#[derive(Args, Clone, Debug)]
pub(super) struct Sandbox {
    /// Run the script in a process of its own that may reach nothing but what the next options grant: no files, no network, no
    /// other programs; docs/security.md says what holds it
    #[arg(long, help_heading = HEADING)]
    sandbox: bool,
    /// With --sandbox: a folder that the script may read and write; the first is where its relative paths begin
    #[arg(long, value_name = "DIR", requires = "sandbox", help_heading = HEADING)]
    root: Vec<PathBuf>,
    /// With --sandbox: memory that it may use, script and tensors: bytes, or a number with K, M or G, 16M at least
    #[arg(long, value_name = "SIZE", requires = "sandbox", default_value = "1G", value_parser = size, help_heading = HEADING)]
    memory: u64,
    /// With --sandbox: time that it may run: seconds, or a number with s, m or h
    #[arg(long, value_name = "TIME", requires = "sandbox", default_value = "60s", value_parser = time, help_heading = HEADING)]
    time: Duration,
}

impl Sandbox {
    /// Whether the script is to be held.
    pub(super) fn is_on(&self) -> bool {
        self.sandbox
    }

    /// Refuses these options after the script's file: there the script would be given them, and could do as if they held it.
    pub(super) fn check_after(&self, words: &[OsString]) -> Result<()> {
        let ours: &[&str] =
            if self.sandbox { &["--sandbox", "--root", "--memory", "--time"] } else { &["--sandbox"] };
        let words = words.iter().skip(1).take_while(|word| *word != "--").filter_map(|word| word.to_str());
        let mut names = words.map(|word| word.split_once('=').map_or(word, |(name, _)| name));
        names.find(|name| ours.contains(name)).map_or(Ok(()), |name| {
            Err(usage(format!(
                "{name} must stand before the script's file: lota run --sandbox [--root DIR] [--memory SIZE] [--time TIME] \
                 FILE; an option of the script that is called so comes after `--`"
            )))
        })
    }

    /// The error, with the option that would allow more.
    pub(super) fn advise(&self, error: Error) -> Error {
        let advice = match error.kind() {
            ErrorKind::Limit => {
                "--memory and --time say how much a script may use; its other limits are fixed"
            }
            ErrorKind::Denied => {
                "--root DIR before the script's file grants a folder, with all that is in it"
            }
            _ => return error,
        };
        let text = |text: Option<&str>| text.map(str::to_string);
        let message = format!("{}; {advice}", error.message());
        let (primitive, place) = (text(error.primitive()), text(error.place()));
        Error::told(error.kind(), message, primitive, place, text(error.traceback()), error.is_incomplete())
    }

    /// Takes what a script of the command line has from the engine, and gives it what was granted.
    pub(super) fn around(&self, builder: Builder) -> Result<Builder> {
        for root in &self.root {
            if !root.is_dir() {
                let what = if root.exists() { "is not a folder" } else { "there is no such folder" };
                return Err(usage(format!("--root {}: {what}", root.display())));
            }
        }
        distrust();
        let most = Limits::untrusted();
        let limits = Limits {
            script_memory: Some(self.memory),
            tensor_memory: Some(self.memory),
            time: Some(self.time),
            instructions: None,
            ..most
        };
        let cores =
            std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
        let work = self.time.saturating_mul(cores).saturating_add(Duration::from_secs(1));
        let process = Process::new().memory(self.memory).processor_time(work);
        Ok(builder
            .files(Files::roots(self.root.iter().cloned()))
            .hub(lota::runtime::model::HubOptions::default())
            .open(false)
            .limits(limits)
            .isolation(Isolation::Process(process)))
    }
}

/// A number with one of these endings, each a factor.
fn with_ending(text: &str, endings: &[(&str, f64)]) -> Option<f64> {
    let found = endings.iter().find_map(|(ending, factor)| Some((text.strip_suffix(ending)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    number.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0).map(|n| n * factor)
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("K", 1024.0), ("M", 1_048_576.0), ("G", 1_073_741_824.0), ("T", 1_099_511_627_776.0)];
    let plain = text.trim_end_matches(['b', 'B']).trim_end_matches('i').to_uppercase();
    let bytes = with_ending(&plain, &units).filter(|bytes| *bytes < 1e18);
    let bytes = bytes.map(|bytes| bytes as u64).ok_or("a size above 0, such as 512M or 1G")?;
    if bytes < LEAST_MEMORY {
        return Err(format!("at least {}M: an engine needs that to start", LEAST_MEMORY >> 20));
    }
    Ok(bytes)
}

fn time(text: &str) -> Result<Duration, String> {
    let seconds = with_ending(text, &[("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a time above 0, such as 60s or 5m".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_people_write_them() {
        assert_eq!(size("1G"), Ok(1 << 30));
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("1.5 GiB"), Ok(3 << 29));
        assert_eq!(size("32768kb"), Ok(32 << 20));
        assert_eq!(size("33554432"), Ok(32 << 20));
        assert!(size("512").is_err_and(|told| told.contains("at least 16M")));
        assert_eq!(time("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "G", "-1G", "0", "much", "1e40G", "nan"] {
            assert!(size(wrong).is_err(), "{wrong}");
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
