//! Texts that identify inputs, so that a merge that was stopped is resumed only with the inputs it began with.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::Input;
use crate::{Error, Result};

/// Bytes at the start of a file that are hashed. They hold the header of most files.
const HEAD: u64 = 1 << 20;
/// Pages of 4 KiB, evenly over the file, that are hashed too.
const PAGES: u64 = 32;

/// For each file its path, size and times, and a hash of its header and of a sample of its bytes. It changes when a file
/// is rewritten, even by a program that restores the times.
pub(super) fn stamp<'p>(files: impl IntoIterator<Item = &'p Path>) -> Result<String> {
    let mut out = String::new();
    for path in files {
        let failed = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        let sample = sample(&mut file, data.len()).map_err(failed)?;
        out += &format!("{} {} {} {sample}\n", path.display(), data.len(), times(&data));
    }
    Ok(out)
}

/// When a file was last written to, and where the system tells it when it was last changed in any way.
fn times(data: &Metadata) -> String {
    let written = data.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let written = written.unwrap_or_default().as_nanos();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        format!("{written} {}.{:09}", data.ctime(), data.ctime_nsec())
    }
    #[cfg(not(unix))]
    written.to_string()
}

fn sample(file: &mut File, size: u64) -> std::io::Result<String> {
    let mut hash = blake3::Hasher::new();
    let mut part = Vec::new();
    file.take(HEAD).read_to_end(&mut part)?;
    hash.update(&part);
    for page in 1..=PAGES {
        file.seek(SeekFrom::Start((size.saturating_sub(4096) / PAGES) * page))?;
        part.clear();
        file.take(4096).read_to_end(&mut part)?;
        hash.update(&part);
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// A hash of all tensors of an input that lies in memory.
pub(super) fn contents<I: Input + ?Sized>(input: &I) -> Result<String> {
    const PIECE: usize = 1 << 18;
    let mut hash = blake3::Hasher::new();
    let mut scratch = Vec::new();
    for name in input.names() {
        let Some(info) = input.info(&name) else { continue };
        hash.update(format!("{name} {:?} {}\n", info.shape, info.dtype).as_bytes());
        if info.float.is_none() {
            hash.update(input.raw(&name).unwrap_or_default());
            continue;
        }
        let reader = input.reader(&name)?;
        let entries: usize = info.shape.iter().product();
        for start in (0..entries).step_by(PIECE) {
            let len = PIECE.min(entries - start);
            let values = reader.read(start, len, &mut scratch)?;
            hash.update(bytemuck::cast_slice(values));
            reader.release(start, len);
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_other_bytes_has_another_stamp_even_where_its_size_and_times_are_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.gguf");
        let write = |byte: u8| {
            std::fs::write(&path, vec![byte; 3 << 20]).expect("writes");
            let file = File::options().write(true).open(&path).expect("opens");
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1))
                .expect("sets the time");
            stamp([path.as_path()]).expect("reads")
        };
        let (one, two) = (write(1), write(2));
        assert_ne!(one.split(' ').next_back(), two.split(' ').next_back());
        assert!(stamp([dir.path().join("absent").as_path()]).is_err());
    }
}
