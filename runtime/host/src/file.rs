//! Files are written beside and renamed, so that no crash, full disk or Ctrl-C leaves half a file
//! where a whole one was.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::place::parent;
use super::temporary::{self, sweep, sync_folder};
use crate::disk::{self, Out};
use crate::{Error, Result, read_bytes};

/// Writes `path` through `write` into a temporary file of the same folder, flushes it to disk and
/// renames it over `path`. On any error the old file is untouched and the temporary one removed.
/// Missing parent folders are created, and temporary files that dead processes left in the folder removed.
/// Where `path` is a link, what it leads to is replaced and the link stays. The error of `write` is given back as it is.
pub fn write_atomic<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<Out<'_>>) -> Result<(), E>,
) -> Result<(), E> {
    let path = &target(path)?;
    if path.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()).into());
    }
    let folder = parent(path);
    disk::make_folders(folder).map_err(|e| Error::io(path, e))?;
    sweep(folder);
    let temp = temporary::file(folder).map_err(|e| Error::io(path, e))?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, Out::new(temp.as_file(), path));
        write(&mut out)?;
        out.flush().map_err(|e| Error::io(path, e))?;
    }
    #[cfg(unix)]
    {
        // A temporary file is private to its owner; a finished one has the usual permissions.
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
        disk::permit(temp.path(), path, mode).map_err(|e| Error::io(path, e))?;
    }
    disk::flush(temp.as_file(), path).map_err(|e| Error::io(path, e))?;
    disk::persist(temp, path).map_err(|e| Error::io(path, e))?;
    Ok(sync_folder(folder, path)?)
}

/// The file that is replaced when `path` is written: what a link leads to.
fn target(path: &Path) -> Result<PathBuf> {
    if path.is_symlink() {
        path.canonicalize().map_err(|e| Error::io(path, e))
    } else {
        Ok(path.to_path_buf())
    }
}

/// An error unless files can be written into `folder`, which is made if it is not there.
pub fn check_writable(folder: &Path) -> Result<()> {
    disk::make_folders(folder).map_err(|e| Error::io(folder, e))?;
    temporary::file(folder).map(drop).map_err(|e| Error::io(folder, e))
}

/// The text of a file; an error that names the line where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    text_of(read_bytes(path)?, path)
}

/// The text that these bytes of a file are; an error that names the line where they are not UTF-8.
pub fn text_of(bytes: Vec<u8>, path: &Path) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::format(path, format!("line {line}: not UTF-8 text"))
    })
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

    #[test]
    #[cfg(unix)]
    fn a_link_stays_one_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (dir.path().join("real/file"), dir.path().join("link"));
        let text = |text: &'static [u8]| {
            move |w: &mut BufWriter<Out<'_>>| w.write_all(text).map_err(|e| Error::io("file", e))
        };
        write_atomic(&file, text(b"old")).expect("writes");
        std::os::unix::fs::symlink("real/file", &link).expect("a link");
        write_atomic(&link, text(b"new")).expect("writes");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).expect("reads"), b"new");
        std::fs::remove_file(&file).expect("removes");
        let told = write_atomic(&link, text(b"lost")).expect_err("leads nowhere").to_string();
        assert!(told.starts_with(&link.display().to_string()), "{told}");
    }

    #[test]
    fn a_file_that_is_not_text_is_told_by_the_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("page.yml");
        std::fs::write(&path, b"a: 1\nb: \xff\n").expect("writes");
        let told = |error: Error| error.to_string();
        let text = read_text(&path).map_err(told).expect_err("no text");
        assert_eq!(text, format!("{}: line 2: not UTF-8 text", path.display()));
        let gone = read_text(&dir.path().join("gone")).map_err(told).expect_err("is not there");
        assert!(gone.starts_with(&format!("{}: ", dir.path().join("gone").display())), "{gone}");
        std::fs::write(&path, "caf\u{e9}").expect("writes");
        assert_eq!(read_text(&path).expect("is text"), "caf\u{e9}");
    }
}
