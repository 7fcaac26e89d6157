//! The fingerprint of a model: which weights these are, whatever file or type they came from.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{ParamSpec, Params};
use crate::ops::Exec;
use crate::{Error, Result};

/// Entries hashed at a time.
const CHUNK: usize = 1 << 15;

impl Params {
    /// A blake3 hash, in hexadecimal, of the names, shapes and values (as f32 bits) of all
    /// parameters in order, and of the scales of attached factors. It is computed once and again only after a change (see
    /// [`Params::touch`]).
    pub fn fingerprint(&self, exec: &Exec) -> Result<String> {
        let version = self.version();
        if let Ok(known) = self.known.lock()
            && let Some((of, hash)) = known.as_ref()
            && *of == version
        {
            return Ok(hash.clone());
        }
        let specs = self.universe().specs();
        let hashes = exec.run(|| {
            specs.par_iter().zip(self.tensors()).map(|(s, t)| hash_param(s, t)).collect::<Result<Vec<_>>>()
        })?;
        let hash = combine(&hashes, self.scales());
        if let Ok(mut known) = self.known.lock() {
            *known = Some((version, hash.clone()));
        }
        Ok(hash)
    }
}

/// The hash of one parameter.
fn hash_param(spec: &ParamSpec, tensor: &Tensor) -> Result<blake3::Hash> {
    hash_values(spec, |visit| {
        each_chunk(tensor, |values| {
            visit(values);
            Ok(())
        })
    })
}

/// The hash of one parameter, whose values `each` gives to what it is handed, in order and a piece
/// at a time.
pub(super) fn hash_values(
    spec: &ParamSpec,
    each: impl FnOnce(&mut dyn FnMut(&[f32])) -> Result<()>,
) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(spec.name.len() as u64).to_le_bytes());
    hasher.update(spec.name.as_bytes());
    hasher.update(&(spec.shape.len() as u64).to_le_bytes());
    for &dim in &spec.shape {
        hasher.update(&(dim as u64).to_le_bytes());
    }
    let mut buffer = Vec::with_capacity(CHUNK * 4);
    each(&mut |values| {
        buffer.clear();
        buffer.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        hasher.update(&buffer);
    })?;
    Ok(hasher.finalize())
}

/// The fingerprint of a model of the hashes of its parameters, in order, and the scales of its factors.
pub(super) fn combine(hashes: &[blake3::Hash], scales: &[f32]) -> String {
    let mut all = blake3::Hasher::new();
    for hash in hashes {
        all.update(hash.as_bytes());
    }
    all.update(bytemuck::cast_slice(scales));
    all.finalize().to_hex().to_string()
}

/// Gives the values of a tensor, as f32 and in order, to `work`, a piece at a time.
pub(crate) fn each_chunk(tensor: &Tensor, mut work: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
    let tensor = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    let (storage, layout) = tensor.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        return Err(Error::argument("the tensor did not come to the CPU"));
    };
    let (begin, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| Error::argument("a parameter is not contiguous in memory"))?;
    let mut buffer = Vec::with_capacity(CHUNK);
    match tensor.dtype() {
        DType::F32 => storage.as_slice::<f32>()?[begin..end].chunks(CHUNK).try_for_each(work),
        DType::BF16 => storage.as_slice::<half::bf16>()?[begin..end].chunks(CHUNK).try_for_each(|chunk| {
            buffer.clear();
            buffer.extend(chunk.iter().map(|v| v.to_f32()));
            work(&buffer)
        }),
        other => Err(Error::argument(format!("a parameter is held as {}", other.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, Universe};
    use super::*;

    fn params(names: [&str; 2], values: [f32; 4]) -> Params {
        let spec = |name: &str| ParamSpec {
            name: name.to_string(),
            shape: vec![2, 1],
            role: Role::Mlp,
            layer: None,
        };
        let tensor =
            |v: &[f32]| Tensor::new(v, &Device::Cpu).and_then(|t| t.reshape((2, 1))).expect("tensor");
        let universe = Universe::new(names.map(spec).to_vec()).expect("valid");
        Params::new(universe, vec![tensor(&values[..2]), tensor(&values[2..])]).expect("fits")
    }

    #[test]
    fn names_and_values_count_and_types_do_not() {
        let exec = Exec::cpu();
        let print = |p: &Params| p.fingerprint(&exec).expect("hashes");
        let a = params(["a", "b"], [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(print(&a), print(&a.copy().expect("copies")));
        assert_ne!(print(&a), print(&params(["a", "c"], [1.0, 2.0, 3.0, 4.0])));
        assert_ne!(print(&a), print(&params(["a", "b"], [1.0, 2.0, 4.0, 3.0])));
        let halves = a.tensors().iter().map(|t| t.to_dtype(DType::BF16).expect("converts")).collect();
        assert_eq!(print(&a), print(&Params::new(a.universe().clone(), halves).expect("fits")));
    }

    #[test]
    fn a_change_is_seen_also_through_a_clone() {
        let exec = Exec::cpu();
        let a = params(["a", "b"], [1.0, 2.0, 3.0, 4.0]);
        let before = a.fingerprint(&exec).expect("hashes");
        let mut b = a.clone();
        assert_eq!(b.fingerprint(&exec).expect("hashes"), before);
        b.set(0, Tensor::zeros((2, 1), DType::F32, &Device::Cpu).expect("zeros")).expect("fits");
        assert_ne!(b.fingerprint(&exec).expect("hashes"), before);
        assert_eq!(a.fingerprint(&exec).expect("hashes"), before);
    }
}
