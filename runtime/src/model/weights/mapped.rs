//! A file mapped into memory, whose pages can be given back once they have been read; or one that is part of the program.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use crate::host::refuse_pointer;
use crate::{Error, Result};

/// A file's bytes.
#[derive(Debug)]
pub(crate) enum Mapped {
    /// Read through the page cache.
    File(Mmap),
    /// Part of the program.
    Embedded(&'static [u8]),
}

impl Mapped {
    /// Maps a file. A Git LFS pointer in its place is an error.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        // SAFETY: the mapping is read-only and private to this value. As with every memory-mapped
        // reader, a program that truncates the file meanwhile would break it.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        refuse_pointer(path, &map)?;
        Ok(Self::File(map))
    }

    /// Tells the system that a part has been read and is not needed again. Without this a model
    /// that is converted while it is loaded counts twice until the file is closed.
    pub(crate) fn release(&self, part: Range<usize>) {
        let part = part.start..part.end.min(self.len());
        #[cfg(unix)]
        if let Self::File(map) = self
            && !part.is_empty()
        {
            // SAFETY: the mapping is of a file and was never written to: pages that are dropped are
            // read from the file again when they are touched.
            let advised = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, part.start, part.len())
            };
            // Advice that is not taken costs memory, nothing else.
            drop(advised);
        }
        #[cfg(not(unix))]
        drop(part);
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_parts_read_as_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let map = Mapped::open(&path).expect("mapped");
        assert_eq!(&map[..], &bytes[..]);
        for part in [0..1, 5000..70_000, 99_000..200_000, 3..3] {
            map.release(part);
            assert_eq!(&map[..], &bytes[..]);
        }
    }
}
