//! Writing safetensors files: the header first, then tensor by tensor, none of which need be in memory as a whole.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Entry, MAX_HEADER, METADATA, check};
use crate::{Error, Result};

/// A tensor that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its entries, as safetensors spells it.
    pub dtype: &'a str,
    /// Its dimensions.
    pub shape: &'a [usize],
    /// The number of its bytes.
    pub bytes: u64,
}

/// The beginning of a file: the length of the header and the header. The bytes of the tensors follow it in this
/// order, the first at a multiple of 8 bytes, so that a mapped file can be used in place.
///
/// # Errors
///
/// Tensors that a reader would refuse: two of one name, or one whose shape and type do not give its bytes.
pub fn header(metadata: &[(&str, &str)], tensors: &[Declared<'_>]) -> Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        let texts = metadata.iter().map(|&(key, value)| (key.to_string(), json!(value)));
        header.insert(METADATA.into(), Value::Object(texts.collect()));
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(tensors.len());
    for &Declared { name, dtype, shape, bytes } in tensors {
        let begin = entries.last().map_or(0, |last| last.end);
        let end = begin + bytes;
        header.insert(
            name.to_string(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, end] }),
        );
        let (name, dtype, shape) = (name.to_string(), dtype.to_string(), shape.to_vec());
        entries.push(Entry { name, dtype, shape, begin, end });
    }
    let refused =
        |what: String| Error::argument(format!("a file that no reader takes was to be written: {what}"));
    check(&entries, 0).map_err(refused)?;
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() as u64 > MAX_HEADER {
        return Err(refused(format!("its header has {} bytes; at most {MAX_HEADER} are read", text.len())));
    }
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    Ok(out)
}

/// Writes a file to `out`: the header, then the bytes of tensor `i` as `fill(i, out)` writes them. `path` is for
/// messages.
///
/// # Errors
///
/// Those of [`header`] and of `fill`; and a tensor for which `fill` writes more or fewer bytes than declared.
pub fn write<E: From<Error>>(
    out: &mut dyn Write,
    path: &Path,
    metadata: &[(&str, &str)],
    tensors: &[Declared<'_>],
    mut fill: impl FnMut(usize, &mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    out.write_all(&header(metadata, tensors)?).map_err(|e| Error::io(path, e))?;
    for (i, tensor) in tensors.iter().enumerate() {
        exactly(out, tensor, |out| fill(i, out))?;
    }
    Ok(())
}

/// Passes bytes on and counts them.
struct Counting<'a> {
    inner: &'a mut dyn Write,
    count: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Has `fill` write the bytes of one tensor.
///
/// # Errors
///
/// Those of `fill`; and more or fewer bytes than declared, which would shift all tensors behind this one.
pub fn exactly<E: From<Error>>(
    out: &mut dyn Write,
    tensor: &Declared<'_>,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut counting = Counting { inner: out, count: 0 };
    fill(&mut counting)?;
    let count = counting.count;
    if count == tensor.bytes {
        return Ok(());
    }
    let Declared { name, bytes, .. } = tensor;
    Err(Error::argument(format!("tensor {name} was to have {bytes} bytes, and {count} were written")).into())
}
