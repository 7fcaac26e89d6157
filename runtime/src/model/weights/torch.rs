//! The tensors of a file that `torch.save` wrote of a state dict, as they lie in it: records of the zip archive are not
//! packed, so that they are read where they are mapped.

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::Mapped;
use crate::host::read_foreign;
use crate::model::torch::{Described, begins_as_zip, open_zip};
use crate::{Error, Result};

/// A tensor, and where its entries lie in the file.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) described: Described,
    /// The byte at which its first entry begins.
    pub(super) begin: usize,
    /// The byte before which its last one ends.
    pub(super) end: usize,
}

/// Whether a file of this name is one that torch writes.
pub(super) fn is_torch(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["bin", "pt", "pth"].iter().any(|known| e == *known))
}

/// The tensors of a file, in the order in which it lists them.
///
/// # Errors
///
/// The file is none of torch's, or of its format before version 1.6; it holds something else than tensors under names; or a
/// tensor goes past the end of its record.
pub(super) fn listed(path: &Path, map: &Mapped) -> Result<Vec<Place>> {
    if !begins_as_zip(map) {
        let what = if map.starts_with(b"\x80") {
            "is of the format that torch wrote before version 1.6, or a bare pickle, which is not read for weights: load \
             it with torch and save it again, best as safetensors"
        } else {
            "is not a file of tensors as torch.save writes it: it does not begin as a zip archive"
        };
        return Err(Error::format(path, what));
    }
    let (mut archive, root, value) = open_zip(path, Cursor::new(&map[..]))?;
    let pairs = value
        .pairs()
        .ok_or_else(|| Error::format(path, "holds no dictionary of names and tensors: save a state dict"))?;
    let mut records: HashMap<String, (usize, usize)> = HashMap::new();
    let mut places = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let key =
            key.text().ok_or_else(|| Error::format(path, "has a key that is not the name of a tensor"))?;
        let under = |why: String| Error::format(path, format!("under {key:?}: {why}"));
        let described = Described::of(value).map_err(under)?;
        let (start, size) = match records.get(&described.record) {
            Some(known) => *known,
            None => {
                let place = read_foreign(path, "a zip archive", || {
                    record(&mut archive, &format!("{root}{}", described.record), map.len()).map_err(under)
                })?;
                records.insert(described.record.clone(), place);
                place
            }
        };
        let (begin, end) = extent(&described).map_err(under)?;
        if end > size {
            return Err(under(format!("goes past the end of its storage, which has {size} bytes")));
        }
        places.push(Place { name: key.to_string(), described, begin: start + begin, end: start + end });
    }
    Ok(places)
}

/// Where the bytes of a record lie in the file, and how many they are.
fn record(
    archive: &mut ZipArchive<impl Read + Seek>,
    name: &str,
    file: usize,
) -> Result<(usize, usize), String> {
    let entry = archive.by_name(name).map_err(|e| format!("its storage {name}: {e}"))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(format!("its storage {name} is packed, which torch does not do: save the file again"));
    }
    let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
    let size = usize::try_from(entry.size()).ok().filter(|_| entry.size() == entry.compressed_size());
    let place =
        start.zip(size).filter(|(start, size)| start.checked_add(*size).is_some_and(|end| end <= file));
    place.ok_or_else(|| {
        format!("its storage {name} goes past the end of the file: it is truncated or damaged")
    })
}

/// The bytes of its storage between which the entries of a tensor lie.
fn extent(tensor: &Described) -> Result<(usize, usize), String> {
    let large = || format!("has shape {:?}, which cannot be", tensor.shape);
    let count = tensor.count().ok_or_else(large)?;
    if count == 0 {
        return Ok((0, 0));
    }
    let begin = tensor.offset.checked_mul(tensor.width).ok_or_else(large)?;
    let end = tensor.reach().and_then(|end| end.checked_mul(tensor.width)).ok_or_else(large)?;
    // Entries that are said again and again cost nothing in the file, and what they stand for may be any size.
    if count > (end - begin) / tensor.width {
        return Err(format!(
            "of shape {:?} repeats what it stores (steps of {:?}): save a contiguous copy",
            tensor.shape, tensor.stride
        ));
    }
    Ok((begin, end))
}
