//! Masks in the format of the paper's published code: a PyTorch file that holds a dictionary from
//! parameter names to tensors of noughts and ones.
//!
//! That code stores the opposite of a mask: one means *frozen*. Reading inverts it, unless the caller says that the
//! file is not inverted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::Mask;
use super::bits::{Piece, to_bitmap};
use crate::model::Universe;
use crate::model::torch::{Container, Described, Records, Value, next};
use crate::{Error, Result};

/// A tensor as the pickle describes it.
struct Stored {
    tensor: Described,
    /// The bytes of a one.
    one: &'static [u8],
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
            tensors.iter().map(|(_, stored)| (stored.tensor.record.as_str(), stored.one.len())).collect();
        records.locate(&widths)?;
        // Of each storage, as much is read as its tensors reach.
        let mut reach: HashMap<&str, usize> = HashMap::new();
        for (key, stored) in &tensors {
            let end = stored.end(universe).map_err(|why| under(key, why))?;
            let most = reach.entry(&stored.tensor.record).or_default();
            *most = end.max(*most);
        }
        let mut sets = vec![RoaringBitmap::new(); universe.len()];
        let mut seen = vec![false; universe.len()];
        for (key, stored) in &tensors {
            let index = find(universe, key);
            if let Some(spec) =
                index.map(|index| universe.spec(index)).filter(|spec| spec.shape != stored.tensor.shape)
            {
                return Err(Error::mismatch(format!(
                    "{}: parameter {} has shape {:?} in the file and {:?} in the model",
                    path.display(),
                    spec.name,
                    stored.tensor.shape,
                    spec.shape
                )));
            }
            let set = stored
                .read(&mut records, reach[stored.tensor.record.as_str()], inverted)?
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
        let tensor = Described::of(value)?;
        let one: &[u8] = match tensor.dtype {
            "BOOL" | "U8" | "I8" => &[1],
            "I16" => &[1, 0],
            "I32" => &[1, 0, 0, 0],
            "I64" => &[1, 0, 0, 0, 0, 0, 0, 0],
            "F16" => &[0x00, 0x3c],
            "BF16" => &[0x80, 0x3f],
            "F32" => &[0, 0, 0x80, 0x3f],
            "F64" => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
            other => return Err(format!("is of type {other}, which no mask is made of")),
        };
        if tensor.shape.is_empty() {
            return Err("has shape []".into());
        }
        Ok(Self { tensor, one })
    }

    /// The selected entries, or what is wrong with the tensor.
    fn read(
        &self,
        records: &mut Records,
        reach: usize,
        inverted: bool,
    ) -> Result<Result<RoaringBitmap, String>> {
        Ok(self.set(records.read(&self.tensor.record, reach)?, inverted))
    }

    /// The number of entries.
    fn count(&self) -> Option<usize> {
        self.tensor.count().filter(|&n| n as u64 <= 1 << 32)
    }

    /// Where the last entry ends in the storage, in bytes. A tensor that has more entries than the model, or reaches over
    /// more than twice as many, is refused: what it would take to read it is not for the file to say.
    fn end(&self, universe: &Universe) -> Result<usize, String> {
        let most = usize::try_from(universe.entries()).unwrap_or(usize::MAX);
        let count = self.count().filter(|&n| n <= most);
        let count =
            count.ok_or_else(|| format!("has shape {:?}, more than the whole model", self.tensor.shape))?;
        if count == 0 {
            return Ok(0);
        }
        let end = self.tensor.reach().filter(|&end| end <= most.saturating_mul(2));
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
        if self.tensor.reach().and_then(|end| end.checked_mul(size)).is_none_or(|end| end > bytes.len()) {
            return Err("goes past the end of its storage".into());
        }
        let mut set = RoaringBitmap::new();
        let mut place = vec![0usize; self.tensor.shape.len()];
        let mut at = self.tensor.offset;
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
                at = next(&self.tensor.shape, &self.tensor.stride, &mut place, at);
            }
            set |= to_bitmap(piece.start, words);
        }
        Ok(set)
    }
}
