//! The places that an engine's scripts write to for longer than one call. Each has one writer among all programs; within
//! an engine it may be asked for again, since a script's objects stay until the collector takes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lota_runtime::host::{Events, Lock};
use lota_script::{Error, Granted, Result};
use serde_json::Value;

use crate::runs::RunFolder;

/// What one engine writes to.
#[derive(Default)]
pub struct Claims {
    files: Shared<Lock>,
    runs: Shared<Mutex<RunFolder>>,
}

impl Claims {
    /// The right to write a file, as long as the result lives. Another program that has it is named in the error.
    pub fn file(&self, path: &Path, events: &Events) -> Result<Arc<Lock>> {
        self.files.get(&real(path), || Ok(Lock::beside(path, events)?)).map(|(lock, _)| lock)
    }

    /// The run in a folder, see [`RunFolder::start`]. One that this engine has open already is what is continued.
    pub fn run(
        &self,
        dir: &Granted,
        config: Option<&Value>,
        resume: bool,
        events: &Events,
    ) -> Result<Arc<Mutex<RunFolder>>> {
        let start = || Ok(Mutex::new(RunFolder::start(dir, config, resume, events)?));
        let (run, open) = self.runs.get(&real(dir.path()), start)?;
        if open && !resume {
            return Err(Error::argument(format!(
                "{} holds a run already, which this script has open: choose another folder, or continue it with resume = \
                 true",
                dir.display()
            )));
        }
        if let (true, Some(config)) = (open, config) {
            run.lock().unwrap_or_else(PoisonError::into_inner).check_config(config)?;
        }
        Ok(run)
    }
}

/// Things by their path, as long as somebody holds them.
struct Shared<T>(Mutex<HashMap<PathBuf, Weak<T>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shared<T> {
    /// The thing of a path and whether it was there, or a new one.
    fn get(&self, path: &Path, make: impl FnOnce() -> Result<T>) -> Result<(Arc<T>, bool)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, held| held.strong_count() > 0);
        if let Some(held) = all.get(path).and_then(Weak::upgrade) {
            return Ok((held, true));
        }
        let made = Arc::new(make()?);
        all.insert(path.to_path_buf(), Arc::downgrade(&made));
        Ok((made, false))
    }
}

/// One name for all paths of a file or folder, of which any number of folders may not exist yet.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at files itself")]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_name_before_and_after_its_folders_are_made() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("a/b/c");
        let before = real(&path);
        std::fs::create_dir_all(&path).expect("makes folders");
        assert_eq!(real(&path), before);
        assert_eq!(real(&temp.path().join("a/./b/c")), before);
    }
}
