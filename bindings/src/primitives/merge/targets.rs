//! Where a merge writes: the folder that was asked for, those of named steps, the report, and the hidden ones beside them.
//! All are checked against what the script was granted, and before any work.

use std::path::{Path, PathBuf};

use lota_script::{Args, Ctx, Error, Result};

use super::steps::Step;

/// Where the results of a call go.
pub(super) struct Targets {
    /// The folder of the result.
    pub out: PathBuf,
    /// The folder that holds those of named steps.
    pub between: PathBuf,
    /// Whether the results of named steps are kept.
    pub kept: bool,
    /// The table and the chart of the report.
    pub report: Option<[PathBuf; 2]>,
}

impl Targets {
    /// What the arguments `out`, `between` and `report` say.
    pub(super) fn read(ctx: &Ctx, args: &mut Args) -> Result<Self> {
        let out = granted(ctx, Path::new(&args.get::<String>("out")?))?;
        let given = args.opt::<String>("between")?;
        let between = match &given {
            Some(folder) => ctx.files.allow(folder)?,
            None => {
                let mut name = out.file_name().unwrap_or_default().to_os_string();
                name.push("-steps");
                ctx.files.allow(out.with_file_name(name))?
            }
        };
        let report = args.opt::<String>("report")?.map(|name| report(ctx, &name)).transpose()?;
        Ok(Self { out, between, kept: given.is_some(), report })
    }

    /// Removes what named steps have made, and their folder if nothing else is in it.
    pub(super) fn remove_steps(&self, steps: &[Step]) -> Result<()> {
        for step in steps.iter().filter(|step| step.out != self.out) {
            lota_runtime::merge::discard(&step.out)?;
        }
        // It may hold files of others, or not exist.
        drop(std::fs::remove_dir(&self.between));
        Ok(())
    }
}

/// The folder to write for `folder`, if the script may write there and beside it, where the result is made.
pub(super) fn granted(ctx: &Ctx, folder: &Path) -> Result<PathBuf> {
    let folder = ctx.files.allow(folder)?;
    for hidden in lota_runtime::merge::hidden(&folder)? {
        ctx.files.allow(&hidden).map_err(|e| {
            Error::denied(format!("{}: a merge is made in a hidden folder beside it: {e}", folder.display()))
        })?;
    }
    Ok(folder)
}

/// The files of a report, and that they can be written as far as that can be told.
fn report(ctx: &Ctx, name: &str) -> Result<[PathBuf; 2]> {
    let [table, chart] = [".md", ".svg"].map(|end| ctx.files.allow(format!("{name}{end}")));
    let files = [table?, chart?];
    for file in &files {
        let failed = |e: std::io::Error| Error::runtime(format!("report: {}: {e}", file.display()));
        if file.is_dir() {
            return Err(Error::argument(format!("report: {} is a folder", file.display())));
        }
        match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                std::fs::create_dir_all(parent).map_err(failed)?
            }
            _ => {}
        }
    }
    Ok(files)
}
