//! Hashes: of the weights in a mask, or of those outside, the proof that frozen entries kept every bit; of a mask; of a tensor.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use roaring::RoaringBitmap;

use super::Mask;
use super::build::whole;
use crate::Result;
use crate::host::Host;
use crate::model::Params;

/// Which entries are hashed.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All.
    All,
    /// Those in a mask.
    In(&'a Mask),
    /// Those that are not in a mask.
    Outside(&'a Mask),
}

/// A hash of the names, shapes, types and bits of part of a model's weights, in hexadecimal. Two
/// hashes of the same part are equal when every bit is.
pub fn hash(params: &Params, part: Part<'_>, host: &Host) -> Result<String> {
    if let Part::In(mask) | Part::Outside(mask) = part {
        mask.universe().check_same(params.universe())?;
    }
    let one = |index: usize| -> Result<[u8; 32]> {
        host.cancel.check()?;
        let (spec, tensor) = (params.universe().spec(index), params.get(index));
        let mut hasher = blake3::Hasher::new();
        hasher.update(spec.name.as_bytes());
        hasher.update(format!("\0{:?} {}\0", spec.shape, tensor.dtype().as_str()).as_bytes());
        match part {
            Part::All => update(&mut hasher, tensor, None)?,
            Part::In(mask) => update(&mut hasher, tensor, Some(mask.set(index)))?,
            Part::Outside(mask) if mask.set(index).is_empty() => update(&mut hasher, tensor, None)?,
            Part::Outside(mask) => update(&mut hasher, tensor, Some(&(whole(spec) - mask.set(index))))?,
        }
        Ok(*hasher.finalize().as_bytes())
    };
    let hashes: Vec<Result<[u8; 32]>> = (0..params.universe().len()).into_par_iter().map(one).collect();
    let mut all = blake3::Hasher::new();
    for hash in hashes {
        all.update(&hash?);
    }
    Ok(all.finalize().to_hex().to_string())
}

impl Mask {
    /// A hash of the parameters' names and shapes and of which entries the mask holds, in hexadecimal: equal for equal masks.
    pub fn fingerprint(&self) -> String {
        let mut all = blake3::Hasher::new();
        all.update(self.universe().fingerprint().as_bytes());
        let mut bytes = Vec::with_capacity(4 * PIECE);
        for set in self.sets() {
            all.update(&set.len().to_le_bytes());
            let mut entries = set.iter();
            loop {
                bytes.clear();
                bytes.extend(entries.by_ref().take(PIECE).flat_map(u32::to_le_bytes));
                if bytes.is_empty() {
                    break;
                }
                all.update(&bytes);
            }
        }
        all.finalize().to_hex().to_string()
    }
}

/// A hash of a tensor's shape, type and numbers, in hexadecimal. Whole numbers count as their f64, others as their f32
/// (f64 as itself), which keeps every bit of a half type.
pub fn hash_tensor(tensor: &Tensor) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?} {}\0", tensor.dims(), tensor.dtype().as_str()).as_bytes());
    if matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16) {
        update(&mut hasher, tensor, None)?;
    } else {
        for value in tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()? {
            hasher.update(&value.to_le_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Entries hashed at a time.
const PIECE: usize = 1 << 16;

/// Adds the bits of a tensor's entries, all or those of a set, and how many they are. bf16 becomes
/// f32 on the way, which keeps every bit.
fn update(hasher: &mut blake3::Hasher, tensor: &Tensor, set: Option<&RoaringBitmap>) -> Result<()> {
    let flat = tensor.flatten_all()?;
    let total = flat.elem_count();
    hasher.update(&set.map_or(total as u64, RoaringBitmap::len).to_le_bytes());
    let mut bytes = Vec::with_capacity(4 * PIECE);
    for start in (0..total).step_by(PIECE) {
        let len = PIECE.min(total - start);
        let range = start as u32..=(start + len - 1) as u32;
        if set.is_some_and(|set| set.range_cardinality(range.clone()) == 0) {
            continue;
        }
        let values = flat.narrow(0, start, len)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        bytes.clear();
        match set {
            None => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Some(set) => {
                bytes.extend(set.range(range).flat_map(|i| values[i as usize - start].to_le_bytes()));
            }
        }
        hasher.update(&bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;

    use super::*;
    use crate::model::{ParamSpec, Role, Universe};

    fn model(change: Option<usize>) -> Params {
        let shape = vec![300, 700];
        let spec = ParamSpec { name: "a.weight".into(), shape, role: Role::Mlp, layer: None };
        let universe = Universe::new(vec![spec]).expect("valid");
        let mut values: Vec<f32> = (0..210_000).map(|i| i as f32 * 0.5).collect();
        if let Some(i) = change {
            values[i] = -values[i] - 1.0;
        }
        let tensor = Tensor::from_vec(values, (300, 700), &Device::Cpu).expect("a tensor");
        Params::new(universe, vec![tensor]).expect("params")
    }

    fn mask(params: &Params) -> Mask {
        let set = (0..210_000).step_by(3).collect();
        Mask::new(Arc::clone(params.universe()), vec![set]).expect("fits")
    }

    #[test]
    fn equal_masks_and_tensors_have_one_hash_and_others_another() {
        let params = model(None);
        let (one, same) = (mask(&params), mask(&params));
        let other = Mask::new(Arc::clone(params.universe()), vec![(0..210_000).step_by(5).collect()]);
        assert_eq!(one.fingerprint(), same.fingerprint());
        assert_ne!(one.fingerprint(), other.expect("fits").fingerprint());
        assert_ne!(one.fingerprint(), Mask::none(Arc::clone(params.universe())).fingerprint());
        let tensor = |values: &[i64], shape: (usize, usize)| {
            hash_tensor(&Tensor::from_slice(values, shape, &Device::Cpu).expect("a tensor")).expect("hashes")
        };
        assert_eq!(tensor(&[1, 2], (1, 2)), tensor(&[1, 2], (1, 2)));
        assert_ne!(tensor(&[1, 2], (1, 2)), tensor(&[1, 2], (2, 1)));
        assert_ne!(tensor(&[1, 2], (1, 2)), tensor(&[1, 3], (1, 2)));
    }

    #[test]
    fn a_changed_entry_changes_the_hash_of_its_part_only() {
        let (old, inside, outside) = (model(None), model(Some(150_000)), model(Some(150_001)));
        let mask = mask(&old);
        let of = |params: &Params, part| hash(params, part, &Host::default()).expect("hashes");
        assert_ne!(of(&old, Part::All), of(&inside, Part::All));
        assert_ne!(of(&old, Part::In(&mask)), of(&inside, Part::In(&mask)));
        assert_eq!(of(&old, Part::Outside(&mask)), of(&inside, Part::Outside(&mask)));
        assert_eq!(of(&old, Part::In(&mask)), of(&outside, Part::In(&mask)));
        assert_ne!(of(&old, Part::Outside(&mask)), of(&outside, Part::Outside(&mask)));
    }
}
