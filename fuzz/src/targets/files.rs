//! Files of tensors that others write: any safetensors file, adapters of peft, masks of the published code.

use candle_core::{DType, Tensor};
use lota_runtime::data::TensorFile;
use lota_runtime::lora::{Adapter, CONFIG, WEIGHTS};
use lota_runtime::mask::Mask;

use super::{bits, halves};
use crate::{place, published_universe};

/// A safetensors file of anything.
pub fn tensors(bytes: &[u8]) -> bool {
    let path = place::file("any.safetensors", bytes);
    let Ok(mut file) = TensorFile::open(&path) else { return false };
    for entry in file.header().tensors.clone() {
        if let Ok(tensor) = file.read(&entry) {
            assert_eq!(tensor.dims(), entry.shape);
        }
    }
    true
}

/// An adapter's folder: its configuration, a zero, its weights.
pub fn adapter(bytes: &[u8]) -> bool {
    let (config, weights) = halves(bytes);
    let config = place::file(&format!("adapter/{CONFIG}"), config);
    place::file(&format!("adapter/{WEIGHTS}"), weights);
    let Ok(adapter) = Adapter::load(config.parent().expect("has a folder")) else { return false };
    let folder = place::path("adapter-written");
    adapter.save(&folder, DType::F32, &place::host()).expect("writes what it read");
    let again = Adapter::load(&folder).expect("reads what it wrote");
    assert_eq!(contents(&adapter), contents(&again), "another adapter after writing");
    true
}

type Contents = (Vec<(String, Vec<u32>, Vec<u32>, u64, bool)>, Vec<(String, Vec<u32>)>);

fn contents(adapter: &Adapter) -> Contents {
    let modules = adapter.modules.iter();
    let modules =
        modules.map(|m| (m.name.clone(), numbers(&m.a), numbers(&m.b), m.scale.to_bits(), m.transposed));
    let mut replaced: Vec<_> =
        adapter.replaced.iter().map(|r| (r.param.clone(), numbers(&r.values))).collect();
    replaced.sort();
    (modules.collect(), replaced)
}

fn numbers(tensor: &Tensor) -> Vec<u32> {
    bits(&tensor.flatten_all().and_then(|t| t.to_vec1()).expect("numbers"))
}

/// A mask as PyTorch wrote it.
pub fn published(bytes: &[u8]) -> bool {
    let path = place::file("mask.pt", bytes);
    let read = |inverted| {
        let mask = Mask::load_published(&path, published_universe(), inverted);
        if let Ok(mask) = &mask {
            assert!(mask.count() <= published_universe().entries());
        }
        mask.is_ok()
    };
    read(true) | read(false)
}
