//! Masks in the format of the paper's published code: a PyTorch file that holds a dictionary from
//! parameter names to tensors of noughts and ones.
//!
//! That code stores the opposite of a mask: one means *frozen*. Reading inverts it, unless the caller says that the
//! file is not inverted.

mod container;
mod pickle;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use self::container::{Container, Records};
use self::pickle::Value;
use super::Mask;
use super::bits::{Piece, to_bitmap};
use crate::model::Universe;
use crate::{Error, Result};

/// A tensor as the pickle describes it.
struct Stored {
    /// The record that holds its storage.
    record: String,
    /// The bytes of an entry, and the bytes of a one.
    one: &'static [u8],
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Mask {
    /// Reads a mask that `torch.save` wrote (of any version since 0.2), of booleans, whole numbers
    /// or floats that are 0 or 1, however their tensors lie in memory. Nothing in the file is run.
    ///
    /// With `inverted`, as in the published code, a one means frozen. Parameters that the file does
    /// not name are not in the mask (the published code would train them whole). Names may carry what
    /// wrappers add (`module.`, `_orig_mod.` and the like) and may lack or carry `model.` in front.
    pub fn load_published(path: &Path, universe: &Arc<Universe>, inverted: bool) -> Result<Self> {
        let Container { value, mut records } = Container::open(path)?;
        let pairs = value.pairs();
        let pairs =
            pairs.ok_or_else(|| Error::format(path, "holds no dictionary of parameter names and tensors"))?;
        let under = |key: &str, why: String| Error::format(path, format!("under {key:?}: {why}"));
        let describe = |(key, value): &(Value, Value)| -> Result<(String, Stored)> {
            let key = key.text();
            let key =
                key.ok_or_else(|| Error::format(path, "has a key that is not the name of a parameter"))?;
            Ok((key.to_string(), Stored::of(value).map_err(|why| under(key, why))?))
        };
        let tensors: Vec<(String, Stored)> = pairs.iter().map(describe).collect::<Result<_>>()?;
        let widths: HashMap<&str, usize> =
            tensors.iter().map(|(_, stored)| (stored.record.as_str(), stored.one.len())).collect();
        records.locate(&widths)?;
        // Of each storage, as much is read as its tensors reach.
        let mut reach: HashMap<&str, usize> = HashMap::new();
        for (key, stored) in &tensors {
            let end = stored.end(universe).map_err(|why| under(key, why))?;
            let most = reach.entry(&stored.record).or_default();
            *most = end.max(*most);
        }
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        let mut seen = vec![false; universe.len()];
        for (key, stored) in &tensors {
            let index = find(universe, key);
            if let Some(spec) =
                index.map(|index| universe.spec(index)).filter(|spec| spec.shape != stored.shape)
            {
                return Err(Error::mismatch(format!(
                    "{}: parameter {} has shape {:?} in the file and {:?} in the model",
                    path.display(),
                    spec.name,
                    stored.shape,
                    spec.shape
                )));
            }
            let set = stored
                .read(&mut records, reach[stored.record.as_str()], inverted)?
                .map_err(|why| under(key, why))?;
            let Some(index) = index else {
                // A tied head, say, that is frozen throughout.
                if set.is_empty() {
                    continue;
                }
                return Err(Error::mismatch(format!(
                    "{}: {key:?} is no parameter of this model, and some of it is in the mask",
                    path.display()
                )));
            };
            let spec = universe.spec(index);
            if std::mem::replace(&mut seen[index], true) {
                return Err(Error::format(path, format!("names parameter {} twice", spec.name)));
            }
            sets[index] = set;
        }
        if !seen.contains(&true) {
            return Err(Error::mismatch(format!("{}: names no parameter of this model", path.display())));
        }
        Ok(Self::from_sets(universe.clone(), sets))
    }
}

/// The parameter that a name in the file means.
fn find(universe: &Universe, name: &str) -> Option<usize> {
    let mut bare = name.to_string();
    for wrapper in ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."] {
        bare = bare.replace(wrapper, "");
    }
    let bare = bare.trim_start_matches("module.");
    let with = format!("model.{bare}");
    let without = bare.strip_prefix("model.");
    [Some(bare), Some(with.as_str()), without].into_iter().flatten().find_map(|name| universe.index_of(name))
}

impl Stored {
    /// The tensor that a value describes.
    fn of(value: &Value) -> Result<Self, String> {
        if value.pairs().is_some() {
            return Err("is a dictionary, not a tensor: save the inner dictionary by itself".into());
        }
        let (mut function, mut args) = value.call().ok_or("is not a tensor")?;
        if function == "_rebuild_parameter" {
            let inner = args.first().and_then(Value::call);
            (function, args) = inner.ok_or("is not a tensor")?;
        }
        let [storage, offset, shape, stride, ..] = args else { return Err("is not a tensor".into()) };
        if function != "_rebuild_tensor_v2" {
            return Err(format!("is made by {function}, not a plain tensor"));
        }
        let Value::Persistent(storage, _) = storage else { return Err("has no storage".into()) };
        let Some([_, Value::Global(class), record, ..]) = storage.items() else {
            return Err("has no storage".into());
        };
        let one: &[u8] = match class.1.as_str() {
            "BoolStorage" | "ByteStorage" | "CharStorage" => &[1],
            "ShortStorage" => &[1, 0],
            "IntStorage" => &[1, 0, 0, 0],
            "LongStorage" => &[1, 0, 0, 0, 0, 0, 0, 0],
            "HalfStorage" => &[0x00, 0x3c],
            "BFloat16Storage" => &[0x80, 0x3f],
            "FloatStorage" => &[0, 0, 0x80, 0x3f],
            "DoubleStorage" => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
            other => return Err(format!("holds {other}, which no mask is made of")),
        };
        let parts = (|| Some((record.text()?, offset.size()?, shape.sizes()?, stride.sizes()?)))();
        let (record, offset, shape, stride) = parts.ok_or("is described in an unknown way")?;
        if shape.len() != stride.len() || shape.is_empty() {
            return Err(format!("has shape {shape:?}"));
        }
        Ok(Self { record: record.to_string(), one, offset, shape, stride })
    }

    /// The selected entries, or what is wrong with the tensor.
    fn read(
        &self,
        records: &mut Records,
        reach: usize,
        inverted: bool,
    ) -> Result<Result<RoaringBitmap, String>> {
        Ok(self.set(records.read(&self.record, reach)?, inverted))
    }

    /// The number of entries.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n as u64 <= 1 << 32)
    }

    /// Where the last entry ends in the storage, in entries; no dimension is empty.
    fn reach(&self) -> Option<usize> {
        let mut dims = self.shape.iter().zip(&self.stride);
        dims.try_fold(self.offset, |at, (&d, &s)| at.checked_add((d - 1).checked_mul(s)?))?.checked_add(1)
    }

    /// Where the last entry ends in the storage, in bytes. A tensor that has more entries than the model, or reaches over
    /// more than twice as many, is refused: what it would take to read it is not for the file to say.
    fn end(&self, universe: &Universe) -> Result<usize, String> {
        let most = usize::try_from(universe.entries()).unwrap_or(usize::MAX);
        let count = self.count().filter(|&n| n <= most);
        let count = count.ok_or_else(|| format!("has shape {:?}, more than the whole model", self.shape))?;
        if count == 0 {
            return Ok(0);
        }
        let end = self.reach().filter(|&end| end <= most.saturating_mul(2));
        end.map(|end| end * self.one.len()).ok_or_else(|| {
            "lies in a storage much larger than the model: save a copy of the tensor".to_string()
        })
    }

    fn set(&self, bytes: &[u8], inverted: bool) -> Result<RoaringBitmap, String> {
        let size = self.one.len();
        let count = self.count().ok_or("is too large")?;
        if count == 0 {
            return Ok(RoaringBitmap::new());
        }
        if self.reach().and_then(|end| end.checked_mul(size)).is_none_or(|end| end > bytes.len()) {
            return Err("goes past the end of its storage".into());
        }
        let mut set = RoaringBitmap::new();
        let mut place = vec![0usize; self.shape.len()];
        let mut at = self.offset;
        for piece in Piece::of(0, count as u64) {
            let mut words = vec![0u64; piece.words()];
            for i in 0..piece.len {
                let entry = &bytes[at * size..(at + 1) * size];
                let one = if entry == self.one {
                    true
                } else if entry.iter().all(|&b| b == 0) {
                    false
                } else {
                    return Err("holds something besides 0 and 1, so it is no mask".into());
                };
                words[i / 64] |= u64::from(one != inverted) << (i % 64);
                at = self.next(&mut place, at);
            }
            set |= to_bitmap(piece.start, words);
        }
        Ok(set)
    }

    /// Steps `place` to the next entry in row-major order and returns where it lies.
    fn next(&self, place: &mut [usize], mut at: usize) -> usize {
        for (d, place) in place.iter_mut().enumerate().rev() {
            *place += 1;
            at += self.stride[d];
            if *place < self.shape[d] {
                break;
            }
            at -= *place * self.stride[d];
            *place = 0;
        }
        at
    }
}
