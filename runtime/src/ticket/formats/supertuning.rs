//! peft's Super-Tuning: for each linear layer `supertuning_indices`, flat positions, and `supertuning_values`, differences
//! that are added.
//!
//! peft demands exactly `int(out · in · (1 − sparsity))` entries of each layer, with one sparsity for all: what is over is
//! filled up with an entry that is there already and the difference 0.

use std::path::Path;

use serde_json::json;

use super::super::file::Saved;
use super::peft::{self, Kind};
use super::tensors::{Tensor, write_i32};
use super::{Base, Foreign, Ticket};
use crate::Result;
use crate::host::Host;

const INDEX: &str = "supertuning_indices";
const VALUES: &str = "supertuning_values";

/// How such an adapter is read.
pub(super) const KIND: Kind = Kind {
    format: Foreign::Supertuning,
    index: INDEX,
    values: VALUES,
    settings: &["sparsity", "select_top", "save_precomputed_indices", "lora_alpha", "lora_dropout"],
    check: |config| match config.get("r") {
        None | Some(serde_json::Value::Null) => Ok(()),
        Some(r) => Err(format!(
            "r: {r}: it has factors of low rank beside its sparse values, which change every entry: merge it with peft, and \
             `lota ticket from` a ticket"
        )),
    },
    place: |index, i, shape| index.number(i).filter(|&at| at < shape[0] as u64 * shape[1] as u64),
    index_shape: |n| vec![n],
};

/// The entries that peft gives to a layer of so many.
fn entries(cells: u64, sparsity: f64) -> u64 {
    (cells as f64 * (1.0 - sparsity)) as u64
}

/// The largest sparsity that leaves each layer the entries it needs, of (needed, all).
fn sparsity(layers: &[(u64, u64)]) -> f64 {
    let density = layers.iter().map(|&(needed, cells)| needed as f64 / cells as f64).fold(0.0, f64::max);
    // Numbers just below 1, and their differences from it, lie so far apart.
    let step = f64::EPSILON / 2.0;
    let mut sparsity = 1.0 - density;
    while sparsity > 0.0
        && (sparsity >= 1.0 || layers.iter().any(|&(needed, cells)| entries(cells, sparsity) < needed))
    {
        sparsity -= step;
    }
    sparsity.max(0.0)
}

/// Writes a ticket as such an adapter.
pub(super) fn save(ticket: &Ticket, folder: &Path, base: Base<'_>, host: &Host) -> Result<Saved> {
    let layers = peft::linear(ticket, base, Foreign::Supertuning, host)?;
    let cells = |shape: [usize; 2]| shape[0] as u64 * shape[1] as u64;
    let needs: Vec<_> = layers.iter().map(|l| (l.deltas.len() as u64, cells(l.shape))).collect();
    let sparsity = sparsity(&needs);
    let mut tensors = Vec::new();
    for layer in &layers {
        let n = entries(cells(layer.shape), sparsity) as usize;
        tensors.push(Tensor {
            name: layer.tensor(INDEX),
            dtype: "I32",
            shape: vec![n],
            write: Box::new(move |out| write_i32(out, layer.filled(n))),
        });
        tensors.push(layer.values(VALUES, n));
    }
    let config = json!({
        "sparsity": sparsity,
        "select_top": true,
        "r": null,
        "lora_alpha": null,
        "lora_dropout": 0.0,
        "save_precomputed_indices": true,
        "init_weights": true,
    });
    peft::save(ticket, folder, base, Foreign::Supertuning, &layers, tensors, config, host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sparsity_leaves_every_layer_what_it_needs_and_hardly_more() {
        // 0.7 of 24 gives 7 in double arithmetic.
        assert_eq!(entries(24, 0.7), 7);
        for layers in [
            vec![(7, 24)],
            vec![(1, 1 << 30), (3, 576 * 576)],
            vec![(24, 24), (1, 7)],
            vec![(5, 6), (5, 7), (999_983, 1_000_003)],
            vec![(1, 1 << 40)],
        ] {
            let sparsity = sparsity(&layers);
            assert!((0.0..1.0).contains(&sparsity), "{layers:?}: {sparsity}");
            let (mut over, mut most) = (u64::MAX, 0.0f64);
            for &(needed, cells) in &layers {
                let got = entries(cells, sparsity);
                assert!((needed..=cells).contains(&got), "{layers:?}: {got}");
                if needed as f64 / cells as f64 > most {
                    (over, most) = (got - needed, needed as f64 / cells as f64);
                }
            }
            assert!(over <= 1, "{layers:?}: {over} too many in the densest");
        }
    }
}
