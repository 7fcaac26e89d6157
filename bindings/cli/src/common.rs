//! The options that every command takes, and one that all share which write a model.

use std::path::Path;

use clap::Args;
use lota::Result;

use super::failure::usage;
use super::progress::How;

/// Options of every command. After the file of `lota run` they are lota's too, not the script's.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// Where tensors live: cpu, cuda:N or metal
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
    /// Threads of CPU work; 0 takes all cores
    #[arg(long, global = true, default_value_t = 0, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=512))]
    pub threads: usize,
    /// What dense products multiply as: f32, or bf16, which is about twice as fast
    #[arg(long, global = true, default_value = "f32", value_name = "TYPE", value_parser = ["f32", "bf16"])]
    pub compute: String,
    /// No progress and no notices
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Progress on standard error: bar, plain (a line every 30 s), plain:SECONDS or none [default: bar on a terminal,
    /// plain elsewhere]
    #[arg(long, global = true, value_name = "HOW")]
    pub progress: Option<How>,
    /// Take the plain reference path of every operation
    #[arg(long, global = true)]
    pub reference: bool,
}

/// What may become of a model that is in the folder a command writes.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Over {
    /// Write over a model or adapter that is in the folder; files of others in it stay
    #[arg(long)]
    replace: bool,
}

impl Over {
    /// An error if the folder holds a model or an adapter that is not to be replaced. A command asks before it works.
    pub fn check(self, folder: &Path) -> Result<()> {
        let held = std::fs::read_dir(folder).into_iter().flatten().flatten().find(|entry| {
            let name = entry.file_name();
            Path::new(&name).extension().is_some_and(|e| e == "safetensors") || name == "config.json"
        });
        match held.filter(|_| !self.replace) {
            None => Ok(()),
            Some(file) => Err(usage(format!(
                "{} holds a model already ({}); write to another folder, or give --replace",
                folder.display(),
                file.file_name().display()
            ))),
        }
    }
}
