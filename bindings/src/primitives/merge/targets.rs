//! Where a merge writes: the folder that was asked for, those of named steps, the report, and the hidden ones beside them.
//! All are checked against what the script was granted, and before any work.

use lota_script::{Args, Ctx, Error, Granted, NewFolders, Result};

use super::steps::Step;

/// Where the results of a call go.
pub(super) struct Targets {
    /// The folder of the result.
    pub out: Granted,
    /// The folder that holds those of named steps.
    pub between: Granted,
    /// Whether the results of named steps are kept.
    pub kept: bool,
    /// The table and the chart of the report.
    pub report: Option<[Granted; 2]>,
}

impl Targets {
    /// What the arguments `out`, `between` and `report` say.
    pub(super) fn read(ctx: &Ctx, args: &mut Args) -> Result<Self> {
        let out = args.file("out")?;
        check_hidden(&out)?;
        let given = args.opt_file("between")?;
        let kept = given.is_some();
        let between = match given {
            Some(folder) => folder,
            None => out.with_ending("-steps")?,
        };
        let report = args.opt::<String>("report")?.map(|name| report(ctx, &name)).transpose()?;
        Ok(Self { out, between, kept, report })
    }

    /// The folders that do not exist yet, to be removed if nothing comes into them.
    pub(super) fn new_folders(&self) -> [NewFolders; 3] {
        let report = self.report.as_ref().map_or(&self.out, |[table, _]| table);
        [self.out.new_folders(), self.between.new_folders(), report.new_folders()]
    }

    /// Makes the folder of the report, so that one that cannot be made is told before the work.
    pub(super) fn make_report_folder(&self) -> Result<()> {
        let Some([table, _]) = &self.report else { return Ok(()) };
        Ok(table.make_folder()?)
    }

    /// Removes what named steps have made, and their folder if nothing else is in it.
    pub(super) fn remove_steps(&self, steps: &[Step]) -> Result<()> {
        for step in steps.iter().filter(|step| step.out != self.out) {
            lota_runtime::merge::discard(step.out.path())?;
        }
        // It may hold files of others, or not exist.
        self.between.remove_if_empty();
        Ok(())
    }
}

/// An error unless the script may write beside a folder, where its content is made.
pub(super) fn check_hidden(folder: &Granted) -> Result<()> {
    for hidden in lota_runtime::merge::hidden(folder.path())? {
        folder.beside(&hidden).map_err(|e| {
            Error::denied(format!("{folder}: a merge is made in a hidden folder beside it: {e}"))
        })?;
    }
    Ok(())
}

/// The files of a report, and that they can be written as far as that can be told.
fn report(ctx: &Ctx, name: &str) -> Result<[Granted; 2]> {
    let [table, chart] = [".md", ".svg"].map(|end| ctx.files.grant(format!("{name}{end}")));
    let files = [table?, chart?];
    for file in &files {
        if file.is_dir() {
            return Err(Error::argument(format!("report: {file} is a folder")));
        }
    }
    Ok(files)
}
