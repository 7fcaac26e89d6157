//! `demo`: the main script, shortened to half a minute, with what its table says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lota::api::Files;
use lota::scripts;
use lota::{Error, ErrorKind, Result};

use super::common::Common;
use super::failure::usage;
use super::output::write_out;
use super::progress::How;
use super::run;

/// Options of the main script that make it short: one seed, three arms, fewer steps and test rows.
const SHORT: [&str; 12] = [
    "--seeds",
    "1",
    "--arms",
    "lotto,overlap,full",
    "--calibration-steps",
    "25",
    "--steps",
    "75",
    "--eval",
    "64",
    "--batch",
    "12",
];
/// Between two lines where bars cannot be drawn.
const INTERVAL: Duration = Duration::from_secs(2);
const SUMMARY: &str = include_str!("demo.lua");

const BEFORE: &str = "\
A tiny language model, which is built in, learns to rewrite words (task A) and then digits (task B), in three ways:

  LoTTO     trains a tenth of its attention and MLP entries for A, and another tenth for B
  overlap   the same, but B's tenth may lie on A's
  full      trains all entries for A, then all for B

Then it is tested on both. This takes about 20 seconds.

";

#[derive(Args)]
pub(super) struct Demo {
    /// The run folder [default: the first free one of runs/demo-1, runs/demo-2, ...]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Demo {
    pub(super) fn run(self, mut common: Common) -> Result<()> {
        let folder = match self.out {
            Some(folder) => folder,
            None => free_folder()?,
        };
        let folder =
            folder.to_str().ok_or_else(|| usage(format!("{} is not UTF-8 text", folder.display())))?;
        if common.progress.is_none() && !common.quiet && How::fitting() != How::Bar {
            common.progress = Some(How::Plain(INTERVAL));
        }
        let file = "lota:lota";
        let script = scripts::named(file)?
            .ok_or_else(|| Error::new(ErrorKind::Host, "the main script is not built in"))?;
        let mut args = SHORT.map(str::to_string).to_vec();
        args.extend(["--out".to_string(), folder.to_string()]);
        let engine = run::builder(&common, script.language, file, args)?.build()?;
        write_out(BEFORE);
        engine.run(script.source, file)?;
        engine.run(SUMMARY, "lota:demo")?;
        let says: String = engine.call("demo_says", (folder,))?;
        write_out(&format!(
            "\n{says}\n\n\
             The report is {folder}/report.md, with pictures beside it. What next:\n\n\
             \x20 lota run lota:lota     the whole job: four arms, three seeds\n\
             \x20 lota new my-study      a study of your own, to be changed\n\
             \x20 lota repl              try things line by line\n\
             \x20 lota doc               what a script can call\n"
        ));
        Ok(())
    }
}

/// A new folder for a run: here, or where nothing can be written here, among temporary files.
fn free_folder() -> Result<PathBuf> {
    let temporary = std::env::temp_dir().join("lota-runs");
    let mut last = None;
    for place in [Path::new("runs"), &temporary] {
        match Files::everything().grant(place.join("demo")).and_then(|stem| stem.make_numbered()) {
            Ok(folder) => return Ok(folder.path().to_path_buf()),
            Err(e) => last = Some(e),
        }
    }
    Err(last.map_or_else(
        || Error::runtime("no folder for the run"),
        |e| Error::runtime(format!("no folder for the run: {e}")),
    ))
}
