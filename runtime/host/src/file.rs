//! Files are written beside and renamed, so that no crash, full disk or Ctrl-C leaves half a file
//! where a whole one was.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::temporary::{self, parent, sweep, sync_folder};
use crate::{Error, Result};

/// Writes `path` through `write` into a temporary file of the same folder, flushes it to disk and
/// renames it over `path`. On any error the old file is untouched and the temporary one removed.
/// Missing parent folders are created, and temporary files that dead processes left in the folder removed.
/// The error of `write` is given back as it is.
pub fn write_atomic<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let folder = parent(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    sweep(folder);
    let temp = temporary::file(folder)?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, temp.as_file());
        write(&mut out)?;
        out.flush().map_err(|e| Error::io(path, e))?;
    }
    #[cfg(unix)]
    {
        // A temporary file is private to its owner; a finished one has the usual permissions.
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
        temp.as_file()
            .set_permissions(std::fs::Permissions::from_mode(mode))
            .map_err(|e| Error::io(path, e))?;
    }
    temp.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    temp.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(sync_folder(folder)?)
}

/// An error unless files can be written into `folder`, which is made if it is not there.
pub fn check_writable(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let probe = tempfile::Builder::new().prefix(".lota-").tempfile_in(folder);
    probe.map(drop).map_err(|e| Error::io(folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let inner = dir.path().join("new/folder");
        check_writable(&inner).expect("can be made and written");
        assert_eq!(std::fs::read_dir(&inner).expect("is there").count(), 0, "nothing is left in it");
        let file = dir.path().join("file");
        std::fs::write(&file, "text").expect("writes");
        let text = check_writable(&file.join("below")).expect_err("lies below a file").to_string();
        assert!(text.contains("file/below"), "{text}");
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("deep/er/file.bin");
        write_atomic(&path, |w| w.write_all(b"old").map_err(|e| Error::io("file.bin", e))).expect("writes");
        let failed = write_atomic(&path, |w| {
            w.write_all(b"new but").map_err(|e| Error::io("file.bin", e))?;
            Err(Error::argument("no"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).expect("reads"), b"old");
        let names = std::fs::read_dir(path.parent().expect("has a parent")).expect("lists").count();
        assert_eq!(names, 1);
    }
}
