//! Which files a script may reach.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// The folders a script may reach. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Files {
    everything: bool,
    roots: Vec<PathBuf>,
}

impl Files {
    /// Every file, as a command-line program may.
    pub fn everything() -> Self {
        Self { everything: true, roots: Vec::new() }
    }

    /// The files under these folders; relative paths are taken from the first.
    pub fn roots(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { everything: false, roots: roots.into_iter().collect() }
    }

    /// The folders granted, if not everything is.
    pub fn granted(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The path to open for `path`, or a refusal.
    ///
    /// Every link is followed before the path is judged, and what is given back has none. A script has no way to
    /// make a link, but another process with write access to a root could put one there between this call and the
    /// opening: do not grant a root that somebody untrusted writes to.
    pub fn allow(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        if self.everything {
            return Ok(path.to_path_buf());
        }
        let Some(first) = self.roots.first() else {
            return Err(Error::denied(format!(
                "{}: this script was granted no files; the host must name a root",
                path.display()
            )));
        };
        let full = first.join(path);
        let real = resolve(&full)?;
        for root in &self.roots {
            if let Ok(root) = root.canonicalize()
                && real.starts_with(&root)
            {
                return plain(real, path);
            }
        }
        Err(Error::denied(format!("{}: outside the folders granted to this script", path.display())))
    }
}

/// Refuses what is neither a file nor a folder: a pipe or a device could keep its reader for ever.
fn plain(real: PathBuf, path: &Path) -> Result<PathBuf> {
    match real.metadata() {
        Ok(data) if !data.is_file() && !data.is_dir() => {
            Err(Error::denied(format!("{}: neither a file nor a folder", path.display())))
        }
        _ => Ok(real),
    }
}

/// The path with every link followed: that of the deepest part that exists, then the rest, in
/// which `..` is not allowed.
fn resolve(path: &Path) -> Result<PathBuf> {
    let mut existing = path.to_path_buf();
    let mut rest = Vec::new();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return Ok(rest.iter().rev().fold(real, |p, part| p.join(part)));
        }
        // It exists but leads nowhere: what is written there would be made wherever it points.
        if existing.is_symlink() {
            return Err(Error::denied(format!("{}: a link that leads nowhere", path.display())));
        }
        match existing.components().next_back() {
            Some(Component::Normal(part)) => rest.push(part.to_os_string()),
            _ => return Err(Error::denied(format!("{}: the path cannot be resolved", path.display()))),
        }
        existing.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_do_not_leave_their_root() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("in")).expect("a folder");
        std::fs::write(dir.path().join("secret"), "x").expect("a file");
        let files = Files::roots([root.clone()]);
        assert!(files.allow("in/new.txt").is_ok());
        assert!(files.allow("new/deep/file").is_ok());
        for bad in ["../secret", "in/../../secret", "nowhere/../../secret", "/etc/passwd"] {
            assert!(files.allow(bad).is_err(), "{bad}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path(), root.join("link")).expect("a link");
            assert!(files.allow("link/secret").is_err());
            std::os::unix::fs::symlink(dir.path().join("later"), root.join("dangling")).expect("a link");
            assert!(files.allow("dangling").is_err() && files.allow("dangling/x").is_err());
        }
        assert!(Files::default().allow("x").is_err());
    }
}
