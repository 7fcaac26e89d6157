//! Changes to the disk, a function a kind. Whatever lota makes, writes, flushes, renames or removes goes through here, so
//! that a test can make every single one of them fail, or stop the process there (`watch`, which only builds with debug
//! assertions have: the program that is shipped calls the system and nothing else).
//!
//! `path` is the file that is meant, for whoever watches; where a function takes an open file too, it need not be that
//! file's own name.

#[cfg(debug_assertions)]
pub mod watch;

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Making a folder.
    Folder,
    /// Making or opening a file to write.
    Open,
    /// Writing bytes. It is asked for when half of them are written.
    Write,
    /// Setting the length of a file.
    Length,
    /// Setting permissions.
    Permit,
    /// Flushing a file to the disk.
    Flush,
    /// Flushing the names of a folder to the disk.
    FlushFolder,
    /// Renaming, or letting two folders change places.
    Rename,
    /// Removing a file or a folder.
    Remove,
}

/// Called before each change: an error of whoever watches is the outcome of the change.
#[cfg(debug_assertions)]
fn before(op: Op, path: &Path) -> Result<()> {
    watch::before(op, path)
}

#[cfg(not(debug_assertions))]
#[inline(always)]
fn before(_: Op, _: &Path) -> Result<()> {
    Ok(())
}

/// Makes a folder and those above it, if they are not there.
pub fn make_folders(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    before(Op::Folder, path)?;
    std::fs::create_dir_all(path)
}

/// Makes a folder that must not be there.
pub fn make_folder(path: &Path) -> Result<()> {
    before(Op::Folder, path)?;
    std::fs::create_dir(path)
}

/// Opens a file to write, as the options say.
pub fn open(options: &OpenOptions, path: &Path) -> Result<File> {
    before(Op::Open, path)?;
    options.open(path)
}

/// A temporary file in a folder.
pub(crate) fn temporary_file(
    of: &tempfile::Builder<'_, '_>,
    folder: &Path,
) -> Result<tempfile::NamedTempFile> {
    before(Op::Open, folder)?;
    of.tempfile_in(folder)
}

/// A temporary folder in a folder.
pub(crate) fn temporary_folder(of: &tempfile::Builder<'_, '_>, folder: &Path) -> Result<tempfile::TempDir> {
    before(Op::Folder, folder)?;
    of.tempdir_in(folder)
}

/// Writes bytes where the file stands.
pub fn write(file: &File, path: &Path, bytes: &[u8]) -> Result<()> {
    Out { file, path }.write_all(bytes)
}

/// Writes all of `bytes` at `offset`, and does not move the file's position, so that several threads write one file.
pub fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<()> {
    #[cfg(debug_assertions)]
    if watch::is_watched(path) {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        all_at(file, first, offset)?;
        before(Op::Write, path)?;
        return all_at(file, rest, offset + first.len() as u64);
    }
    #[cfg(not(debug_assertions))]
    let _ = path;
    all_at(file, bytes, offset)
}

#[cfg(unix)]
fn all_at(file: &File, bytes: &[u8], offset: u64) -> Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Where the bytes of a file go.
#[derive(Debug)]
pub struct Out<'a> {
    file: &'a File,
    path: &'a Path,
}

impl<'a> Out<'a> {
    /// Of this open file.
    pub fn new(file: &'a File, path: &'a Path) -> Self {
        Self { file, path }
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        #[cfg(debug_assertions)]
        if watch::is_watched(self.path) {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            self.file.write_all(first)?;
            before(Op::Write, self.path)?;
            self.file.write_all(rest)?;
            return Ok(bytes.len());
        }
        #[cfg(not(debug_assertions))]
        let _ = self.path;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

/// Makes a file as long as this.
pub fn set_length(file: &File, path: &Path, length: u64) -> Result<()> {
    before(Op::Length, path)?;
    file.set_len(length)
}

/// Gives a file or a folder these permissions.
#[cfg(unix)]
pub(crate) fn permit(path: &Path, of: &Path, mode: u32) -> Result<()> {
    before(Op::Permit, of)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Flushes a file to the disk, with all that is known of it.
pub fn flush(file: &File, path: &Path) -> Result<()> {
    before(Op::Flush, path)?;
    file.sync_all()
}

/// Flushes the bytes of a file to the disk.
pub fn flush_data(file: &File, path: &Path) -> Result<()> {
    before(Op::Flush, path)?;
    file.sync_data()
}

/// Flushes the names in a folder to the disk.
#[cfg(unix)]
pub(crate) fn flush_folder(folder: &Path) -> Result<()> {
    before(Op::FlushFolder, folder)?;
    File::open(folder).and_then(|folder| folder.sync_all())
}

/// Gives a file or folder another name. What had that name is replaced.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    before(Op::Rename, to)?;
    std::fs::rename(from, to)
}

/// Gives a temporary file its name. What had that name is replaced.
pub(crate) fn persist(file: tempfile::NamedTempFile, to: &Path) -> Result<()> {
    before(Op::Rename, to)?;
    file.persist(to).map(drop).map_err(|e| e.error)
}

/// Lets two files or folders change places, where the file system can.
pub fn exchange(one: &Path, other: &Path) -> Result<()> {
    before(Op::Rename, other)?;
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = one;
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Removes a file.
pub fn remove_file(path: &Path) -> Result<()> {
    before(Op::Remove, path)?;
    std::fs::remove_file(path)
}

/// Removes an empty folder.
pub fn remove_folder(path: &Path) -> Result<()> {
    before(Op::Remove, path)?;
    std::fs::remove_dir(path)
}

/// Removes a folder with all that is in it.
pub fn remove_all(path: &Path) -> Result<()> {
    before(Op::Remove, path)?;
    std::fs::remove_dir_all(path)
}
