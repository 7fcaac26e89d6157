//! `new`: a study to start from, in two files that run as they are written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use lota::Result;

use super::failure::usage;
use super::output::write_out;

/// The files, and how their names end.
const FILES: [(&str, &str); 2] =
    [(".lua", include_str!("new/study.lua")), ("-task.lua", include_str!("new/task.lua"))];
/// What stands in them for the name of the study.
const PLACE: &str = "STUDY";

#[derive(Args)]
pub(super) struct New {
    /// What the study is called: NAME.lua and NAME-task.lua are written
    name: PathBuf,
}

impl New {
    pub(super) fn run(&self) -> Result<()> {
        let plain = if self.name.extension().is_some_and(|e| e == "lua") {
            self.name.with_extension("")
        } else {
            self.name.clone()
        };
        let name = plain.file_name().and_then(|n| n.to_str()).filter(|n| is_sound(n)).ok_or_else(|| {
            let text = "is no name of a study: letters, digits, '-' and '_' make one, a letter or digit first, as in \
                        my-study (and lota is the library's own)";
            usage(format!("'{}' {text}", self.name.display()))
        })?;
        let folder = plain.parent().unwrap_or(Path::new(""));
        let paths = FILES.map(|(end, _)| folder.join(format!("{name}{end}")));
        // Both or none are written.
        if let Some(there) = paths.iter().find(|path| path.exists()) {
            return Err(usage(format!("{} is there already; choose another name", there.display())));
        }
        for (path, (_, text)) in paths.iter().zip(FILES) {
            write(path, &text.replace(PLACE, name))?;
        }
        let run = paths[0].display().to_string();
        let [study, task] = paths.map(|path| whole(&path));
        write_out(&format!(
            "{study}  the study: its options, its arms and its report\n{task}  its task: rows to train on and to test with\n\n\
             lota run {run} runs it.\n"
        ));
        Ok(())
    }
}

/// Where a file is: its name alone in this folder, else the whole path, without `..` and links.
fn whole(path: &Path) -> String {
    let here = path.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let whole = if here { None } else { path.canonicalize().ok() };
    whole.as_deref().unwrap_or(path).display().to_string()
}

/// Whether a name can be that of a file and of a module.
fn is_sound(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        && name != "lota"
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e| lota::runtime::Error::io(path, e);
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    Ok(file.write_all(text.as_bytes()).map_err(failed)?)
}
