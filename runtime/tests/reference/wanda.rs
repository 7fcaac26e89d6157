//! Wanda (arXiv 2306.11695) on SmolLM2-135M against values made with PyTorch: the norms of the inputs of all linear layers,
//! and row-wise masks of five matrices. The tolerances are those that the reference states.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use lota_runtime::host::Host;
use lota_runtime::mask::{Budget, Scope, top};
use lota_runtime::stats::{Kind, Wanted, collect};
use lota_runtime::vectors::Values;

use crate::data::Need;
use crate::methods::setup;

fn file(name: &str) -> HashMap<String, Tensor> {
    let path = Need::Shared.path().join("oracles/methods").join(name);
    candle_core::safetensors::load(path, &Device::Cpu).expect("reads")
}

pub fn has_the_input_norms_and_masks_of_wanda() {
    let setup = setup();
    let (model, host) = (&setup.model, Host::default());
    let layers = model.decoder.linear_layers();
    let wanted =
        Wanted { kinds: vec![Kind::InputNorm], modules: layers.iter().map(|layer| layer.weight).collect() };
    let batches = &setup.gsm8k[..4];
    let stats = collect(&model.exec, &host, &model.decoder, &model.params, batches, &wanted, None);
    let stats = stats.expect("gathers");
    assert_eq!(stats.about().tokens, 3202);

    let norms = file("wanda_norms.safetensors");
    assert_eq!(norms.len(), layers.len());
    let mut worst = 0f64;
    for (_, spec, ours) in stats.of(Kind::InputNorm) {
        let module = spec.name.trim_end_matches(".weight");
        let (ours, theirs): (Vec<f32>, Vec<f32>) =
            (ours.to_vec1().expect("numbers"), norms[module].to_vec1().expect("numbers"));
        assert_eq!(ours.len(), theirs.len(), "{module}");
        for (a, b) in ours.iter().zip(&theirs) {
            worst = worst.max((f64::from(*a) / f64::from(*b) - 1.0).abs());
        }
    }
    println!("input norms: largest relative difference {worst:e}");
    assert!(worst <= 1e-4, "input norms differ by {worst:e}");

    let masks = file("wanda_masks.safetensors");
    let universe = model.params.universe();
    let scores = Values::from_fn(universe.clone(), |i, spec| {
        if !masks.contains_key(spec.name.trim_end_matches(".weight")) {
            return Ok(None);
        }
        let norm = stats.get(Kind::InputNorm, i).expect("every linear layer has one");
        Ok(Some(model.params.get(i).abs()?.broadcast_mul(norm)?))
    })
    .expect("scores");
    let mask = top(&scores, Budget::Density(0.5), Scope::PerRow, None, None, true, &host).expect("selects");
    for (module, bits) in &masks {
        let ours = mask.set_of(&format!("{module}.weight")).expect("a parameter");
        let bytes: Vec<u8> = bits.to_vec1().expect("bytes");
        let theirs = (0..8 * bytes.len() as u32).filter(|i| bytes[*i as usize / 8] >> (i % 8) & 1 == 1);
        let theirs: roaring::RoaringBitmap = theirs.collect();
        let index = ours.intersection_len(&theirs) as f64 / ours.union_len(&theirs) as f64;
        println!("{module}: Jaccard index {index}");
        assert_eq!(ours.len(), theirs.len(), "{module}");
        assert!(index >= 0.9999, "{module}: Jaccard index {index}");
    }
}
