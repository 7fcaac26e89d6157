//! Writing the safetensors files of other formats.

use std::io::{self, Write};
use std::path::Path;

use crate::host::container::{self, Declared, bits};
use crate::host::{Host, write_atomic};
use crate::{Error, Result};

type Fill<'a> = Box<dyn Fn(&mut dyn Write) -> io::Result<()> + 'a>;

/// A tensor to be written.
pub(super) struct Tensor<'a> {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    /// Writes its bytes.
    pub write: Fill<'a>,
}

impl Tensor<'_> {
    /// The number of its bytes.
    pub fn bytes(&self) -> u64 {
        let entries: u64 = self.shape.iter().map(|&dim| dim as u64).product();
        entries * bits(self.dtype).unwrap_or(8) / 8
    }
}

/// Writes a file, the widest types first, so that all tensors are aligned. Returns its size.
pub(super) fn save(
    path: &Path,
    metadata: &[(&str, &str)],
    mut tensors: Vec<Tensor<'_>>,
    host: &Host,
) -> Result<u64> {
    tensors.sort_by_key(|tensor| std::cmp::Reverse(bits(tensor.dtype)));
    let declared: Vec<Declared<'_>> = tensors
        .iter()
        .map(|t| Declared { name: &t.name, dtype: t.dtype, shape: &t.shape, bytes: t.bytes() })
        .collect();
    let header = container::header(metadata, &declared)?.len() as u64;
    write_atomic(path, |out| -> Result<()> {
        container::write(out, path, metadata, &declared, |i, out| {
            host.cancel.check()?;
            (tensors[i].write)(out).map_err(|e| Error::io(path, e))
        })
    })?;
    Ok(header + tensors.iter().map(Tensor::bytes).sum::<u64>())
}

/// Writes whole numbers of four bytes.
pub(super) fn write_i32(out: &mut dyn Write, numbers: impl Iterator<Item = u32>) -> io::Result<()> {
    write_chunks(out, numbers.map(u32::to_le_bytes))
}

/// Writes numbers of `N` bytes through a small buffer.
pub(super) fn write_chunks<const N: usize>(
    out: &mut dyn Write,
    numbers: impl Iterator<Item = [u8; N]>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for number in numbers {
        buffer.extend(number);
        if buffer.len() + N > 1 << 16 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}
